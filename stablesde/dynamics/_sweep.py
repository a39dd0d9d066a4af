"""One sweep of the fine grid that advances a reference and everything coupled to it.

Systems of several widths lie side by side in the layout, those of several steps are levels of one
array; level 0 has the fine step. At a time of the fine grid the levels are visited whose steps end
there, in a loop inside the program, so that its size depends neither on widths nor on steps.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stablesde.dynamics._run import Run
from stablesde.stable._varying import vary_with


class Visits(NamedTuple):
    """The levels visited at step k are `level[begin[k]:begin[k + 1]]`, `strides` their steps."""

    strides: Int[Array, " L"]
    level: Int[Array, " V"]
    begin: Int[Array, " K1"]


def visits(strides: Sequence[int], num_steps: int, scheme: str) -> Visits:
    """The schedule of the levels with these steps, as multiples of the fine one (`strides[0]`)."""
    # Euler's levels hold D at their next time, Heun's at their last one, which is known, also at
    # the end, when it has been visited. The reference is visited when the others need it no more,
    # or not before.
    heun = scheme == "heun"
    order = list(range(len(strides)))[:: 1 if heun else -1]
    times = np.arange(num_steps + heun)
    due = np.stack([times % strides[i] == 0 for i in order], 1)
    level = np.broadcast_to(np.array(order, np.int32), due.shape)[due]
    begin = np.concatenate([[0], np.cumsum(due.sum(1))]).astype(np.int32)
    tables: Any = (np.asarray(strides, np.int32), level, begin)  # traced by the program
    return Visits(*tables)


class Levels(NamedTuple):
    """D of every level at its next own time, for Heun before the correction, and at its last own
    time (Heun only); and the largest distance from the reference so far."""

    ahead: Float[Array, "L dim slots"]
    behind: Float[Array, "L dim slots"] | None
    error: Float[Array, "L compared"]


def distances(run: Run, plan: Visits) -> tuple[Array, ...]:
    """sup, mean, final sup and final mean of the distances of one replica.

    **Returns:** of every width and every level but the first, each (widths, L - 1); or, if the last
    system of the layout is the limit, of every width from it, each (widths,).
    """
    layout, heun = run.layout, run.scheme == "heun"
    start = run.start()
    theta0 = vary_with(start.initial, run)  # and with it all that is carried
    zero = layout.spread(theta0) * 0
    widths = len(layout.members) - layout.followers
    compared = layout.slots_of(widths)
    num_levels = plan.strides.shape[0]
    rest = jnp.broadcast_to(zero, (num_levels, *zero.shape))
    levels = Levels(rest, rest if heun else None, rest[:, 0, :compared])
    index = layout.particles()

    def gap(displacement: Array, reference: Array) -> Float[Array, "*L compared"]:
        """The distance of each particle from its partner in the reference, level 0."""
        if layout.followers:  # particle i of every width from copy i
            partners = compared + layout.positions[:compared]
            reference = jnp.take(reference, partners, axis=-1, mode="clip")
        difference = displacement[..., :compared] - reference[..., :compared]
        return jnp.sqrt(jnp.sum(difference**2, -2))

    def visit(base: Array, k: Array, i: Array, levels: Levels) -> Levels:
        """The step of level i that ends at t_k, and the start of the next one."""
        stride = plan.strides[i].astype(base.dtype)
        displacement, (t, h) = levels.ahead[i], run.grid.at(k)
        behind = levels.behind
        if behind is not None:
            _, before = run.grid.at(jnp.maximum(k - 1, 0))
            arrived = run.arrive(base, behind[i], displacement, k, stride * before)
            displacement = jnp.where(k == 0, displacement, arrived)
            behind = behind.at[i].set(displacement)
        reference = (levels.ahead if behind is None else behind)[0]
        error = jnp.maximum(levels.error[i], gap(displacement, reference))
        theta = base + displacement
        speed = run.speed(t, theta, run.driving(theta, k))
        ahead = run.leave(displacement, speed, stride * h)
        return Levels(levels.ahead.at[i].set(ahead), behind, levels.error.at[i].set(error))

    def step(carry: tuple[Array, Levels], k: Array) -> tuple[tuple[Array, Levels], None]:
        levy, levels = carry
        base = layout.spread(theta0 + levy)
        # The bounds do not depend on the replica: under vmap the loop ends for all at once.
        levels = jax.lax.fori_loop(
            plan.begin[k],
            plan.begin[k + 1],
            lambda v, levels: visit(base, k, plan.level[v], levels),
            levels,
        )
        return (levy + run.driver.increment(k, run.grid.at(k)[1], index), levels), None

    steps = jnp.arange(plan.begin.shape[0] - 1, dtype=jnp.int32)
    (_, levels), _ = jax.lax.scan(step, (theta0 * 0, levels), steps)
    reached = levels.ahead if levels.behind is None else levels.behind
    final = gap(reached, reached[0])
    tables = _summary(run, jnp.maximum(levels.error, final), final, widths)
    if layout.followers:
        return tuple(a[0] for a in tables)
    return tuple(a[1:].T for a in tables)


def _summary(run: Run, error: Array, final: Array, widths: int) -> tuple[Array, ...]:
    """sup and mean over the particles of each width, of both, (L, widths)."""
    layout = run.layout
    counts = layout.counts(widths)
    blocks = layout.owner[: counts.shape[0] // layout.block]
    own = blocks[:, None] == np.arange(widths)

    def of_blocks(values: Array, reduce: Callable[..., Array]) -> Array:
        kept = jnp.where(counts, values, 0).reshape(values.shape[0], len(blocks), layout.block)
        return reduce(jnp.where(own, reduce(kept, -1)[:, :, None], 0), 1)

    def both(values: Array) -> tuple[Array, Array]:
        mean = layout.sum(of_blocks(values, jnp.sum)) / layout.populations(widths).astype(
            values.dtype
        )
        return layout.max(of_blocks(values, jnp.max)), mean

    return *both(error), *both(final)


__all__ = ["Visits", "distances", "visits"]
