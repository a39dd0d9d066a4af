"""One step of a particle system, under every scheme: what all simulations share.

With h the step, L the noise and b the drift, all schemes update `θ = θ₀ + σL + D` through D:

- "euler": `D += h b(t, θ, m)`, the Euler–Maruyama scheme of the paper (eq. 2).
- "heun": the trapezoidal rule, b averaged over θ at the start and the predicted θ at the end of
  the step, which contains the step's noise (Kloeden and Platen 1992, §15.1, with additive noise).
- "exponential": `D += h φ(λh) b(t, θ, m)`, φ(z) = (1 - e^-z) / z, exact for the linear part -λθ of
  the drift while the rest stands still (exponential Euler; Hochbruck and Ostermann 2010, §2.1).
- "tamed": `D += h b / (1 + h ‖b‖)`, which no drift carries further than 1 in a step (Hutzenthaler,
  Jentzen and Kloeden 2012).

If σ is a function, `D += σ(t, θ, m) ΔL` as well, each particle with its own: nothing is shared
then but the increments, σL in the state stays 0, and D is all of `θ - θ₀`.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde.dynamics._grid import TimeGrid
from stablesde.dynamics._layout import Layout, by_chunks
from stablesde.dynamics._pairs import pair_speed
from stablesde.dynamics._system import Driver, velocity
from stablesde.model import MeanFieldModel, PairwiseModel
from stablesde.noise._base import STREAM_DATA
from stablesde.stable._bits import Words, fold


class State(eqx.Module):
    """θ₀ and σL of the drawn particles of one device, and D in its slots."""

    initial: Float[Array, "dim drawn"]
    levy: Float[Array, "dim drawn"]
    displacement: Float[Array, "dim blocks block"]


class Run(eqx.Module):
    """What is simulated: the system with its noise, on a grid, in a layout, by a scheme.

    `flow`, if given, drives the last systems of the layout, which are copies of the limit.
    """

    driver: Driver
    grid: TimeGrid
    flow: Float[Array, "K1 M"] | None
    layout: Layout = eqx.field(static=True)
    scheme: str = eqx.field(static=True, default="euler")

    @property
    def model(self) -> MeanFieldModel:
        """The drift."""
        return self.driver.system.model

    def under(self, stream: Words, **variants: Any) -> "Run":
        """The run with the noise of a stream, its numbers in the dtype of the run."""
        driver = self.driver.under(stream, **variants)
        return Run(driver, self.grid, self.flow, self.layout, self.scheme)

    def start(self) -> State:
        """The state at t = 0."""
        initial = self.driver.initial(self.layout.particles())
        zero = jnp.zeros_like(initial)
        return _computed(State(initial, zero, jnp.zeros_like(self.layout.spread(initial))))

    def theta(self, state: State) -> Float[Array, "dim blocks block"]:
        """The particles in their slots."""
        return self.layout.spread(state.initial + state.levy) + state.displacement

    def model_at(self, k: Array) -> MeanFieldModel:
        """The drift of step k: what it draws is a function of (key, step)."""
        if not self.model.is_random:
            return self.model
        words = jnp.stack(fold(self.driver.words, k, STREAM_DATA))
        return self.model.at_step(jax.random.wrap_key_data(words, impl="threefry2x32"))

    def means(
        self,
        theta: Float[Array, "dim blocks block"],
        systems: int = 1,
        model: MeanFieldModel | None = None,
    ) -> Float[Array, "M J"]:
        """The mean statistic of each of the first J systems, under the model of a step."""
        return self.averages((model or self.model).statistic_columns, theta, systems)

    def variance(
        self, theta: Float[Array, "dim blocks block"], m: Float[Array, " M"]
    ) -> Float[Array, " M"]:
        """The variance over particles of the statistic, whose mean is `m`, in the first system."""
        square = lambda th: (self.model.statistic_columns(th) - m[:, None]) ** 2  # noqa: E731
        return self.averages(square, theta, 1)[:, 0]

    def driving(self, theta: Float[Array, "dim blocks block"], k: Array) -> Float[Array, "M J"]:
        """The m that drives each system at step k: its own mean, or the law flow's."""
        if isinstance(self.model, PairwiseModel):  # no statistic: `speed` looks at the particles
            return self.means(theta, len(self.layout.members))
        interacting = len(self.layout.members) - self.layout.followers
        model = self.model_at(k)
        parts = [self.means(theta, interacting, model)] if interacting else []
        if self.flow is not None:
            m = self.flow[k].astype(self.driver.dtype)
            parts.append(jnp.tile(m[:, None], (1, self.layout.followers)))
        return jnp.concatenate(parts, 1) if len(parts) > 1 else parts[0]

    def speed(
        self, t: Array, theta: Float[Array, "dim blocks block"], m: Float[Array, "M J"], k: Array
    ) -> Float[Array, "dim blocks block"]:
        """b(t, θ, m) in every slot, with the m of its system, under the model of step k."""
        owner, model = self.layout.owner, self.model_at(k)
        if isinstance(model, PairwiseModel):
            cloud = None if self.flow is None else self.flow[k].astype(theta.dtype)
            return pair_speed(model, self.layout, t, theta, cloud)

        def of_chunk(theta: Array, m: Array) -> Array:  # (dim, blocks, block), (M, blocks)
            if theta.shape[1] == 1:
                return velocity(model, t, theta[:, 0], m[:, 0])[:, None]
            each = jax.vmap(lambda th, m: velocity(model, t, th, m), in_axes=1, out_axes=1)
            return each(theta, m)

        m = jnp.take(m, owner, axis=1, mode="clip") if len(owner) > 1 else m
        return by_chunks(of_chunk, self.layout.chunk, theta, m)

    def step(self, state: State, k: Array) -> tuple[State, Float[Array, "M J"]]:
        """The state after step k, and the statistic that drove it."""
        m = self.driving(self.theta(state), k)
        return self.step_given(state, k, m), m

    def step_given(self, state: State, k: Array, m: Float[Array, "M J"]) -> State:
        """The state after step k, in which `m` drives the drift."""
        if not self.driver.system.additive:
            return self.step_multiplied(state, k, m, self.increment(k))
        t, h = self.grid.at(k)
        speed = self.speed(t, self.theta(state), m, k)
        # Noise is drawn for all particles at once: its temporaries are no larger than the state,
        # and inside a loop over blocks XLA would draw it on one core.
        levy = state.levy + self.driver.increment(k, h, self.layout.particles())
        moved = self.leave(state.displacement, speed, h)
        if self.scheme == "heun":
            base = self.layout.spread(state.initial + levy)
            moved = self.arrive(base, state.displacement, moved, k + 1, h)
        return _computed(State(state.initial, levy, moved))

    def increment(self, k: Array) -> Float[Array, "q drawn"]:
        """ΔL of step k where σ is a function."""
        drawn = self.driver.increment(k, self.grid.at(k)[1], self.layout.particles())
        return jax.lax.optimization_barrier(drawn)

    def step_multiplied(self, state: State, k: Array, m: Array, drawn: Array) -> State:
        """The state after step k, with the increments of L in it, where σ is a function."""
        h = self.grid.at(k)[1]
        moved = self.move(state.initial, state.displacement, k, h, m, drawn)
        return _computed(State(state.initial, state.levy, moved))

    def move(
        self, initial: Array, displacement: Array, k: Array, h: Array, m: Array, drawn: Array
    ) -> Float[Array, "dim blocks block"]:
        """D after a step of size h from t_k in which L moves by `drawn`, where σ is a function."""
        t, theta = self.grid.time(k), self.layout.spread(initial) + displacement
        kicks = self._kicks(t, theta, m, self.layout.spread(drawn))
        return self.leave(displacement, self.speed(t, theta, m, k), h) + kicks

    def _kicks(self, t: Array, theta: Array, m: Array, drawn: Array) -> Array:
        """σ(t, θ, m) ΔL in every slot."""
        sigma = self.driver.system.sigma

        def one(theta: Array, m: Array, drawn: Array) -> Array:
            value = jnp.asarray(sigma(t, theta, m), theta.dtype)  # type: ignore[operator]
            # Not a matrix product, whose precision accelerators lower.
            return jnp.sum(value * drawn, -1) if value.ndim == 2 else value * drawn

        columns = jax.vmap(one, in_axes=(1, None, 1), out_axes=1)  # (dim, block), (M,), (q, block)
        blocks = jax.vmap(columns, in_axes=1, out_axes=1)
        owner = self.layout.owner
        m = jnp.take(m, owner, axis=1, mode="clip") if len(owner) > 1 else m
        return by_chunks(blocks, self.layout.chunk, theta, m, drawn)

    def leave(
        self, displacement: Array, speed: Array, h: Array
    ) -> Float[Array, "dim blocks block"]:
        """D at the end of a step of size h, from D and the drift at its start."""
        if self.scheme == "tamed":
            speed = tamed(speed, h)
        return displacement + h * linear_weight(self.model, self.scheme, h) * speed

    def arrive(self, base: Array, behind: Array, ahead: Array, k: Array, h: Array) -> Array:
        """Heun's D at time t_k: `behind` is D at the start of the step, `ahead` what `leave` gave.

        `base` is θ₀ + σL at t_k.
        """
        theta = base + ahead
        speed = self.speed(self.grid.time(k), theta, self.driving(theta, k), k)
        return (behind + ahead) / 2 + h / 2 * speed

    def averages(self, statistic: Callable[[Array], Array], theta: Array, systems: int) -> Array:
        """Means of a statistic over the particles of the first systems, (M, systems)."""
        plan, dtype = self.layout, theta.dtype
        counts = plan.counts(systems)
        if systems == 1 and not plan.padded and counts.all():
            weight = jnp.ones((1, *counts.shape), dtype)  # no array that a derivative would keep
        else:
            own = plan.owner[: len(counts)] == np.arange(systems)[:, None]
            weight = jnp.asarray(own[:, :, None] & counts, dtype)
        total = self.weighted(statistic, theta, weight, plan.padded)
        return plan.sum(total) / plan.populations(systems).astype(dtype)[None]

    def weighted(
        self, statistic: Callable[[Array], Array], theta: Array, weight: Array, hidden: bool = True
    ) -> Array:
        """Sums over the slots of this device of a statistic times each of J weights, (J, blocks,
        block); (M, J). `hidden`: where all weights are 0 a statistic need not be finite."""
        plan, dtype, systems = self.layout, theta.dtype, weight.shape[0]

        def of_chunk(theta: Array, weight: Array) -> Array:  # (dim, blocks, block), (J, same)
            values = statistic(theta.reshape(theta.shape[0], -1)).astype(dtype)
            weight = weight.reshape(systems, -1)
            if hidden:
                values = jnp.where(jnp.sum(weight, 0) > 0, values, 0)
            # A matrix product adds in several lanes: faster, and with far smaller rounding errors,
            # than a reduction over a long last axis.
            high = jax.lax.Precision.HIGHEST
            if systems == 1:
                return jnp.matmul(values, weight[0], precision=high)[:, None, None]
            return jnp.matmul(values, weight.T, precision=high)[:, None]

        blocks = weight.shape[1]
        return jnp.sum(by_chunks(of_chunk, plan.chunk, theta[:, :blocks], weight), 1)


