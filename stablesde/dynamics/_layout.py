"""Where particles live: devices of a mesh, and blocks of slots on each of them.

The slots of a device are cut into blocks of equal size. Every block belongs to one system, whose
mean statistic drives its particles; several systems, such as the widths of a coupled run, lie side
by side and share the noise that is drawn. Blocks are worked on in chunks, which bound the memory
of a step at O(n dim + chunk · M). Noise does not depend on the layout, a mean over particles does
only to rounding.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, UInt32

from stablesde.dynamics._memory import block_bytes

REPLICA_AXIS = "replicas"


class Member(NamedTuple):
    """A system on one device: `share` of the particles drawn there, from the start of a block on.

    Those whose index is below `limit` belong to it, and over all devices they are `population`.
    """

    first: int
    share: int
    limit: int
    population: int


class Layout(NamedTuple):
    """The slots of a device, which are `blocks` times `block`, and what stands in them.

    - `num_particles`: n of the largest system. `drawn`: particles per device that have noise.
    - `dealt`: particle i is on device i mod P, like cards, so that the first particles, which
      make up the smaller systems, are spread evenly; otherwise devices hold consecutive shares.
    - `followers`: how many of the last systems follow the law flow; the others interact.
    - `chunk`: blocks that are worked on at once.
    """

    num_particles: int
    drawn: int
    members: tuple[Member, ...]
    block: int
    chunk: int
    followers: int = 0
    dealt: bool = False
    num_devices: int = 1
    axes: tuple[str, ...] = ()

    @property
    def owner(self) -> Int[np.ndarray, " blocks"]:
        """The system to which each block belongs."""
        blocks = [-(-m.share // self.block) for m in self.members]
        return np.repeat(np.arange(len(self.members)), blocks)

    @property
    def slots(self) -> int:
        """Slots per device."""
        return self.block * len(self.owner)

    def blocks_of(self, systems: int) -> int:
        """Blocks per device of the first systems."""
        return sum(-(-m.share // self.block) for m in self.members[:systems])

    def spread(
        self, drawn: Float[Array, "dim drawn"], systems: int | None = None
    ) -> Float[Array, "dim blocks block"]:
        """What is known of the drawn particles, in the slots of the first systems (None: all)."""
        members, block = self.members[:systems], self.block
        blocks = drawn.reshape(drawn.shape[0], -1, block)
        ranges = [(m.first // block, (m.first - 1 + m.share) // block + 1) for m in members]
        if ranges == [(0, blocks.shape[1])]:
            return blocks
        # A gather would do, but XLA puts its result into an order that all who read it suffer from.
        cuts = sorted({0, blocks.shape[1], *(end for ends in ranges for end in ends)})
        pieces = jax.lax.split(blocks, np.diff(cuts).tolist(), axis=1)
        parts = [
            piece
            for first, end in ranges
            for start, piece in zip(cuts, pieces, strict=False)
            if first <= start < end
        ]
        return jax.lax.optimization_barrier(jax.lax.concatenate(parts, 1))

    def particles(self) -> UInt32[Array, " drawn"]:
        """Indices of the drawn particles of this device (inside `shard_map` if there are axes).

        Beyond the last particle it is repeated: copies are computed along, and count nowhere.
        """
        return jnp.minimum(self._index(), jnp.uint32(self.num_particles - 1))

    def _index(self) -> UInt32[Array, " drawn"]:
        device = jax.lax.axis_index(self.axes) if self.axes else 0
        device = jnp.asarray(device).astype(jnp.uint32)
        local = jax.lax.iota(jnp.uint32, self.drawn)
        if self.dealt:
            return local * jnp.uint32(self.num_devices) + device
        return local + device * jnp.uint32(self.drawn)

    @property
    def padded(self) -> bool:
        """Whether particles beyond the last one of a system may stand in slots that are its own."""
        return any(m.share * self.num_devices != m.population for m in self.members)

    def counts(self, systems: int) -> Bool[Array | np.ndarray, "blocks block"]:
        """Which slots of the first systems hold a particle of their system."""
        members = self.members[:systems]
        blocks = [-(-m.share // self.block) for m in members]
        own = [np.arange(b * self.block) < m.share for m, b in zip(members, blocks, strict=True)]
        inside = np.concatenate(own).reshape(-1, self.block)
        if not self.padded:
            return inside
        limits = np.repeat([m.limit for m in members], blocks).astype(np.uint32)
        index = self.spread(self._index()[None], systems)[0]
        return (index < limits[:, None]) & inside

    def populations(self, systems: int) -> Float[np.ndarray, " systems"]:
        """How many particles each of the first systems has."""
        return np.array([m.population for m in self.members[:systems]], float)

    def sum(self, x: Array) -> Array:
        """The sum over devices."""
        return jax.lax.psum(x, self.axes) if self.axes else x

    def max(self, x: Array) -> Array:
        """The maximum over devices."""
        return jax.lax.pmax(x, self.axes) if self.axes else x


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
    num_particles: int, limit: int, mesh: Mesh | None, *, multiple: int = 1, follows: bool = False
) -> Layout:
    """n particles in consecutive shares, in blocks of at most `limit`.

    With `multiple` > 1, n is rounded up so that no slot is empty and each share is divisible.
    """
    axes = particle_axes(mesh)
    devices = axis_size(mesh, axes)
    share = math.ceil(num_particles / devices)
    blocks = math.ceil(share / limit)
    unit = blocks * multiple
    if multiple > 1:
        share = math.ceil(share / unit) * unit
        num_particles = share * devices
    block = math.ceil(share / blocks)
    member = Member(0, blocks * block, num_particles, num_particles)
    return Layout(
        num_particles, blocks * block, (member,), block, 1, int(follows), False, devices, axes
    )


def halved(plan: Layout) -> Layout:
    """The same particles as one system, and beside it its two halves as systems of their own."""
    share, n = plan.drawn, plan.num_particles
    block = plan.block if plan.block <= share // 2 else share // 2
    halves = [Member(first, share // 2, n, n // 2) for first in (0, share // 2)]
    members = (Member(0, share, n, n), *halves)
    return plan._replace(members=members, block=math.gcd(block, share // 2))


def side_by_side(
    widths: Sequence[int], limit: int, mesh: Mesh | None, *, with_limit: bool
) -> Layout:
    """Systems of the first particles of the largest; `with_limit`: and its copies in the limit."""
    axes = particle_axes(mesh)
    devices = axis_size(mesh, axes)
    sizes = [*widths, max(widths)] if with_limit else list(widths)
    members = tuple(Member(0, math.ceil(n / devices), n, n) for n in sizes)
    counts = np.array([m.share for m in members])
    block = _block([m.share for m in members])
    drawn = math.ceil(counts.max() / block) * block
    chunk = min(max(limit // block, 1), int(np.sum(-(-counts // block))))
    return Layout(max(widths), drawn, members, block, chunk, int(with_limit), True, devices, axes)


def _block(counts: list[int]) -> int:
    """The size of blocks for which the fewest operations are done.

    Systems are filled up to whole blocks; and what depends on the mean statistic alone is done for
    every block, which costs about as much as one more particle.
    """
    powers = [2**i for i in range(3, max(max(counts).bit_length(), 4))]
    sizes = [max(counts) if len(counts) == 1 else math.gcd(*counts), *counts, *powers]
    cost = {b: sum(-(-n // b) * (b + 1) for n in counts) for b in sizes}
    return min(cost, key=lambda b: (cost[b], b))


def by_chunks(function: Callable[..., Array], chunk: int, *arrays: Array) -> Array:
    """`function` on chunks of axis 1, the blocks, with the results joined along it."""
    blocks = arrays[0].shape[1]
    if blocks <= chunk:
        return function(*arrays)
    # Derivatives compute a chunk again: what they would keep of it, for all of them, is O(n M).
    function = jax.checkpoint(function)
    full = blocks // chunk

    def split(a: Array) -> Array:
        parts = a[:, : full * chunk].reshape(a.shape[0], full, chunk, *a.shape[2:])
        return jnp.moveaxis(parts, 1, 0)

    mapped = jax.lax.map(lambda parts: function(*parts), tuple(split(a) for a in arrays))
    joined = jnp.moveaxis(mapped, 0, 1)
    rows, chunks, each = joined.shape[:3]  # no -1: there may be no rows
    joined = joined.reshape(rows, chunks * each, *joined.shape[3:])
    if full * chunk == blocks:
        return joined
    return jnp.concatenate([joined, function(*(a[:, full * chunk :] for a in arrays))], 1)


def default_block(statistic_size: int, dim: int, itemsize: int) -> int:
    """Particles per block for which the temporaries of a step stay below `block_bytes()`."""
    return max(block_bytes() // scratch_bytes(statistic_size, dim, itemsize), 1024)


def scratch_bytes(statistic_size: int, dim: int, itemsize: int) -> int:
    """Temporary bytes of a step per particle of a block: φ, its derivative, and a few states."""
    return itemsize * (2 * statistic_size + 8 * dim)


__all__ = [
    "REPLICA_AXIS",
    "Layout",
    "Member",
    "axis_size",
    "by_chunks",
    "default_block",
    "halved",
    "layout",
    "particle_axes",
    "scratch_bytes",
    "side_by_side",
]
