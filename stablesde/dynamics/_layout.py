"""Where particles live: devices of a mesh, and blocks on each of them.

Blocks bound the memory of a step at O(n dim + block · M). Noise does not depend on the layout, a
mean over particles does only to rounding.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, UInt32

from stablesde.dynamics._memory import block_bytes

REPLICA_AXIS = "replicas"


class Layout(NamedTuple):
    """n particles over devices (consecutive shares) and blocks (consecutive in each share)."""

    num_particles: int
    num_devices: int
    block: int
    num_blocks: int
    axes: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1

    @property
    def population(self) -> int:
        """Particles of the system: all, or those of this part."""
        return self.num_particles // self.parts

    def split(self, parts: int) -> list["Layout"]:
        """Systems of equal parts of the particles; the number of blocks must be a multiple."""
        blocks = self.num_blocks // parts
        return [self._replace(num_blocks=blocks, part=i, parts=parts) for i in range(parts)]

    @property
    def share(self) -> int:
        """Particles per device; the last devices may hold fewer."""
        return math.ceil(self.num_particles / self.num_devices)

    @property
    def padded(self) -> bool:
        """Whether some slots hold no particle of the system."""
        return self.share * self.num_devices > self.num_particles or (
            self.block * self.num_blocks * self.parts > self.share
        )

    def first(self) -> Array:
        """Index of this device's first particle (inside `shard_map` where there are devices)."""
        device = jax.lax.axis_index(self.axes) if self.axes else 0
        return jnp.asarray(device).astype(jnp.uint32) * jnp.uint32(self.share)

    def starts(self) -> UInt32[Array, " B"]:
        """First slot of every block, within the share."""
        blocks = jnp.arange(self.num_blocks, dtype=jnp.uint32)
        return (blocks + jnp.uint32(self.part * self.num_blocks)) * jnp.uint32(self.block)

    def particles(self, start: Array) -> tuple[UInt32[Array, " b"], Array]:
        """Particle index, and whether there is such a particle, of the slots of one block.

        Empty slots repeat the last particle: they are computed along, and count nowhere.
        """
        slot = jax.lax.iota(jnp.uint32, self.block) + start
        particle = self.first() + slot
        real = (slot < self.share) & (particle < self.num_particles)
        return jnp.minimum(particle, jnp.uint32(self.num_particles - 1)), real

    def sum(self, x: Array) -> Array:
        """The sum over devices."""
        return jax.lax.psum(x, self.axes) if self.axes else x


def particle_axes(mesh: Mesh | None) -> tuple[str, ...]:
    """The axes of `mesh` over which particles are spread: all but the one named "replicas"."""
    return () if mesh is None else tuple(a for a in mesh.axis_names if a != REPLICA_AXIS)


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
    limit = default_block(statistic_size, dim, itemsize) if block_size is None else block_size
    blocks = math.ceil(share / limit)
    return Layout(num_particles, devices, math.ceil(share / blocks), blocks, axes)


def default_block(statistic_size: int, dim: int, itemsize: int) -> int:
    """Particles per block for which the temporaries of a step stay below `block_bytes()`."""
    return max(block_bytes() // scratch_bytes(statistic_size, dim, itemsize), 1024)


def scratch_bytes(statistic_size: int, dim: int, itemsize: int) -> int:
    """Temporary bytes of a step per particle of a block: φ, its derivative, and a few states."""
    return itemsize * (2 * statistic_size + 8 * dim)


__all__ = ["REPLICA_AXIS", "Layout", "axis_size", "default_block", "layout", "particle_axes"]
