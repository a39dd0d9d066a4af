"""Brownian motion at a random time: variance gamma, normal inverse Gaussian, tempered stable."""

import abc
import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, UInt32

from stablesde._arguments import as_number, as_parameter, as_real, is_concrete
from stablesde.noise._base import LevyNoise, as_complex, as_dim, check_noise, frequencies, slots
from stablesde.noise._rejection import gamma, tempered_positive
from stablesde.stable import _elementary as el
from stablesde.stable._bits import Words, mix
from stablesde.stable._elementary import sealed
from stablesde.stable._sampling import symmetric_from_words


def as_positive(name: str, value: Any) -> Any:
    """`value` for a field that is positive: traced, an array () or a float."""
    if is_concrete(value):
        number = as_number(name, value, 0, math.inf, "()")
        if number < float(jnp.finfo(jnp.float32).tiny):
            raise ValueError(f"{name} must be a positive, normal number in float32, got {value!r}.")
    return as_parameter(name, value, 0.0)


def _as_skew(value: Any) -> Any:
    if value is None or not is_concrete(value):
        return value
    values = np.asarray(as_real("skew", value), float)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError(f"skew must be a finite array of shape (dim,) or None, got {value!r}.")
    return jnp.asarray(values)


class _Subordinated(LevyNoise):
    """`L_t = skew T_t + W(T_t)`, W a standard Brownian motion, T an independent subordinator."""

    dim: eqx.AbstractVar[int]
    skew: eqx.AbstractVar[Float[Array, " dim"] | None]

    @abc.abstractmethod
    def _time(
        self, stream: Words, index: UInt32[Array, " n"], dt: Array, dtype: jnp.dtype
    ) -> Float[Array, "1 n"]:
        """T over a step of length dt. May use slot 0 and attempts."""

    @abc.abstractmethod
    def _laplace(self, s: Complex[Array, "*shape"]) -> Complex[Array, "*shape"]:
        """-log E exp(-s T_1), for complex s with Re s ≥ 0."""

    def __check_init__(self) -> None:
        if self.skew is not None and np.shape(self.skew) != (self.dim,):
            raise ValueError(f"skew must have shape ({self.dim},), got {np.shape(self.skew)}.")

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        time = self._time(stream, index, jnp.asarray(dt).astype(dtype), dtype)
        words = slots(stream, index, 1, self.dim)
        moved = symmetric_from_words(words, 2, dtype, scale * jnp.sqrt(time / 2))
        if self.skew is None:
            return moved
        return moved + sealed(scale * (self.skew.astype(dtype)[:, None] * time), words)

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        s = as_complex(jnp.sum(u * u, -1) / 2)
        return self._laplace(
            s if self.skew is None else s - 1j * jnp.matmul(u, self.skew, precision="highest")
        )


class VarianceGamma(_Subordinated):
    """The variance gamma process `L_t = skew G_t + W(G_t)`: Brownian motion at gamma times.

    G_t has mean t and variance `nu` t. Characteristic exponent
    `ψ(u) = log(1 - iν⟨skew, u⟩ + ν‖u‖²/2) / ν`: infinitely many jumps of finite total length, tails
    that fall exponentially, E L_t = skew t and, without skew, covariance t I. Drawn exactly, by
    rejection (Marsaglia and Tsang 2000). A path has no derivative in `nu`: gradients of what is
    drawn are 0 with respect to it.

    **Arguments:** `dim`; `nu` > 0; `skew`, shape (dim,), None for a symmetric law.
    **Raises:** `ValueError` for a `nu` or `skew` that is none.
    Source: Madan, Carr and Chang (1998).
    """

    dim: int = eqx.field(static=True, converter=as_dim)
    nu: float | Float[Array, ""] = eqx.field(default=1.0, converter=partial(as_positive, "nu"))
    skew: Float[Array, " dim"] | None = eqx.field(default=None, converter=_as_skew)

    def _time(
        self, stream: Words, index: UInt32[Array, " n"], dt: Array, dtype: jnp.dtype
    ) -> Float[Array, "1 n"]:
        # The draw by rejection has no derivative in ν, so that half of one would be left.
        nu = jax.lax.stop_gradient(jnp.asarray(self.nu, dtype))
        return nu * gamma(stream, index, dt / nu, dtype)

    def _laplace(self, s: Complex[Array, "*shape"]) -> Complex[Array, "*shape"]:
        return jnp.log(1 + self.nu * s) / self.nu


