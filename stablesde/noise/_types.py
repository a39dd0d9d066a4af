"""The paper's noises: Types I, II and III of Wan, Zaidi and Şimşekli (2023), section 2."""

import math
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, UInt32

from stablesde._arguments import as_choice
from stablesde.noise._base import (
    StableNoise,
    as_complex,
    as_dim,
    check_noise,
    frequencies,
    scalar_tail_constant,
    slots,
)
from stablesde.stable._bits import Words
from stablesde.stable._sampling import log_positive_from_words, safe_exp, symmetric_from_words


class OneFactorStable(StableNoise):
    """Type I: one scalar stable number in every coordinate, `X = Z (1, …, 1)`.

    Characteristic function `exp(-|Σ_j u_j|^α)`. Raises `ValueError` for α outside (0, 2].
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True, converter=as_dim)

    def __check_init__(self) -> None:
        check_noise(self.alpha)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        z = symmetric_from_words(slots(stream, index, 0, 1), self.alpha, dtype, scale)
        return jnp.broadcast_to(z, (self.dim, index.shape[0]))

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        return as_complex(jnp.exp(-(jnp.abs(jnp.sum(u, -1)) ** self.alpha)))

    def norm_tail_constant(self) -> float:
        return self.dim ** (float(self.alpha) / 2) * scalar_tail_constant(float(self.alpha))


class IndependentStable(StableNoise):
    """Type II: independent scalar stable coordinates.

    Characteristic function `exp(-Σ_j |u_j|^α)`. Raises `ValueError` for α outside (0, 2].
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True, converter=as_dim)

    def __check_init__(self) -> None:
        check_noise(self.alpha)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = slots(stream, index, 0, self.dim)
        return symmetric_from_words(words, self.alpha, dtype, scale)

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        return as_complex(jnp.exp(-jnp.sum(jnp.abs(u) ** self.alpha, -1)))

    def norm_tail_constant(self) -> float:
        # One large coordinate makes the norm large: the constants of the coordinates add.
        return self.dim * scalar_tail_constant(float(self.alpha))


class IsotropicStable(StableNoise):
    """Type III: rotationally invariant, `X = sqrt(2A) G`, G ~ N(0, I), A positive α/2-stable.

    `E exp(-sA) = exp(-s^(α/2))`; characteristic function `exp(-‖u‖^α)`. The paper's released code
    draws `sqrt(A) G`, smaller by √2; this class follows the paper's definition.
    Raises `ValueError` for α outside (0, 2].
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True, converter=as_dim)

    def __check_init__(self) -> None:
        check_noise(self.alpha)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        half = self.alpha / 2
        log_a = log_positive_from_words(slots(stream, index, 0, 1), half, dtype)
        # sqrt(2A) N(0, 1) = sqrt(A) N(0, 2), and N(0, 2) is the stable law of index 2.
        words = slots(stream, index, 1, self.dim)
        return symmetric_from_words(words, 2, dtype, scale * safe_exp(log_a / 2))

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        return as_complex(jnp.exp(-(jnp.sum(u * u, -1) ** (self.alpha / 2))))

    def norm_tail_constant(self) -> float:
        # P(A > s) ~ s^(-α/2) / Γ(1 - α/2), and E (2‖G‖²)^(α/2) = 2^α Γ((d+α)/2) / Γ(d/2).
        alpha = float(self.alpha)
        if alpha == 2:
            return 0.0
        log_moment = math.lgamma((self.dim + alpha) / 2) - math.lgamma(self.dim / 2)
        return 2**alpha * math.exp(log_moment) / math.gamma(1 - alpha / 2)


_KINDS: dict[str, Callable[..., StableNoise]] = {
    "I": OneFactorStable,
    "II": IndependentStable,
    "III": IsotropicStable,
}


def stable_noise(kind: str, alpha: float | Float[Array, ""], dim: int) -> StableNoise:
    """The noise of the paper's Type "I", "II" or "III" in dimension `dim`, all symmetric.

    **Arguments:** `kind`; `alpha` in (0, 2]; `dim` ≥ 1.
    **Returns:** a `OneFactorStable`, `IndependentStable` or `IsotropicStable`.
    **Raises:** `ValueError` for another kind, α outside (0, 2], or `dim` < 1.
    """
    return _KINDS[as_choice("kind", kind, _KINDS)](alpha, dim)
