"""One sweep of the fine grid that advances a reference and everything coupled to it.

Systems of several widths lie side by side in the layout. The reference is a run as any other; the
schemes with larger steps are levels of one array, visited when a step of theirs ends, in a loop
inside the program, so that its size depends neither on widths nor on steps.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stablesde.dynamics._run import Run, State
from stablesde.stable._varying import vary_with

# A number of one particle θ (p,).
Functional = Callable[[Array], Array] | None


class Visits(NamedTuple):
    """The levels visited at step k are `level[begin[k]:begin[k + 1]]`; the step of level i is
    `strides[i]` fine ones."""

    strides: Int[Array, " L"]
    level: Int[Array, " V"]
    begin: Int[Array, " K2"]


def visits(strides: Sequence[int], num_steps: int) -> Visits:
    """The schedule of levels with these steps, at the times 0, …, `num_steps` of the fine grid."""
    due = np.arange(num_steps + 1)[:, None] % np.asarray(strides, int) == 0
    begin = np.concatenate([[0], np.cumsum(due.sum(1))])
    tables: Any = [np.asarray(a, np.int32) for a in (strides, np.nonzero(due)[1], begin)]
    return Visits(*tables)  # traced by the program


class Levels(NamedTuple):
    """D of every level at its next own time, for Heun before the correction, and at its last own
    time (Heun only); and the largest distance from the reference so far.

    Where σ is a function, a step is done when it ends: `ahead` is D at the last own time, and
    `drawn` what L has moved by since."""

    ahead: Float[Array, "L dim blocks block"]
    behind: Float[Array, "L dim blocks block"] | None
    error: Float[Array, "L blocks block"]
    drawn: Float[Array, "L q drawn"] | None = None


def step_errors(run: Run, plan: Visits, function: Functional = None) -> tuple[Array, ...]:
    """sup, mean, final sup and final mean of the distances of the levels from the reference, and
    the mean difference of `function` at the end, if it is given.

    **Returns:** of every width and level of one replica, each (widths, L).
    """
    layout, heun = run.layout, run.scheme == "heun"
    multiplied = not run.driver.system.additive
    start = vary_with(run.start(), run)  # and with it all that is carried
    widths, num_levels = len(layout.members), plan.strides.shape[0]
    rest = jnp.broadcast_to(start.displacement, (num_levels, *start.displacement.shape))
    nothing = None
    if multiplied:
        none = jnp.zeros((num_levels, run.driver.system.noise.dim, layout.drawn), rest.dtype)
        nothing = vary_with(none, start)
    levels = Levels(rest, rest if heun else None, rest[:, 0], nothing)

    def finish(initial: Array, reference: Array, k: Array, i: Array, levels: Levels) -> Levels:
        """The step of level i that ends at t_k, where σ is a function."""
        stride = plan.strides[i]
        at = lambda a: jax.lax.optimization_barrier(  # noqa: E731
            jax.lax.dynamic_index_in_dim(a, i, keepdims=False)
        )
        put = lambda a, x: jax.lax.dynamic_update_index_in_dim(a, x, i, 0)  # noqa: E731
        displacement, drawn = at(levels.ahead), at(levels.drawn)
        first = jnp.maximum(k - stride, 0)
        h = run.grid.at(first)[1]
        m = run.driving(layout.spread(initial) + displacement, first)
        moved = run.move(initial, displacement, first, stride.astype(h.dtype) * h, m, drawn)
        displacement = jnp.where(k == 0, displacement, moved)
        error = jnp.maximum(at(levels.error), _gap(displacement, reference))
        return Levels(
            put(levels.ahead, displacement),
            None,
            put(levels.error, error),
            put(levels.drawn, jnp.zeros_like(drawn)),
        )

    def visit(base: Array, reference: Array, k: Array, i: Array, levels: Levels) -> Levels:
        """The step of level i that ends at t_k, and the start of the next one."""
        (t, h), stride = run.grid.at(k), plan.strides[i].astype(base.dtype)
        # Read once, before anything is put back: otherwise XLA copies the whole array.
        at = lambda a: jax.lax.optimization_barrier(  # noqa: E731
            jax.lax.dynamic_index_in_dim(a, i, keepdims=False)
        )
        put = lambda a, x: jax.lax.dynamic_update_index_in_dim(a, x, i, 0)  # noqa: E731
        displacement, behind = at(levels.ahead), levels.behind
        if behind is not None:
            arrived = run.arrive(base, at(behind), displacement, k, stride * h)
            displacement = jnp.where(k == 0, displacement, arrived)
            behind = put(behind, displacement)
        error = jnp.maximum(at(levels.error), _gap(displacement, reference))
        theta = base + displacement
        speed = run.speed(t, theta, run.driving(theta, k), k)
        ahead = run.leave(displacement, speed, stride * h)
        return Levels(put(levels.ahead, ahead), behind, put(levels.error, error))

    def meet(state: State, k: Array, levels: Levels) -> Levels:
        """The visits at time t_k, when the reference is in `state`."""
        base = state.initial if multiplied else layout.spread(state.initial + state.levy)
        end = finish if multiplied else visit
        # The bounds do not depend on the replica: under vmap the loop ends for all at once.
        return jax.lax.fori_loop(
            plan.begin[k],
            plan.begin[k + 1],
            lambda v, levels: end(base, state.displacement, k, plan.level[v], levels),
            levels,
        )

    def step(carry: tuple[State, Levels], k: Array) -> tuple[tuple[State, Levels], None]:
        state, levels = carry
        if levels.drawn is not None:
            drawn, m = run.increment(k), run.driving(run.theta(state), k)
            met = meet(state, k, levels)
            since: Any = met.drawn
            after = run.step_multiplied(state, k, m, drawn)
            return (after, met._replace(drawn=since + drawn)), None
        return (run.step(state, k)[0], meet(state, k, levels)), None

    last = jnp.arange(run.grid.num_steps + 1, dtype=jnp.int32)
    (state, levels), _ = jax.lax.scan(step, (start, levels), last[:-1])
    if heun or multiplied:
        levels = meet(state, last[-1], levels)
    reached = levels.ahead if levels.behind is None else levels.behind
    final = _gap(reached, state.displacement[None])
    errors = tuple(a.T for a in _summary(run, jnp.maximum(levels.error, final), final, widths))
    if function is None:
        return errors
    base = layout.spread(state.initial + state.levy)
    reference = base + state.displacement
    of_level = lambda d: _weak(run, function, base + d, reference, widths)  # noqa: E731
    return *errors, jax.lax.map(of_level, reached).T


def limit_errors(run: Run, function: Functional = None) -> tuple[Array, ...]:
    """As `step_errors`, of every width from the limit, which is the last system of the layout; of
    one replica, each (widths,)."""
    layout = run.layout
    widths = len(layout.members) - layout.followers
    compared = layout.blocks_of(widths)

    def gap(state: State) -> Float[Array, "blocks block"]:
        copies = state.displacement[:, compared:].reshape(state.displacement.shape[0], -1)
        return _gap(state.displacement[:, :compared], layout.spread(copies, widths))

    def step(carry: tuple[State, Array], k: Array) -> tuple[tuple[State, Array], None]:
        state, error = carry
        state, _ = run.step(state, k)
        return (state, jnp.maximum(error, gap(state))), None

    start = vary_with(run.start(), run)
    steps = jnp.arange(run.grid.num_steps, dtype=jnp.int32)
    (state, error), _ = jax.lax.scan(step, (start, gap(start)), steps)
    errors = tuple(a[0] for a in _summary(run, error[None], gap(state)[None], widths))
    if function is None:
        return errors
    theta = run.theta(state)
    copies = layout.spread(theta[:, compared:].reshape(theta.shape[0], -1), widths)
    return *errors, _weak(run, function, theta[:, :compared], copies, widths)


def final_means(run: Run, function: Callable[[Array], Array]) -> tuple[Array, ...]:
    """The means of functions of the columns, (dim, n) → (q, n), over the particles of each width at
    the end; of one replica, (widths, q)."""

    def step(state: State, k: Array) -> tuple[State, None]:
        return run.step(state, k)[0], None

    steps = jnp.arange(run.grid.num_steps, dtype=jnp.int32)
    state, _ = jax.lax.scan(step, vary_with(run.start(), run), steps)
    return (run.averages(function, run.theta(state), len(run.layout.members)).T,)


def _weak(
    run: Run, function: Callable[[Array], Array], theta: Array, partner: Array, widths: int
) -> Float[Array, " widths"]:
    """The mean over the particles of each width of f(θ) - f(partner)."""
    dim = theta.shape[0]
    of_column = jax.vmap(function, in_axes=1)
    difference = lambda both: (of_column(both[:dim]) - of_column(both[dim:]))[None]  # noqa: E731
    return run.averages(difference, jnp.concatenate([theta, partner]), widths)[0]


def _gap(displacement: Array, reference: Array) -> Float[Array, "*L blocks block"]:
    """The distance of each particle from its partner."""
    return jnp.sqrt(jnp.sum((displacement - reference) ** 2, -3))


def _summary(run: Run, error: Array, final: Array, widths: int) -> tuple[Array, ...]:
    """sup and mean over the particles of each width, of both, (L, widths)."""
    layout = run.layout
    counts = layout.counts(widths)
    own = layout.owner[: len(counts), None] == np.arange(widths)

    def of_blocks(values: Array, reduce: Callable[..., Array]) -> Array:
        each = reduce(jnp.where(counts, values, 0), -1)
        return reduce(jnp.where(own, each[:, :, None], 0), 1)

    def both(values: Array) -> tuple[Array, Array]:
        mean = (
            layout.sum(of_blocks(values, jnp.sum))
            / layout.populations(widths).astype(values.dtype)[None]
        )
        return layout.max(of_blocks(values, jnp.max)), mean

    return *both(error), *both(final)


__all__ = ["Visits", "final_means", "limit_errors", "step_errors", "visits"]
