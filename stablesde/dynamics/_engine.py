"""One step of a particle system, under every scheme.

With h the step, L the noise and b the drift, all schemes update `θ = θ₀ + σL + D` through D:

- "euler": `D += h b(t, θ, m)`, the Euler–Maruyama scheme of the paper (eq. 2).
- "heun": the trapezoidal rule, b averaged over θ at the start and the predicted θ at the end of
  the step, which contains the step's noise (Kloeden and Platen 1992, §15.1, with additive noise).
- "exponential": `D += h φ(λh) b(t, θ, m)`, φ(z) = (1 - e^-z) / z, exact for the linear part -λθ of
  the drift while the rest stands still (exponential Euler; Hochbruck and Ostermann 2010, §2.1).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stablesde.dynamics._grid import TimeGrid
from stablesde.dynamics._layout import Layout, by_blocks, weighted_sum
from stablesde.dynamics._system import Driver, velocity
from stablesde.model import MeanFieldModel


class State(eqx.Module):
    """θ₀, σL and D of the particles of one device."""

    initial: Float[Array, "dim n"]
    levy: Float[Array, "dim n"]
    displacement: Float[Array, "dim n"]

    @property
    def theta(self) -> Float[Array, "dim n"]:
        return self.initial + self.levy + self.displacement


class Engine(eqx.Module):
    """Advances a system, or independent copies of its limit if `flow` is given."""

    model: MeanFieldModel
    driver: Driver
    grid: TimeGrid
    flow: Float[Array, "K1 M"] | None
    layout: Layout = eqx.field(static=True)
    scheme: str = eqx.field(static=True, default="euler")

    def start(self) -> State:
        """The state at t = 0."""
        initial = self.driver.initial(self.layout.particles())
        zero = jnp.zeros_like(initial)
        return _computed(State(initial, zero, zero))

    def mean(self, state: State) -> Float[Array, " M"]:
        """The mean statistic of the particles of `state`."""
        return self._mean(self.model.statistic_columns, state.theta)

    def variance(self, state: State, m: Float[Array, " M"]) -> Float[Array, " M"]:
        """The variance over particles of the statistic, whose mean is `m`."""
        square = lambda th: (self.model.statistic_columns(th) - m[:, None]) ** 2  # noqa: E731
        return self._mean(square, state.theta)

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
        speed = self._speed(t, state.theta, m)
        # Noise is drawn for all particles at once: its temporaries are no larger than the state,
        # and inside a loop over blocks XLA would draw it on one core.
        levy = state.levy + self.driver.increment(k, h, self.layout.particles())
        if self.scheme == "heun":
            displacement = self._corrected(state, levy, speed, k)
        else:
            weight = h * linear_weight(self.model, self.scheme, h)
            displacement = state.displacement + weight * speed
        return _computed(State(state.initial, levy, displacement))

    def _corrected(self, state: State, levy: Array, speed: Array, k: Array) -> Array:
        """D at the end of Heun's step: `speed` is the drift at its start, `levy` at its end."""
        t, h = self.grid.at(k)
        theta = state.initial + levy + (state.displacement + h * speed)
        if self.flow is None:
            m = self._mean(self.model.statistic_columns, theta)
        else:
            m = self.flow[k + 1].astype(self.driver.dtype)
        return state.displacement + h / 2 * (speed + self._speed(t + h, theta, m))

    def _speed(self, t: Array, theta: Array, m: Array) -> Float[Array, "dim n"]:
        return by_blocks(lambda th: velocity(self.model, t, th, m), self.layout.block, theta)

    def _mean(self, statistic: Callable[[Array], Array], theta: Array) -> Float[Array, " M"]:
        weight = self.layout.weights(theta.dtype)
        total = weighted_sum(statistic, self.layout.block, theta, weight, self.layout.padded)
        return self.layout.sum(total) / self.layout.population


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
