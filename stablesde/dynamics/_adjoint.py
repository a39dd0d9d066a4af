"""Steps of a scheme whose reverse-mode derivative keeps a few states, not all of them.

Between two saved times the states are computed again, from checkpoints placed by the binomial
schedule, which takes the fewest steps for a given number of them (Griewank and Walther, Algorithm
799: revolve, ACM TOMS 26, 2000). The noise is a function of (key, particle, step), so that what is
computed again is the same to the last bit.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from stablesde.stable._varying import settled

Tree = Any
# (state, k) ↦ the state after step k, and what step k reports.
Step = Callable[[Tree, Array], tuple[Tree, Tree]]


def advance(step: Step, state: Tree, num_steps: int, checkpoints: int | None) -> Tree:
    """The state after `num_steps` steps. `checkpoints` as in `run_and_save`."""
    return _differentiable(step, state, num_steps, 1, False, checkpoints)[0]


def run_and_save(
    step: Step, state: Tree, every: int, count: int, checkpoints: int | None
) -> tuple[Tree, Tree, Tree]:
    """`count` times `every` steps from `state`.

    **Returns:** the last state; and, stacked, the states at the start of every stretch and what the
    first step of each reports. With `checkpoints`, a number, reverse-mode differentiation keeps
    these starts and that many states more, and forward mode is not possible; None leaves both
    modes to JAX, which in reverse keeps every step.
    """
    state, (starts, reports) = _differentiable(step, state, every, count, True, checkpoints)
    return state, starts, reports


def _differentiable(
    step: Step, state: Tree, every: int, count: int, save: bool, checkpoints: int | None
) -> Tree:
    step, state = settled(step, state, jnp.zeros((), jnp.int32))
    if checkpoints is None:
        return _forward(step, state, every, count, save)
    return _checkpointed((_closed(step, state), state), every, count, save, checkpoints)


class _Closed(eqx.Module):
    """A step, with what it closes over as `constants`: arguments that can be differentiated."""

    jaxpr: Any
    constants: list[Array | np.ndarray]
    results: Any = eqx.field(static=True)

    def __call__(self, state: Tree, k: Array) -> tuple[Tree, Tree]:
        found = jax.core.eval_jaxpr(self.jaxpr, self.constants, *jax.tree.leaves((state, k)))
        return jax.tree.unflatten(self.results, found)


def _closed(step: Step, state: Tree) -> _Closed:
    # Not equinox's closure conversion, which refuses arrays that are typed with a mesh.
    first = jnp.zeros((), jnp.int32)
    jaxpr, results = jax.make_jaxpr(step, return_shape=True)(state, first)
    return _Closed(jaxpr.jaxpr, jaxpr.consts, jax.tree.structure(results))


def _forward(step: Step, state: Tree, every: int, count: int, save: bool) -> Tree:
    """The last state, and (starts, reports) or None."""

    def steps(state: Tree, indices: Array) -> Tree:
        return jax.lax.scan(lambda s, k: (step(s, k)[0], None), state, indices)[0]

    def stretch(state: Tree, first: Array) -> tuple[Tree, Tree]:
        # One copy of the step in the program: all reports are kept for a while, and the first used.
        indices = first + jnp.arange(every, dtype=jnp.int32)
        after, reports = jax.lax.scan(lambda s, k: step(s, k), state, indices)
        return after, (state, jax.tree.map(lambda r: r[0], reports))

    if not save:
        return steps(state, jnp.arange(every, dtype=jnp.int32)), None
    return jax.lax.scan(stretch, state, every * jnp.arange(count, dtype=jnp.int32))


@eqx.filter_custom_vjp
def _checkpointed(moving, every, count, save, checkpoints):  # type: ignore[no-untyped-def]
    step, state = moving
    return _forward(step, state, every, count, save)


@_checkpointed.def_fwd
def _run_and_keep(perturbed, moving, every, count, save, checkpoints):  # type: ignore[no-untyped-def]
    step, state = moving
    result = _forward(step, state, every, count, save)
    return result, result[1]


@_checkpointed.def_bwd
def _pull_back(kept, cotangents, perturbed, moving, every, count, save, checkpoints):  # type: ignore[no-untyped-def]
    closed, state = moving
    step = closed if save else lambda s, k: (closed(s, k)[0], None)
    parameters, rest = eqx.partition(closed, perturbed[0])
    starts, reports = kept if save else (jax.tree.map(lambda x: x[None], state), None)
    end_bar, given = _filled(cotangents, (state, (starts, reports) if save else None))
    start_bars, report_bars = given if save else (jax.tree.map(jnp.zeros_like, starts), None)
    free = min(checkpoints, every - 1)
    turns, moves = reversal(every, free)

    def moved(state: Tree, first: Array, steps: Array | np.ndarray) -> Tree:
        return jax.lax.fori_loop(first, first + steps, lambda k, s: step(s, k)[0], state)

    def pull(state: Tree, k: Array, cotangent: Tree) -> Tree:
        """Cotangents of the parameters and of the state before step k."""

        def function(parameters: Tree, state: Tree) -> Tree:
            after, report = eqx.combine(parameters, rest)(state, k)
            return after, report if save else None

        return jax.vjp(function, parameters, state)[1](cotangent)

    def stretch(carry: Tree, given: Tree) -> tuple[Tree, None]:
        first, start, start_bar, report_bar = given

        def read(store: Tree, slot: Array | np.ndarray) -> Tree:
            # Slot 0 is not in the store: where nothing is saved it is zeros, and takes no memory.
            found = jax.tree.map(lambda s: s[jnp.maximum(slot - 1, 0)], store)
            return jax.tree.map(lambda x, s: jnp.where(slot == 0, x, s), start, found)

        def place(i: Array, store: Tree) -> Tree:
            move = jax.tree.map(lambda a: jnp.asarray(a)[i], moves)
            state = moved(read(store, move.source), first + move.first, move.steps)
            return jax.tree.map(lambda s, x: s.at[move.target - 1].set(x), store, state)

        def undo(carry: Tree, turn: Turns) -> tuple[Tree, None]:
            store, parameters_bar, state_bar = carry
            store = jax.lax.fori_loop(turn.begin, turn.end, place, store)
            state = moved(read(store, turn.source), first + turn.first, turn.steps)
            k = turn.first + turn.steps
            reported = jax.tree.map(lambda r: jnp.where(k == 0, r, 0), report_bar)
            more, state_bar = pull(state, first + k, (state_bar, reported))
            return (store, _sum(parameters_bar, more), state_bar), None

        slots = max(free, 1)
        store = jax.tree.map(
            lambda s: jnp.broadcast_to(jnp.zeros_like(s), (slots, *s.shape)), start
        )
        (_, parameters_bar, state_bar), _ = jax.lax.scan(undo, (store, *carry), turns)
        return (parameters_bar, _sum(state_bar, start_bar)), None

    firsts = every * jnp.arange(count, dtype=jnp.int32)
    (parameters_bar, state_bar), _ = jax.lax.scan(
        stretch,
        (jax.tree.map(jnp.zeros_like, parameters), end_bar),
        (firsts, starts, start_bars, report_bars),
        reverse=True,
    )
    return parameters_bar, state_bar


def _filled(cotangents: Tree, like: Tree) -> Tree:
    """The cotangents, with zeros where equinox says None."""
    return jax.tree.map(
        lambda bar, x: jax.tree.map(jnp.zeros_like, x) if bar is None else bar,
        cotangents,
        like,
        is_leaf=lambda x: x is None,
    )


def _sum(a: Tree, b: Tree) -> Tree:
    return jax.tree.map(jnp.add, a, b)


class Moves(NamedTuple):
    """Take the state in slot `source`, which stands before step `first`, `steps` steps further, and
    put it into slot `target`."""

    source: Int[np.ndarray, " P"]
    first: Int[np.ndarray, " P"]
    steps: Int[np.ndarray, " P"]
    target: Int[np.ndarray, " P"]


class Turns(NamedTuple):
    """Do the moves from `begin` to `end`; take the state in slot `source`, before step `first`,
    `steps` steps further, to the step whose turn it is: K - 1, …, 0."""

    begin: Int[np.ndarray, " K"]
    end: Int[np.ndarray, " K"]
    source: Int[np.ndarray, " K"]
    first: Int[np.ndarray, " K"]
    steps: Int[np.ndarray, " K"]


@functools.lru_cache(maxsize=64)
def reversal(num_steps: int, checkpoints: int) -> tuple[Turns, Moves]:
    """The schedule that visits the states before steps K - 1, …, 0, from the one before step 0.

    That one is in slot 0; slots 1 to `checkpoints` are free. The number of steps taken is the least
    possible (Griewank and Walther 2000, theorem 2.1).
    """
    turns: list[tuple[int, ...]] = []
    moves: list[tuple[int, ...]] = []
    begin = 0
    # Stretches of steps still to visit, the last one first, and the slot of the state before each.
    waiting = [(0, num_steps)]
    while waiting:
        first, length = waiting.pop()
        slot = len(waiting)
        free = checkpoints - slot
        if length > 1 and free > 0:
            left = _left_part(length, free)
            moves.append((slot, first, left, slot + 1))
            waiting += [(first, left), (first + left, length - left)]
        else:
            for k in reversed(range(length)):
                turns.append((begin, len(moves), slot, first, k))
                begin = len(moves)
    moves = moves or [(0, 0, 0, 0)]  # an empty table cannot be looked up, even never
    return Turns(*np.array(turns, np.int32).T), Moves(*np.array(moves, np.int32).T)


def _left_part(length: int, free: int) -> int:
    """How many steps to leave on the left when a checkpoint is placed, `free` ≥ 1 being free.

    With β(s, t) = binomial(s + t, s), the number of steps that s states, the first one included,
    reverse when none is taken more than t times: the right part is as long as it may be.
    """
    states, times = free + 1, 1
    while math.comb(states + times, states) < length:
        times += 1
    right = math.comb(states - 1 + times, times)
    least_left = math.comb(states + times - 2, states) if times > 1 else 1
    return max(length - right, least_left)


__all__ = ["advance", "reversal", "run_and_save"]
