"""One step of a particle system over blocks of particles, under every scheme.

With h the step, L the noise and b the drift, all schemes update `θ = θ₀ + σL + D` through D:

- "euler": `D += h b(t, θ, m)`, the Euler–Maruyama scheme of the paper (eq. 2).
- "heun": the trapezoidal rule, b averaged over θ at the start and the predicted θ at the end of
  the step, which contains the step's noise (Kloeden and Platen 1992, §15.1, with additive noise).
- "exponential": `D += h φ(λh) b(t, θ, m)`, φ(z) = (1 - e^-z) / z, exact for the linear part -λθ of
  the drift while the rest stands still (exponential Euler; Hochbruck and Ostermann 2010, §2.1).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stablesde.dynamics._grid import TimeGrid
from stablesde.dynamics._layout import Layout
from stablesde.dynamics._system import Driver, InitialLaw, statistic_size, velocity
from stablesde.model import MeanFieldModel


class State(eqx.Module):
    """θ₀, σL and D of the particles of one device, in blocks."""

    initial: Float[Array, "B dim b"]
    levy: Float[Array, "B dim b"]
    displacement: Float[Array, "B dim b"]

    @property
    def parts(self) -> tuple[Array, Array, Array]:
        return self.initial, self.levy, self.displacement


class Engine(eqx.Module):
    """Advances a system, or independent copies of its limit if `flow` is given."""

    model: MeanFieldModel
    driver: Driver
    grid: TimeGrid
    flow: Float[Array, "K1 M"] | None
    layout: Layout = eqx.field(static=True)
    scheme: str = eqx.field(static=True, default="euler")

    def start(self, init: InitialLaw) -> State:
        """The state at t = 0."""
        initial = self._each_block(
            lambda first: self.driver.initial(init, self.layout.particles(first)[0]),
            self.layout.starts(),
        )
        zero = jnp.zeros_like(initial)
        return _computed(State(initial, zero, zero))

    def mean(self, state: State) -> Float[Array, " M"]:
        """The mean statistic of the particles of `state`."""
        return self._mean(lambda a, b, c: a + b + c, *state.parts)

    def variance(self, state: State, m: Float[Array, " M"]) -> Float[Array, " M"]:
        """The variance over particles of the statistic, whose mean is `m`."""
        square = lambda values: (values - m[:, None]) ** 2  # noqa: E731
        return self._mean(lambda a, b, c: a + b + c, *state.parts, transform=square)

    def statistic_at(self, state: State, k: Array) -> Float[Array, " M"]:
        """The m that drives the drift at step k."""
        return self.mean(state) if self.flow is None else self.flow[k].astype(self.driver.dtype)

    def step(self, state: State, k: Array) -> tuple[State, Float[Array, " M"]]:
        """The state after step k, and the statistic that drove it."""
        m = self.statistic_at(state, k)
        return self.step_given(state, k, m), m

    def step_given(self, state: State, k: Array, m: Float[Array, " M"]) -> State:
        """The state after step k, in which `m` drives the drift."""
        t, h = self.grid.at(k)
        weight = h * linear_weight(self.model, self.scheme, h)

        def advance(first, initial, levy, displacement):  # type: ignore[no-untyped-def]
            jump = self.driver.increment(k, h, self.layout.particles(first)[0])
            speed = velocity(self.model, t, initial + levy + displacement, m)
            if self.scheme == "heun":
                return levy + jump, speed
            return levy + jump, displacement + weight * speed

        starts = self.layout.starts()
        levy, second = self._each_block(advance, starts, *state.parts)
        if self.scheme == "heun":
            second = self._corrected(state, levy, second, k)
        return _computed(State(state.initial, levy, second))

    def _corrected(self, state: State, levy: Array, speed: Array, k: Array) -> Array:
        """D at the end of Heun's step: `speed` is the drift at its start, `levy` at its end."""
        t, h = self.grid.at(k)
        predicted = lambda a, b, c, v: a + b + c + h * v  # noqa: E731
        parts = (state.initial, levy, state.displacement, speed)
        if self.flow is None:
            m = self._mean(predicted, *parts)
        else:
            m = self.flow[k + 1].astype(self.driver.dtype)

        def correct(initial, levy, displacement, speed):  # type: ignore[no-untyped-def]
            theta = predicted(initial, levy, displacement, speed)
            return displacement + h / 2 * (speed + velocity(self.model, t + h, theta, m))

        return self._each_block(correct, *parts)

    def _mean(self, theta_of: Any, *parts: Array, transform: Any = None) -> Float[Array, " M"]:
        """Mean over all particles of φ(θ), θ = theta_of(*blocks of parts)."""
        size = statistic_size(self.model)

        def block_sum(first, *blocks):  # type: ignore[no-untyped-def]
            values = self.model.statistic_columns(theta_of(*blocks)).astype(self.driver.dtype)
            values = values if transform is None else transform(values)
            weight = jnp.ones(self.layout.block, values.dtype)
            if self.layout.padded:
                weight = self.layout.particles(first)[1].astype(values.dtype)
                values = jnp.where(weight > 0, values, 0)
            # A matrix-vector product adds in several lanes: faster, and far smaller rounding
            # errors, than a reduction over a long last axis.
            return jnp.matmul(values, weight, precision=jax.lax.Precision.HIGHEST)

        arrays = (self.layout.starts(), *parts)
        if self.layout.num_blocks == 1:
            total = block_sum(*(a[0] for a in arrays))
        else:
            total, _ = jax.lax.scan(
                lambda s, blocks: (s + block_sum(*blocks), None),
                jnp.zeros(size, self.driver.dtype),
                arrays,
            )
        return self.layout.sum(total) / self.layout.population

    def _each_block(self, function: Any, *arrays: Array) -> Any:
        if self.layout.num_blocks == 1:
            return jax.tree.map(lambda a: a[None], function(*(a[0] for a in arrays)))
        return jax.lax.map(lambda blocks: function(*blocks), arrays)

    def public(self, blocks: Float[Array, "*S B dim b"]) -> Float[Array, "*S n dim"]:
        """The particles of this device's share, as rows."""
        rows = jnp.moveaxis(blocks, -2, -1)
        rows = rows.reshape(*blocks.shape[:-3], -1, blocks.shape[-2])
        return rows[..., : self.layout.share, :]


def _computed(state: State) -> State:
    """Keeps the compiler from drawing the noise again for every statistic that reads the state."""
    return jax.lax.optimization_barrier(state)


def linear_weight(model: MeanFieldModel, scheme: str, h: Array) -> Array:
    """φ(λh), by which the scheme weighs the drift over a step h; 1 unless it is exponential."""
    if scheme != "exponential":
        return jnp.ones_like(h)
    z = jnp.asarray(model.linear_rate, h.dtype) * h  # type: ignore[attr-defined]
    small = jnp.abs(z) < 1e-4
    safe = jnp.where(small, 1, z)
    return jnp.where(small, 1 - z / 2, -jnp.expm1(-safe) / safe)


__all__ = ["Engine", "State", "linear_weight"]
