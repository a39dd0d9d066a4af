"""What every simulation shares: initial values, noise on the grid, and the checks of settings.

State is split as `θ = θ₀ + σ L + D`. The noise is additive, so systems that are coupled through it
share θ₀ and L exactly, and their differences are differences of D, which stays of the size of the
drift: nothing is lost when one jump of 10⁵ would swallow the digits of θ.

Arrays hold particles on the last axis, (dim, n); the public results are transposed to (n, dim).
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from stablesde._arguments import as_choice, as_count, as_number, is_concrete
from stablesde.dynamics._grid import TimeGrid
from stablesde.model import MeanFieldModel, PairwiseModel
from stablesde.noise._base import STREAM_INITIAL, STREAM_NOISE, StableNoise, slots
from stablesde.noise._processes import image
from stablesde.stable._bits import Words, fold, threefry2x32
from stablesde.stable._elementary import flip_sign, sealed
from stablesde.stable._sampling import symmetric_from_words
from stablesde.stable._varying import vary_with
from stablesde.system import LARGEST, System, check_is_system, check_num_initial, in_dtype, traced

SCHEMES = ("euler", "heun", "exponential", "tamed")


class Driver(eqx.Module):
    """θ₀ and the increments of σL as functions of (key, particle, step): one noise for all.

    With `antithetic` = c > 0, the particles asked for are cut into c groups, of which the second
    half gets the negated noise of the first, and negated initial values where their law is
    symmetric; `stratified` takes normal initial values from a shifted lattice. Both are for
    estimates of the law flow.
    """

    system: System
    stream: Words | None
    dtype: Any = eqx.field(static=True)
    antithetic: int = eqx.field(static=True, default=0)
    stratified: bool = eqx.field(static=True, default=False)

    @classmethod
    def of(cls, system: System) -> "Driver":
        """The driver of a system, to be put `under` a stream inside the compiled program."""
        return cls(traced(system), None, system.run_dtype)

    @property
    def words(self) -> Words:
        """The stream."""
        assert self.stream is not None, "a driver draws under a stream"
        return self.stream

    def under(self, stream: Words, **variants: Any) -> "Driver":
        """The driver that draws from `stream`, with the system's numbers in its dtype."""
        return Driver(in_dtype(self.system, self.dtype), stream, self.dtype, **variants)

    def increment(
        self, step: Array, dt: Array, index: UInt32[Array, " n"]
    ) -> Float[Array, "dim n"]:
        """σ (L_{t + dt} - L_t) of the particles `index`, t the start of the step; without the σ if
        it is a function."""
        words, noise, sigma = self._stream(step), self.system.noise, self.system.sigma
        if callable(sigma) or jnp.ndim(sigma):
            drawn = self._paired(lambda i: noise.increments(words, i, dt, 1.0, self.dtype), index)
            return drawn if callable(sigma) else self._times(sigma, drawn, words, index)
        scale = jnp.asarray(sigma, self.dtype)
        return self._paired(lambda i: noise.increments(words, i, dt, scale, self.dtype), index)

    def _stream(self, step: Array) -> Words:
        return fold(self.words, step, STREAM_NOISE)

    def _times(self, sigma: Any, drawn: Array, words: Words, index: Array) -> Array:
        """An array of scales, or a matrix, times what was drawn."""
        sigma, seal = jnp.asarray(sigma, self.dtype), slots(words, index, 2**31 - 1, 1)
        if sigma.ndim == 1:
            return sealed(sigma[:, None] * drawn, seal)
        return image(sigma, drawn, seal)

    def initial(self, index: UInt32[Array, " n"]) -> Float[Array, "dim n"]:
        """Initial values of the particles `index`."""
        init, shape = self.system.init, (self.system.dim, index.shape[0])
        if callable(init):
            words = fold(self.words, 1, STREAM_INITIAL)
            base = jax.random.wrap_key_data(jnp.stack(words), impl="threefry2x32")
            keys = jax.vmap(lambda i: jax.random.fold_in(base, i))(index)
            return jax.vmap(init, out_axes=1)(keys).astype(self.dtype)
        values = jnp.asarray(1.0 if init is None else init, self.dtype)
        if values.ndim == 0:
            return self._paired(lambda i: self._normal(values, i), index)
        return jnp.broadcast_to(values[:, None], shape) if values.ndim == 1 else values[index].T

    def _paired(
        self, draw: Callable[[Array], Array], index: UInt32[Array, " n"]
    ) -> Float[Array, "dim n"]:
        if not self.antithetic:
            return draw(index)
        groups = index.reshape(self.antithetic, 2, -1)[:, 0]
        first = draw(groups.reshape(-1)).reshape(-1, self.antithetic, 1, groups.shape[1])
        return jnp.concatenate([first, -first], 2).reshape(-1, index.shape[0])

    def _normal(self, scale: Array, index: UInt32[Array, " n"]) -> Float[Array, "dim n"]:
        shape = (self.system.dim, index.shape[0])
        if self.stratified:
            return scale * _lattice_normal(fold(self.words, 2, STREAM_INITIAL), index, *shape)
        words = fold(self.words, 0, STREAM_INITIAL)
        slot = jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
        bits = threefry2x32(words, (jnp.broadcast_to(index, shape), slot))
        return symmetric_from_words(bits, 2, self.dtype, scale * math.sqrt(0.5))