def _computed(state: State) -> State:
    """Keeps the compiler from drawing the noise again for every statistic that reads the state."""
    return jax.lax.optimization_barrier(state)


def tamed(speed: Float[Array, "dim blocks block"], h: Array) -> Array:
    """b / (1 + h ‖b‖), also where ‖b‖² or b itself is too large a number."""
    largest = float(jnp.finfo(speed.dtype).max) ** 0.5 / 4
    top = jnp.max(jnp.abs(speed), 0, keepdims=True)
    size = jnp.clip(top, 1.0, largest)
    unit = jnp.clip(speed, -largest, largest) / size
    norm = size * jnp.sqrt(jnp.sum(unit * unit, 0, keepdims=True))
    return unit * (size / (1 + h * norm))


def linear_weight(model: MeanFieldModel, scheme: str, h: Array) -> Array:
    """φ(λh), by which the scheme weighs the drift over a step h; 1 unless it is exponential."""
    if scheme != "exponential":
        return jnp.ones_like(h)
    z = jnp.asarray(model.linear_rate, h.dtype) * h  # type: ignore[attr-defined]
    small = jnp.abs(z) < 1e-4
    safe = jnp.where(small, 1, z)
    return jnp.where(small, 1 - z / 2, -jnp.expm1(-safe) / safe)


__all__ = ["Run", "State"]
