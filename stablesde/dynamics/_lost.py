"""Particles whose numbers a simulation has lost: how many, which was first, and at which step.

A particle that is not finite stays so, since σL and D are sums. The end of a run therefore knows
all that were lost on the way, and costs one look at the last state; only a run that has lost some
is done a second time, to find the step.
"""

import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from stablesde._arguments import is_concrete
from stablesde.dynamics._layout import Layout
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._run import Run, State
from stablesde.stable._bits import key_words

DIVERGES = (
    "With a drift that grows faster than linearly one large jump is enough, whatever the step: "
    "take scheme='tamed', or bound the drift, e.g. b / (1 + h ‖b‖). With a linear one take smaller "
    "steps, or scheme='exponential'."
)


class Loss(NamedTuple):
    """What came first: after `step` steps, at `time`, `number` particles were lost, of which
    `particle` has the smallest index; whether σL or the mean that drove them was not finite."""

    step: Int[Array, ""]
    time: Float[Array, ""]
    number: Int[Array, ""]
    particle: Int[Array, ""]
    by_noise: Bool[Array, ""]
    by_mean: Bool[Array, ""]


def lost(*parts: Float[Array, "*S n dim"]) -> Bool[Array, "*S n"]:
    """Which particles, whose θ is the sum of these parts, are not finite."""
    return ~jnp.all(jnp.isfinite(sum(parts)), -1)


def warn_if_lost(
    count: Array, run: Run, key: PRNGKeyArray, mesh: Mesh | None, stacklevel: int
) -> None:
    """A `RuntimeWarning` if `count`, of the particles not finite at the end of a run, is above 0.

    What is traced is not looked at.
    """
    if is_concrete(count) and (number := int(count)):
        found = _first_lost(run, key, None, np.int32(0), mesh)
        _warn(number, run, found, stacklevel + 1)


def warn_lost_in(
    count: int, run: Run, key: PRNGKeyArray, state: State, step: int, stacklevel: int
) -> None:
    """The warning for `count` particles that were lost after `state`, before step `step`."""
    _warn(count, run, _first_lost(run, key, state, np.int32(step), None), stacklevel + 1)


def _warn(count: int, run: Run, found: Loss, stacklevel: int) -> None:
    n, total = run.layout.num_particles, run.grid.num_steps
    text = f"{count} of {n} particles are not finite at the end."
    step, at_once = int(found.step), int(found.number)
    if at_once:  # else the second run, compiled anew and rounded otherwise, kept its numbers
        others = f" with {at_once - 1} others" if at_once > 1 else ""
        where = f"after step {step} of {total} (t = {float(found.time):.4g})"
        where = where if step else "at the start"
        text += f" The first, particle {int(found.particle)}{others}, was lost {where}"
        if step == 0:
            text += ": look at init."
        elif found.by_noise:
            text += f": sigma times the noise is beyond the range of {run.driver.dtype}."
        elif found.by_mean:
            text += ": the mean statistic was not finite, which drives them all."
        else:
            moved = "drift" if run.driver.system.additive else "drift or its sigma(t, theta, m)"
            text += f" by its {moved}. {DIVERGES}"
            if run.flow is None and count > at_once and run.driver.system.statistic_size:
                text += " A mean statistic that it makes not finite takes all others with it."
    warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)


@eqx.filter_jit
def _first_lost(  # type: ignore[no-untyped-def]
    run, key, state, first, mesh
):
    def local(run, state, first, words):  # type: ignore[no-untyped-def]
        return _search(run.under(words), state, first)

    return on_mesh(local, mesh, PartitionSpec(), run, state, first, key_words(key))


def _those(plan: Layout, *columns: Array) -> Bool[Array, " drawn"]:
    """Of the drawn particles of this device, those that the sum of these columns has lost."""
    flat = [c.reshape(c.shape[0], -1) for c in columns]
    inside = plan.counts(1).reshape(-1)[: plan.drawn]
    return ~jnp.all(jnp.isfinite(sum(flat[1:], flat[0])), 0) & inside


def num_lost(plan: Layout, state: State) -> Int[Array, ""]:
    """How many particles of a state are not finite, over all devices."""
    which = _those(plan, state.initial, state.levy, state.displacement)
    return plan.sum(jnp.sum(which, dtype=jnp.int32))


def _search(run: Run, state: State | None, first: Array) -> Loss:
    """Steps from `state` (None: the start, with `first` = 0) to the first that loses a particle."""
    plan = run.layout

    def going(carry: Any) -> Bool[Array, ""]:
        _, k, at_once, _ = carry
        return (at_once == 0) & (k < run.grid.num_steps)

    def step(carry: Any) -> Any:
        state, k, _, _ = carry
        state, m = run.step(state, k)
        return state, k + 1, num_lost(plan, state), ~jnp.all(jnp.isfinite(m))

    state = run.start() if state is None else state
    start = (state, jnp.asarray(first, jnp.int32), num_lost(plan, state), jnp.asarray(False))
    state, k, at_once, by_mean = jax.lax.while_loop(going, step, start)
    bad = _those(plan, state.initial, state.levy, state.displacement)
    index = plan.particles().astype(jnp.int32)
    last = jnp.iinfo(jnp.int32).max
    # The first by its index: over devices, minus the largest of minus.
    particle = -plan.max(-jnp.min(jnp.where(bad, index, last)))
    by_noise = plan.max(jnp.any(_those(plan, state.levy)).astype(jnp.int32)) > 0
    return Loss(k, run.grid.time(k), at_once, particle, by_noise, by_mean)


__all__ = ["DIVERGES", "lost", "num_lost", "warn_if_lost", "warn_lost_in"]