class PairedSteps(Driver):
    """The noise of two steps of the grid `fine` in each step: that of half their number."""

    fine: TimeGrid | None = None

    def under(self, stream: Words, **variants: Any) -> "PairedSteps":
        """As `Driver.under`."""
        system = in_dtype(self.system, self.dtype)
        return PairedSteps(system, stream, self.dtype, **variants, fine=self.fine)

    def increment(
        self, step: Array, dt: Array, index: UInt32[Array, " n"]
    ) -> Float[Array, "dim n"]:
        """σ (L_{t + dt} - L_t) of the particles `index`, over the steps 2 `step` and the next."""
        assert self.fine is not None
        first, second = 2 * step, 2 * step + 1
        before = super().increment(first, self.fine.at(first)[1], index)
        return before + super().increment(second, self.fine.at(second)[1], index)


def _lattice_normal(
    shift: Words, index: UInt32[Array, " n"], dim: int, count: int
) -> Float[Array, "dim n"]:
    """N(0, 1) columns from the Kronecker sequence {i g^-j + shift_j}, a randomised quasi-lattice.

    g > 1 solves g^(dim + 1) = g + 1 (Roberts' sequence; dim = 1 is the golden ratio). The products
    are taken modulo 2³² in integers, so that nothing is lost for large i.
    """
    g = 2.0
    for _ in range(60):
        g = (1 + g) ** (1 / (dim + 1))
    slots = jnp.arange(dim, dtype=jnp.uint32)
    start = threefry2x32(shift, (slots, jnp.zeros_like(slots)))[0]
    multipliers = np.array([round(2**32 * g ** -(j + 1)) % 2**32 for j in range(dim)], np.uint32)
    points = jnp.asarray(multipliers)[:, None] * index + start[:, None]
    # The distance to the nearer end keeps its relative precision where a float32 would round to 1.
    upper = points >> jnp.uint32(31)
    tail = jnp.where(upper == 1, ~points, points).astype(jnp.float32)
    size = -jax.scipy.special.ndtri((tail + 0.5) * jnp.float32(2**-32))
    return flip_sign(size, points)


def velocity(
    model: MeanFieldModel, t: Array, theta: Float[Array, "dim n"], m: Float[Array, " M"]
) -> Float[Array, "dim n"]:
    """b(t, θ^i, m) of every particle."""
    t, m = vary_with((t, m), theta)  # a drift may be made by `jax.vjp`, which takes no less
    return model.drift_columns(t, theta, m).astype(theta.dtype)


