"""The steps of a run in nested loops, through which derivatives pass in little memory.

Reverse mode keeps the states at the turns of the loops that it is in, and computes the rest again
(`jax.checkpoint`): with K steps in d loops of K^(1/d) turns each that is d K^(1/d) states in place
of K, for d more runs (Griewank, Optimization Methods and Software 1, 1992). The noise is a function
of (key, particle, step), so that what is computed again is the same to the last bit.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from stablesde.stable._varying import settled, vary_with

Tree = Any
# (state, k) ↦ the state after step k, and what step k reports.
Step = Callable[[Tree, Array], tuple[Tree, Tree]]


def advance(step: Step, state: Tree, num_steps: int) -> Tree:
    """The state after the steps 0, …, `num_steps` - 1."""
    step, state = settled(step, state, jnp.zeros((), jnp.int32))
    return _nested(lambda s, k: step(s, k)[0], state, jnp.zeros((), jnp.int32), num_steps)


def run_and_save(step: Step, state: Tree, every: int, count: int) -> tuple[Tree, Tree, Tree]:
    """`count` times `every` steps from `state`.

    **Returns:** the last state; and, stacked, the states at the start of every stretch and what the
    first step of each reports.
    """
    report = jax.eval_shape(step, state, jnp.zeros((), jnp.int32))[1]
    nothing = jax.tree.map(lambda r: jnp.zeros(r.shape, r.dtype), report)

    def of_first(carry: tuple[Tree, Tree, Array], k: Array) -> tuple[Tree, None]:
        # One copy of the step in the program: all report, and the first report is kept.
        (state, told, first) = carry
        after, new = step(state, k)
        keep = lambda new, old: jnp.where(k == first, new, old)  # noqa: E731
        return (after, jax.tree.map(keep, new, told), first), None

    # The report is carried on from stretch to stretch, as it may vary where the state does not.
    zero = jnp.zeros((), jnp.int32)
    marked, (state, nothing, _) = settled(of_first, (state, nothing, zero), zero)

    def stretch(carry: tuple[Tree, Tree], first: Array) -> tuple[Tree, Tree]:
        start = vary_with(first, carry)
        state, told, _ = _nested(lambda c, k: marked(c, k)[0], (*carry, start), first, every)
        return (state, told), (carry[0], told)

    firsts = every * jnp.arange(count, dtype=jnp.int32)
    (state, _), (starts, reports) = jax.lax.scan(_checkpointed(stretch), (state, nothing), firsts)
    return state, starts, reports


def _nested(step: Callable[[Tree, Array], Tree], start: Tree, first: Array, count: int) -> Tree:
    """The state after `count` steps from step `first` on."""
    turns = loops(count)

    def one(state: Tree, k: Array) -> Tree:
        if math.prod(turns) == count:
            return step(state, k)
        # A few steps too many: they repeat the first one, and are forgotten. Beyond the end of time
        # a drift may not be defined, and derivatives would be NaN even of what is forgotten.
        inside = k < first + count
        choose = lambda a, b: jnp.where(inside, a, b)  # noqa: E731
        after = step(jax.tree.map(choose, state, start), choose(k, first))
        return jax.tree.map(choose, after, state)

    body, stride = one, 1
    for number in turns:
        body, stride = _loop(body, number, stride), number * stride
    return body(start, first)


def _loop(body: Callable[[Tree, Array], Tree], number: int, stride: int) -> Any:
    """`number` turns of `body`, from step k on, with `stride` steps in each."""
    inner = _checkpointed(lambda state, k: (body(state, k), None))

    def loop(state: Tree, k: Array) -> Tree:
        return jax.lax.scan(inner, state, k + stride * jnp.arange(number, dtype=jnp.int32))[0]

    return loop


def _checkpointed(body: Callable[..., Any]) -> Callable[..., Any]:
    return jax.checkpoint(body, prevent_cse=False)  # inside of a scan there is nothing to prevent


def loops(num_steps: int) -> tuple[int, ...]:
    """Turns of nested loops, the innermost first, with at least `num_steps` steps in all.

    Up to 16 are one loop. Else the turns are factors, none above 13, of a number at most a
    sixteenth larger: the least whose states, as many as its factors add up to, are few. Pairs of
    twos are fours: as many states, in fewer runs.
    """
    if num_steps <= 16:
        return (num_steps,)
    larger = range(num_steps, num_steps + num_steps // 16 + 1)
    known = [(n, found) for n in larger if (found := _factors(n))]
    few = 4 / 3 * min(sum(found) for _, found in known)
    return next(found for _, found in known if sum(found) <= few)


def _factors(number: int) -> tuple[int, ...]:
    """Its prime factors, pairs of twos as fours, in falling order; none if one is above 13."""
    found = []
    for factor in (4, 2, 3, 5, 7, 11, 13):
        while number % factor == 0:
            found.append(factor)
            number //= factor
    return tuple(sorted(found, reverse=True)) if number == 1 else ()


__all__ = ["advance", "loops", "run_and_save"]
