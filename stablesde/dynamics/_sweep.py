"""One sweep of the fine grid that advances a reference and everything coupled to it.

Particles are dealt to the devices of a mesh like cards (particle i to device i mod P), so that the
first particles of the largest system, which make up the smaller ones, are spread evenly.
"""

import functools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stablesde.dynamics._engine import linear_weight
from stablesde.dynamics._grid import TimeGrid
from stablesde.dynamics._layout import by_blocks, weighted_sum
from stablesde.dynamics._system import Driver, velocity
from stablesde.model import MeanFieldModel
from stablesde.stable._varying import vary_with


class Member(NamedTuple):
    """One coupled system: its width, its step in fine steps, and with which reference it is
    compared; `in_limit` if its drift follows the law flow."""

    width: int
    stride: int
    reference: int = 0
    in_limit: bool = False


class Prefixes(NamedTuple):
    """The first particles of the largest system, over `devices` along the mesh's `axes`."""

    devices: int
    axes: tuple[str, ...]

    def local(self, width: int) -> int:
        """How many particles of a system each device holds, at most."""
        return math.ceil(width / self.devices)

    def particles(self, width: int) -> Array:
        """Particle indices on this device."""
        first = jax.lax.axis_index(self.axes) if self.axes else 0
        local = jax.lax.iota(jnp.uint32, self.local(width))
        return local * jnp.uint32(self.devices) + jnp.asarray(first).astype(jnp.uint32)

    def weight(self, width: int, dtype: jnp.dtype) -> Array:
        """1 for the particles of the system of this width, 0 for the rest."""
        if width % self.devices == 0:
            return jnp.ones(self.local(width), dtype)
        return (self.particles(width) < width).astype(dtype)

    def sum(self, x: Array) -> Array:
        return jax.lax.psum(x, self.axes) if self.axes else x

    def max(self, x: Array) -> Array:
        return jax.lax.pmax(x, self.axes) if self.axes else x


class Sweep(eqx.Module):
    """The coupled systems of one replica. A system's carry is (D, b at its last own time)."""

    model: MeanFieldModel
    driver: Driver
    grid: TimeGrid
    flow: Float[Array, "K1 M"] | None
    references: tuple[Member, ...] = eqx.field(static=True)
    members: tuple[Member, ...] = eqx.field(static=True)
    scheme: str = eqx.field(static=True)
    block: int = eqx.field(static=True)
    prefixes: Prefixes = eqx.field(static=True)

    def errors(self) -> tuple[Array, Array, Array, Array]:
        """sup, mean, final sup and final mean of the distances, each (members,)."""
        width = max(m.width for m in self.references)
        index = self.prefixes.particles(width)
        theta0 = self.driver.initial(jnp.minimum(index, jnp.uint32(width - 1)))
        theta0 = vary_with(theta0, self)  # and with it all that is carried
        strides = sorted({m.stride for m in self.members})

        def step(carry, k):  # type: ignore[no-untyped-def]
            levy, references, systems = carry
            base = theta0 + levy
            _, h = self.grid.at(k)
            pairs = zip(self.references, references, strict=True)
            references = [self._move(m, s, base, k) for m, s in pairs]
            for stride in strides:
                # The predicate does not depend on the replica: under vmap the branch stays one.
                systems = jax.lax.cond(
                    k % stride == 0,
                    functools.partial(self._meet, stride, base, references, k),
                    lambda systems: systems,
                    systems,
                )
            return (levy + self.driver.increment(k, h, index), references, systems), None

        at_rest = lambda m: (theta0[:, : self.prefixes.local(m.width)] * 0,) * 2  # noqa: E731
        start = (
            theta0 * 0,
            [at_rest(m) for m in self.references],
            [(at_rest(m), self._distance(at_rest(m)[0], at_rest(m)[1])) for m in self.members],
        )
        last = self.grid.num_steps
        (levy, references, systems), _ = jax.lax.scan(step, start, jnp.arange(last))
        base, k = theta0 + levy, jnp.asarray(last)
        pairs = zip(self.references, references, strict=True)
        return self._summary([self._arrive(m, s, base, k) for m, s in pairs], systems, base, k)

    def _meet(self, stride, base, references, k, systems):  # type: ignore[no-untyped-def]
        """Moves the systems of one stride, and notes their distances from the reference."""
        moved = []
        for member, (state, error) in zip(self.members, systems, strict=True):
            if member.stride == stride:
                state = self._move(member, state, base, k)
                reference = references[member.reference][0]
                error = jnp.maximum(error, self._distance(state[0], reference))
            moved.append((state, error))
        return moved

    def _summary(self, references, systems, base, k):  # type: ignore[no-untyped-def]
        rows = []
        for member, (state, error) in zip(self.members, systems, strict=True):
            displacement = self._arrive(member, state, base, k)
            final = self._distance(displacement, references[member.reference])
            weight = self.prefixes.weight(member.width, final.dtype)
            mean = lambda e: self.prefixes.sum(jnp.sum(e * weight)) / member.width  # noqa: B023, E731
            top = lambda e: self.prefixes.max(jnp.max(e * weight))  # noqa: B023, E731
            error = jnp.maximum(error, final)
            rows.append(jnp.stack([top(error), mean(error), top(final), mean(final)]))
        return tuple(jnp.stack(rows, 1))

    @staticmethod
    def _distance(a: Array, b: Array) -> Float[Array, " n"]:
        return jnp.sqrt(jnp.sum((a - b[:, : a.shape[1]]) ** 2, 0))

    def _move(self, member, state, base, k):  # type: ignore[no-untyped-def]
        """Finishes the step that ends at time t_k, and starts the next one."""
        displacement = self._arrive(member, state, base, k)
        return displacement, self._speed(member, base, displacement, k)

    def _arrive(self, member: Member, state: tuple[Array, Array], base: Array, k: Array) -> Array:
        """D at time t_k, where the step of `member` ends (at k = 0: D = 0)."""
        displacement, speed = state
        h = member.stride * self.grid.at(jnp.maximum(k - 1, 0))[1]
        moved = displacement + h * linear_weight(self.model, self.scheme, h) * speed
        if self.scheme != "heun":
            return moved
        corrected = displacement + h / 2 * (speed + self._speed(member, base, moved, k))
        return jnp.where(k == 0, displacement, corrected)

    def _speed(self, member: Member, base: Array, displacement: Array, k: Array) -> Array:
        t = self.grid.time(k)
        theta = base[:, : displacement.shape[1]] + displacement
        if member.in_limit:
            assert self.flow is not None
            m = self.flow[k].astype(self.driver.dtype)
        else:
            weight = self.prefixes.weight(member.width, theta.dtype)
            total = weighted_sum(
                self.model.statistic_columns, self.block, theta, weight, self.prefixes.devices > 1
            )
            m = self.prefixes.sum(total) / member.width
        return by_blocks(lambda th: velocity(self.model, t, th, m), self.block, theta)


__all__ = ["Member", "Prefixes", "Sweep"]