def check_run(
    system: System,
    *,
    t1: float | Array | None = None,
    scheme: str = "euler",
    num_particles: int | None = None,
    all_listed: bool = True,
    **counts: int | None,
) -> None:
    """Raises `ValueError` for settings that no simulation of `system` can run with.

    With `all_listed`, an `init` that lists particles must list `num_particles` of them.
    """
    check_is_system(system)
    for name, value in {"num_particles": num_particles, **counts}.items():
        if value is not None and as_count(name, value) >= 2**32:
            raise ValueError(f"{name} must be below 2^32, the range of the noise's counters.")
    if num_particles is not None and all_listed:
        check_num_initial(system, num_particles)
    if t1 is not None:
        check_number("t1", t1)
        if is_concrete(t1) and float(t1) == 0:
            raise ValueError("t1 must be positive.")
    check_scheme(scheme, system.model)
    if not system.additive and scheme not in ("euler", "tamed"):
        raise ValueError(
            f"scheme={scheme!r} needs additive noise: with a function as sigma take 'euler' or "
            "'tamed'."
        )


def check_additive(system: System, what: str) -> None:
    """Raises `ValueError` if σ is not one number: `what` is made for that."""
    check_is_system(system)
    if isinstance(system.model, PairwiseModel) or system.model.is_random:
        raise ValueError(
            f"{what} needs a drift through the mean of a statistic, got {system.model}."
        )
    if callable(system.sigma) or np.ndim(system.sigma):
        kind = "a function" if callable(system.sigma) else f"of shape {np.shape(system.sigma)}"
        raise ValueError(f"{what} needs one number as sigma, which is {kind}.")


def check_stable(system: System, what: str) -> None:
    """Raises `ValueError` unless the noise is α-stable, with one number as its σ."""
    check_additive(system, what)
    if not isinstance(system.noise, StableNoise):
        raise ValueError(
            f"{what} needs a stablesde.StableNoise as noise, got {type(system.noise).__name__}."
        )


def stable_part(system: System) -> tuple[StableNoise, float]:
    """The noise and σ of a system that `check_stable` has let pass."""
    noise, sigma = system.noise, system.sigma
    assert isinstance(noise, StableNoise), "check_stable comes before"
    return noise, float(sigma)  # type: ignore[arg-type]


def check_antithetic(system: System) -> None:
    """Raises `ValueError` if -L has not the law of L: pairs of opposite noise would be wrong."""
    u = np.random.default_rng(0).normal(size=(8, system.noise.dim))
    psi = system.noise.exponent(jnp.asarray(u, float))
    if is_concrete(psi) and np.any(np.abs(np.imag(psi)) > 1e-3 * np.abs(psi)):
        raise ValueError(
            f"antithetic=True needs a symmetric noise, whose ψ is real, got {system.noise}."
        )


def check_number(name: str, number: float | Array) -> None:
    """Raises `ValueError` unless `number` is traced, or a finite number that is not negative."""
    if is_concrete(number) and as_number(name, number, 0) > LARGEST:
        raise ValueError(f"{name} is too large, got {number!r}.")


def check_scheme(scheme: str, model: MeanFieldModel) -> None:
    """Raises `ValueError` for an unknown scheme, or one that the model does not provide for."""
    as_choice("scheme", scheme, SCHEMES)
    if scheme == "exponential" and not hasattr(model, "linear_rate"):
        raise ValueError(
            'scheme="exponential" needs a model with a `linear_rate`, such as '
            "WeightDecay(model, rate) or MeanReversion."
        )


__all__ = [
    "SCHEMES",
    "Driver",
    "PairedSteps",
    "check_additive",
    "check_number",
    "check_run",
    "check_scheme",
    "check_stable",
    "stable_part",
    "velocity",
]
