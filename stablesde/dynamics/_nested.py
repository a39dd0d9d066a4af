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

from stablesde.stable._varying import settled

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
    step, state = settled(step, state, jnp.zeros((), jnp.int32))
    report = jax.eval_shape(step, state, jnp.zeros((), jnp.int32))[1]

    def stretch(state: Tree, first: Array) -> tuple[Tree, tuple[Tree, Tree]]:
        def of_first(carry: tuple[Tree, Tree], k: Array) -> tuple[Tree, Tree]:
            # One copy of the step in the program: all report, and the first report is kept.
            after, told = step(carry[0], k)
            keep = lambda new, old: jnp.where(k == first, new, old)  # noqa: E731
            return after, jax.tree.map(keep, told, carry[1])

        nothing = jax.tree.map(lambda r: jnp.zeros(r.shape, r.dtype), report)
        of_first, start = _settled(of_first, (state, nothing), first)
        after, told = _nested(of_first, start, first, every)
        return after, (state, told)

    firsts = every * jnp.arange(count, dtype=jnp.int32)
    state, (starts, reports) = jax.lax.scan(_checkpointed(stretch), state, firsts)
    return state, starts, reports


def _settled(step: Callable[..., Tree], carry: Tree, k: Array) -> tuple[Callable[..., Tree], Tree]:
    """As `settled`, of a step that reports nothing."""
    marked, carry = settled(lambda c, k: (step(c, k), None), carry, k)
    return lambda c, k: marked(c, k)[0], carry


def _nested(step: Callable[[Tree, Array], Tree], state: Tree, first: Array, count: int) -> Tree:
    """The state after `count` steps from step `first` on."""
    turns = loops(count)
    end = first + count

    def one(state: Tree, k: Array) -> Tree:
        if math.prod(turns) == count:
            return step(state, k)
        # A handful of steps too many are taken, and forgotten.
        keep = lambda new, old: jnp.where(k < end, new, old)  # noqa: E731
        return jax.tree.map(keep, step(state, k), state)

    body, stride = one, 1
    for number in turns:
        body, stride = _loop(body, number, stride), number * stride
    return body(state, first)


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

    Up to 16 are one loop. Else the least such number without a prime factor above 13, at most 6 %
    more; pairs of twos are fours: as many states are kept, in fewer runs.
    """
    if num_steps <= 16:
        return (num_steps,)
    for number in range(num_steps, 2 * num_steps + 1):
        factors, rest = [], number
        for factor in (4, 2, 3, 5, 7, 11, 13):
            while rest % factor == 0:
                factors.append(factor)
                rest //= factor
        if rest == 1:
            return tuple(sorted(factors, reverse=True))
    raise AssertionError("there is a power of two")


__all__ = ["advance", "loops", "run_and_save"]