class NormalInverseGaussian(_Subordinated):
    """The normal inverse Gaussian process `L_t = skew T_t + W(T_t)`, T inverse Gaussian.

    T_t has mean t and variance `nu` t. Characteristic exponent
    `ψ(u) = (√(1 - 2iν⟨skew, u⟩ + ν‖u‖²) - 1) / ν`: small jumps as of a Cauchy process, tails that
    fall exponentially. Drawn exactly (Michael, Schucany and Haas 1976).

    **Arguments:** `dim`; `nu` > 0; `skew`, shape (dim,), None for a symmetric law.
    **Raises:** `ValueError` for a `nu` or `skew` that is none.
    Source: Barndorff-Nielsen (1997).
    """

    dim: int = eqx.field(static=True, converter=as_dim)
    nu: float | Float[Array, ""] = eqx.field(default=1.0, converter=partial(as_positive, "nu"))
    skew: Float[Array, " dim"] | None = eqx.field(default=None, converter=_as_skew)

    def _time(
        self, stream: Words, index: UInt32[Array, " n"], dt: Array, dtype: jnp.dtype
    ) -> Float[Array, "1 n"]:
        words = slots(stream, index, 0, 1)
        z = symmetric_from_words(words, 2, dtype, 0.5**0.5)
        r = jnp.asarray(self.nu, dtype) / dt * z * z
        # The lesser root of x + 1/x = 2 + r, in units of the mean; the other is its inverse.
        root = 1 / (1 + r / 2 + jnp.sqrt(r + r * r / 4))
        both = mix(words[0] + mix(words[1]))
        uniform = 2 * el.half_uniform(both, 31, mix(both ^ words[1]), dtype)
        return dt * jnp.where(uniform * (1 + root) < root, 1 / root, root)

    def _laplace(self, s: Complex[Array, "*shape"]) -> Complex[Array, "*shape"]:
        return (jnp.sqrt(1 + 2 * self.nu * s) - 1) / self.nu


class TemperedStable(_Subordinated):
    """An isotropic stable process (Type III) whose large jumps are exponentially tempered.

    Characteristic exponent `ψ(u) = (‖u‖² + λ²)^(α/2) - λ^α`, λ = `tempering`: on scales below 1/λ
    it moves as the stable process, and its jumps have the density of that process times a factor
    that falls like exp(-λ‖x‖); all moments are finite. Also known as the relativistic stable
    process, and as the normal tempered stable one: `√2 W(T_t)` with T an exponentially tempered
    α/2-stable subordinator. Drawn exactly: stable times are accepted with probability exp(-λ² T).
    A step costs in proportion to 1 + 4 λ^α dt, and gives NaN where that is above 10⁶.

    **Arguments:** `alpha` in (0, 2], `dim`, `tempering` > 0 (1 / length).
    **Raises:** `ValueError` for numbers out of range.
    Source: Barndorff-Nielsen and Shephard (2001); Ryznar (2002).
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True, converter=as_dim)
    tempering: float | Float[Array, ""] = eqx.field(
        default=1.0, converter=partial(as_positive, "tempering")
    )

    def __check_init__(self) -> None:
        check_noise(self.alpha)

    @property  # type: ignore[misc]
    def skew(self) -> None:  # type: ignore[override]
        """None: the law is isotropic."""
        return None

    def _time(
        self, stream: Words, index: UInt32[Array, " n"], dt: Array, dtype: jnp.dtype
    ) -> Float[Array, "1 n"]:
        alpha = jnp.asarray(self.alpha).astype(dtype)
        rate = jnp.asarray(self.tempering).astype(dtype) ** 2
        return 2 * tempered_positive(stream, index, alpha / 2, rate, dt, dtype)

    def _laplace(self, s: Complex[Array, "*shape"]) -> Complex[Array, "*shape"]:
        half, rate = self.alpha / 2, self.tempering**2
        return (2 * s + rate) ** half - rate**half


__all__ = ["NormalInverseGaussian", "TemperedStable", "VarianceGamma", "as_positive"]
