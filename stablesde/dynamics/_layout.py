"""Where particles live: devices of a mesh, and blocks on each of them.

Blocks bound the memory of a step at O(n dim + block · M). Noise does not depend on the layout, a
mean over particles does only to rounding.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt32

from stablesde.dynamics._memory import block_bytes

REPLICA_AXIS = "replicas"


class Layout(NamedTuple):
    """n particles over devices (consecutive shares), and the block of a share that is worked on.

    `part` of `parts` is a system of its own, made of that part of every device's share.
    """

    num_particles: int
    num_devices: int
    block: int
    axes: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1

    @property
    def population(self) -> int:
        """Particles of the system: all, or those of this part."""
        return self.num_particles // self.parts

    def split(self, parts: int) -> list["Layout"]:
        """Systems of equal parts of the particles, each share being a multiple of `parts`."""
        return [self._replace(part=i, parts=parts) for i in range(parts)]

    @property
    def share(self) -> int:
        """Particles of the system per device; the last devices may hold fewer."""
        return math.ceil(self.num_particles / self.num_devices) // self.parts

    @property
    def padded(self) -> bool:
        """Whether some slots hold no particle of the system."""
        return self.share * self.parts * self.num_devices > self.num_particles

    def particles(self) -> UInt32[Array, " n"]:
        """Index of the particle in every slot of this device (inside `shard_map` if there are any).

        Empty slots repeat the last particle: they are computed along, and count nowhere.
        """
        return jnp.minimum(self._slots(), jnp.uint32(self.num_particles - 1))

    def weights(self, dtype: jnp.dtype) -> Float[Array, " n"]:
        """1 in the slots that hold a particle, 0 in empty ones."""
        if not self.padded:
            return jnp.ones(self.share, dtype)
        return (self._slots() < self.num_particles).astype(dtype)

    def _slots(self) -> UInt32[Array, " n"]:
        device = jax.lax.axis_index(self.axes) if self.axes else 0
        first = jnp.asarray(device).astype(jnp.uint32) * jnp.uint32(self.share * self.parts)
        start = first + jnp.uint32(self.part * self.share)
        return jax.lax.iota(jnp.uint32, self.share) + start

    def sum(self, x: Array) -> Array:
        """The sum over devices."""
        return jax.lax.psum(x, self.axes) if self.axes else x


def particle_axes(mesh: Mesh | None) -> tuple[str, ...]:
    """The axes of `mesh` over which particles are spread: all but the one named "replicas".

    Raises `ValueError` for what is no mesh.
    """
    if mesh is None:
        return ()
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a jax.sharding.Mesh or None, got {mesh!r}.")
    return tuple(a for a in mesh.axis_names if a != REPLICA_AXIS)


def axis_size(mesh: Mesh | None, axes: tuple[str, ...]) -> int:
    """Number of devices along `axes`."""
    return 1 if mesh is None else math.prod(mesh.shape[a] for a in axes)


def layout(
    num_particles: int,
    statistic_size: int,
    dim: int,
    itemsize: int,
    block_size: int | None,
    mesh: Mesh | None,
) -> Layout:
    """The layout for n particles; without `block_size`, blocks as large as the memory suggests."""
    axes = particle_axes(mesh)
    devices = axis_size(mesh, axes)
    share = math.ceil(num_particles / devices)
    limit = default_block(statistic_size, dim, itemsize) if block_size is None else int(block_size)
    return Layout(num_particles, devices, min(limit, share), axes)


def by_blocks(function: Callable[..., Array], block: int, *arrays: Array) -> Array:
    """`function` on consecutive blocks of the last axis, the results joined along it."""
    n = arrays[0].shape[-1]
    if n <= block:
        return function(*arrays)
    # Derivatives compute a block again: what they would keep of it, for all blocks, is O(n M).
    function = jax.checkpoint(function)
    full = n // block

    def split(a: Array) -> Array:
        return jnp.moveaxis(a[:, : full * block].reshape(a.shape[0], full, block), 1, 0)

    mapped = jax.lax.map(lambda parts: function(*parts), tuple(split(a) for a in arrays))
    joined = jnp.moveaxis(mapped, 0, 1).reshape(mapped.shape[1], -1)
    if full * block == n:
        return joined
    return jnp.concatenate([joined, function(*(a[:, full * block :] for a in arrays))], -1)


def weighted_sum(
    statistic: Callable[[Array], Array], block: int, theta: Array, weight: Array, padded: bool
) -> Float[Array, " M"]:
    """Σ_i weight_i φ(θ^i) over the particles of this device."""

    def block_sum(theta: Array, weight: Array) -> Array:
        values = statistic(theta).astype(theta.dtype)
        if padded:  # what does not count may be anything, even infinite
            values = jnp.where(weight > 0, values, 0)
        # A matrix-vector product adds in several lanes: faster, and with far smaller rounding
        # errors, than a reduction over a long last axis.
        return jnp.matmul(values, weight[0], precision=jax.lax.Precision.HIGHEST)[:, None]

    return jnp.sum(by_blocks(block_sum, block, theta, weight[None]), 1)


def default_block(statistic_size: int, dim: int, itemsize: int) -> int:
    """Particles per block for which the temporaries of a step stay below `block_bytes()`."""
    return max(block_bytes() // scratch_bytes(statistic_size, dim, itemsize), 1024)


def scratch_bytes(statistic_size: int, dim: int, itemsize: int) -> int:
    """Temporary bytes of a step per particle of a block: φ, its derivative, and a few states."""
    return itemsize * (2 * statistic_size + 8 * dim)


__all__ = [
    "REPLICA_AXIS",
    "Layout",
    "axis_size",
    "by_blocks",
    "default_block",
    "layout",
    "particle_axes",
    "scratch_bytes",
    "weighted_sum",
]
