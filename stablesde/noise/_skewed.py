"""Skewed stable processes; `stablesde.stable._skewed` draws the numbers."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, UInt32

from stablesde._arguments import as_real, is_concrete
from stablesde.noise._base import (
    LevyNoise,
    as_dim,
    check_noise,
    frequencies,
    scalar_tail_constant,
    slots,
)
from stablesde.stable._bits import Words
from stablesde.stable._domain import valid_alpha, valid_beta
from stablesde.stable._elementary import sealed
from stablesde.stable._skewed import s1_from_words


def _as_beta(value: Any) -> Any:
    if not is_concrete(value):
        return value
    values = np.asarray(as_real("beta", value), float)
    if values.ndim > 1 or not np.all(np.abs(values) <= 1):  # NaN fails, too
        raise ValueError(f"beta must be a number in [-1, 1] or an array (dim,) of them: {value!r}.")
    return jnp.asarray(values) if values.ndim else float(values)


class SkewedStable(LevyNoise):
    """Independent coordinates, each a stable process of index α and skewness β.

    `ψ(u) = Σ_j |u_j|^α (1 - iβ_j tan(πα/2) sign u_j)`, and at α = 1
    `Σ_j |u_j| (1 + iβ_j (2/π) sign(u_j) log|u_j|)`: the S1 law at time 1. For α ≠ 1 an increment
    over dt is `dt^(1/α)` times a standard one; at α = 1 it is `dt (X + (2/π) β log dt)`. For α > 1
    the mean is 0; for α < 1 and β = 1 it is a subordinator, increasing. β = 0 is the law of
    `IndependentStable`, drawn at a higher price.

    Other skewed vectors are images of this one: `LinearImage(A, SkewedStable(alpha, K, beta))` has
    the spectral measure that puts `‖a_k‖^α (1 ± β_k) / 2` on ± the direction of each column a_k of
    A (for α ≠ 1), and Type I is A = (1, …, 1)ᵀ.

    What is proven here for stable noise is proven for symmetric ones: bounds, predictions and laws
    of norms ask for a `StableNoise`, which this is not. Simulations, limits and studies take it;
    strong error and weak error name no theoretical exponent for it.

    **Arguments:** `alpha` in (0, 2]; `dim` ≥ 1; `beta` in [-1, 1], a number or an array (dim,).
    **Raises:** `ValueError` for other values. Source: Samorodnitsky and Taqqu (1994), §1.1, §2.3
    and §3.1.
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True, converter=as_dim)
    beta: float | Float[Array, ""] | Float[Array, " dim"] = eqx.field(converter=_as_beta)

    def __check_init__(self) -> None:
        check_noise(self.alpha)
        if np.shape(self.beta) not in ((), (self.dim,)):
            raise ValueError(
                f"beta must be a number or have shape ({self.dim},), got {np.shape(self.beta)}."
            )

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """α."""
        return self.alpha

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = slots(stream, index, 0, self.dim)
        alpha = valid_alpha(jnp.asarray(self.alpha).astype(dtype))
        beta = valid_beta(jnp.asarray(self.beta).astype(dtype)).reshape(-1, 1)
        # Held: what a compiler folds of constants rounds otherwise.
        alpha, beta, dt = jax.lax.optimization_barrier((alpha, beta, jnp.asarray(dt).astype(dtype)))
        log_dt = jnp.log(dt)
        z = s1_from_words(words, alpha, beta, log_dt, dtype)
        size = jnp.asarray(scale).astype(dtype) * jnp.exp(log_dt / alpha)
        largest = float(jnp.finfo(dtype).max)
        return sealed(jnp.clip(size * z, -largest, largest), words)

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        alpha, size = jnp.asarray(self.alpha).astype(u.dtype), jnp.abs(u)
        beta = jnp.asarray(self.beta).astype(u.dtype)
        at_one = alpha == 1
        # tan(πα/2) is -1 / tan(π(α-1)/2), which keeps its digits next to α = 1.
        slope = 1 / jnp.tan(math.pi / 2 * (jnp.where(at_one, 2.0, alpha) - 1))
        logarithm = 2 / math.pi * jnp.log(jnp.where(size > 0, size, 1))
        turn = jnp.where(at_one, logarithm, slope) * beta * jnp.sign(u)
        return jnp.sum(jax.lax.complex(size**alpha, size**alpha * turn), -1)

    def norm_tail_constant(self) -> float:
        """C in P(‖L_1‖ > t) ~ C t^-α, whatever β; 0 at α = 2. Needs a concrete α."""
        return self.dim * scalar_tail_constant(float(self.alpha))
