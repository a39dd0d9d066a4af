"""The drift of particles that interact in pairs, system by system of a layout."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stablesde.dynamics._layout import Layout
from stablesde.model import PairwiseModel


def pair_speed(
    model: PairwiseModel,
    layout: Layout,
    t: Array,
    theta: Float[Array, "dim blocks block"],
    cloud: Float[Array, " M"] | None,
) -> Float[Array, "dim blocks block"]:
    """b(t, θ, mean of K) in every slot: over the particles of its system on all devices, or over
    the `cloud` for those that follow the limit."""
    dim, _, block = theta.shape
    interacting = len(layout.members) - layout.followers
    parts, first = [], 0
    for number, member in enumerate(layout.members):
        blocks = -(-member.share // block)
        own = theta[:, first : first + blocks].reshape(dim, -1)
        first += blocks
        if number >= interacting:
            assert cloud is not None, "those that follow the limit are given it"
            force = model.mean_force(own, cloud.reshape(dim, -1))
        elif model.batch_size is None:
            force = model.mean_force(own, _everyone(layout, own, member.population))
        else:
            force = _in_batches(model, layout, own, member.population)
        parts.append(model.velocity(t, own, force).astype(theta.dtype).reshape(dim, blocks, block))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, 1)


def _everyone(layout: Layout, own: Float[Array, "dim slots"], population: int) -> Array:
    """The particles of a system as columns, in the order of their numbers, from all devices."""
    if layout.axes:
        shared = jax.lax.all_gather(own, layout.axes)  # (devices, dim, slots)
        shared = jnp.moveaxis(shared, 0, 2 if layout.dealt else 1)
        own = shared.reshape(own.shape[0], -1)
    return own[:, :population]


def _in_batches(
    model: PairwiseModel, layout: Layout, own: Float[Array, "dim slots"], population: int
) -> Float[Array, "q slots"]:
    """The forces of random batches. Raises `ValueError` if particles are on several devices."""
    if layout.axes:
        raise ValueError("a batch_size needs all particles on one device: leave out mesh.")
    force = model.batch_force(own[:, :population])
    return jnp.pad(force, ((0, 0), (0, own.shape[1] - population)))


__all__ = ["pair_speed"]
