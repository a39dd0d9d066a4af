"""General symmetric stable vectors: elliptical ones, and discrete spectral measures."""

import math

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, ArrayLike, Complex, Float, UInt32

from stablesde._arguments import as_host_reals, as_real
from stablesde.noise._base import (
    StableNoise,
    as_complex,
    check_noise,
    frequencies,
    scalar_tail_constant,
    slots,
)
from stablesde.stable._bits import Words, mix
from stablesde.stable._elementary import flip_sign
from stablesde.stable._sampling import (
    float_dtype,
    log_positive_from_words,
    safe_exp,
    symmetric_from_words,
)


class EllipticalStable(StableNoise):
    """Elliptically contoured vectors with a scale matrix Σ, `X = sqrt(2A) Σ^(1/2) G`.

    Characteristic function `exp(-(uᵀΣu)^(α/2))`; Σ = I is Type III, and at α = 2 the law is
    N(0, 2Σ). `scale_matrix` (d, d) must be symmetric and positive semidefinite.
    Raises `ValueError` if it is not, or for α outside (0, 2]. Source: Samorodnitsky and Taqqu
    (1994), §2.5 (sub-Gaussian vectors).
    """

    alpha: float | Float[Array, ""]
    root: Float[Array, "dim dim"]

    def __init__(self, alpha: float | Float[Array, ""], scale_matrix: ArrayLike) -> None:
        matrix = np.asarray(as_real("scale_matrix", scale_matrix), dtype=float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"scale_matrix must have shape (d, d), got {matrix.shape}.")
        dtype = float_dtype(None)
        if not np.all(np.abs(matrix) < float(jnp.finfo(dtype).max)):
            raise ValueError(f"scale_matrix must be finite, in {dtype}.")
        if np.max(np.abs(matrix - matrix.T)) > 1e-6 * np.max(np.abs(matrix)):
            raise ValueError("scale_matrix must be symmetric.")
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if values[0] < -1e-6 * max(values[-1], 0.0):
            raise ValueError(
                f"scale_matrix must be positive semidefinite; its least eigenvalue is {values[0]}."
            )
        check_noise(alpha)
        self.alpha = alpha
        self.root = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T, float)

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """Length of X."""
        return self.root.shape[0]

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = slots(stream, index, 0, 1)
        log_a = log_positive_from_words(words, self.alpha / 2, dtype)
        gaussian = symmetric_from_words(slots(stream, index, 1, self.dim), 2, dtype)
        mixed = _combine(self.root.astype(dtype), gaussian)
        # The law is symmetric: a sign for the whole vector changes nothing but the last operation.
        radius = jnp.minimum(scale * safe_exp(log_a / 2), float(jnp.finfo(dtype).max))
        return flip_sign(_clip(radius * mixed), words[1])

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        return as_complex(
            jnp.exp(
                -(
                    jnp.sum(jnp.matmul(u, self.root, precision="highest") ** 2, -1)
                    ** (self.alpha / 2)
                )
            )
        )

    def norm_tail_constant(self) -> float:
        # E (2 GᵀΣG)^s / Γ(1-s), s = α/2, and for Q = 2 GᵀΣG with Laplace transform M
        # E Q^s = s / Γ(1-s) ∫ (1 - M(t)) t^(-s-1) dt, M(t) = Π (1 + 4 λ_j t)^(-1/2).
        alpha = float(self.alpha)
        eigenvalues = np.linalg.svd(np.asarray(self.root, dtype=float), compute_uv=False) ** 2
        if alpha == 2 or not eigenvalues.any():
            return 0.0
        s = alpha / 2

        def integrand(y: float) -> float:
            log_transform = -0.5 * np.sum(np.log1p(4 * eigenvalues * math.exp(y)))
            return math.exp(math.log(max(-math.expm1(log_transform), 1e-300)) - s * y)

        centre = -math.log(4 * eigenvalues.max())
        reach = min(40 / min(s, 1 - s), 600.0)
        moment = scipy.integrate.quad(integrand, centre - reach, centre, limit=400)[0]
        moment += scipy.integrate.quad(integrand, centre, centre + reach, limit=400)[0]
        return s / math.gamma(1 - s) ** 2 * moment


class SpectralStable(StableNoise):
    """A discrete spectral measure: `X = Σ_k w_k^(1/α) Z_k s_k`, Z_k independent scalars.

    The general symmetric stable vector with finitely many directions s_k (rows of `directions`,
    shape (K, d), of any length) and weights w_k > 0: characteristic function
    `exp(-Σ_k w_k |⟨u, s_k⟩|^α)`. Type I is the direction (1, …, 1), Type II the unit vectors.
    Raises `ValueError` for other shapes, weights that are not positive, or α outside (0, 2].
    Source: Samorodnitsky and Taqqu (1994), §2.3.
    """

    alpha: float | Float[Array, ""]
    directions: Float[Array, "K dim"]
    weights: Float[Array, " K"]

    def __init__(
        self, alpha: float | Float[Array, ""], directions: ArrayLike, weights: ArrayLike
    ) -> None:
        s, w = (
            np.asarray(as_host_reals(**{name: given})[0], float)  # as the numbers to compute with
            for name, given in (("directions", directions), ("weights", weights))
        )
        if s.ndim != 2 or w.shape != s.shape[:1] or s.size == 0:
            raise ValueError(
                f"directions must have shape (K, d) and weights (K,), got {s.shape} and {w.shape}."
            )
        if not (np.all(np.isfinite(s)) and np.all(np.isfinite(w)) and np.all(w > 0)):
            raise ValueError("directions must be finite, and weights positive and finite.")
        check_noise(alpha)
        self.alpha, self.directions, self.weights = alpha, jnp.asarray(s), jnp.asarray(w)

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """Length of X."""
        return self.directions.shape[1]

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = slots(stream, index, 0, len(self.weights))
        # An α that the dtype rounds to 0 must not make 0 · ∞ of sizes and draws.
        alpha = jnp.maximum(jnp.asarray(self.alpha).astype(dtype), float(jnp.finfo(dtype).tiny))
        largest = float(jnp.finfo(dtype).max)
        sizes = jnp.minimum(self.weights.astype(dtype) ** (1 / alpha), largest)
        # No product in the sum may overflow: ∞ - ∞ would be NaN.
        directions = self.directions.astype(dtype)
        limit = largest / jnp.maximum(jnp.max(jnp.abs(directions)), 1)
        z = symmetric_from_words(words, self.alpha, dtype, (scale * sizes)[:, None], limit)
        whole = mix(words[0][:1] ^ words[1][:1])
        return flip_sign(_clip(_combine(directions.T, z)), whole)

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        along = jnp.abs(jnp.matmul(u, self.directions.T, precision="highest")) ** self.alpha
        return as_complex(jnp.exp(-jnp.sum(self.weights * along, -1)))

    def norm_tail_constant(self) -> float:
        # One large Z_k makes the vector large, along s_k.
        lengths = np.linalg.norm(np.asarray(self.directions, dtype=float), axis=1)
        alpha = float(self.alpha)
        total = float(np.sum(np.asarray(self.weights, dtype=float) * lengths**alpha))
        return total * scalar_tail_constant(alpha)


def _combine(matrix: Float[Array, "d k"], z: Float[Array, "k n"]) -> Float[Array, "d n"]:
    """matrix @ z, written out: a matrix product's rounding depends on the size of the block."""
    rows = []
    for i in range(matrix.shape[0]):
        row = matrix[i, 0] * z[0]
        for j in range(1, matrix.shape[1]):
            row = row + matrix[i, j] * z[j]
        rows.append(row)
    return jnp.stack(rows)


def _clip(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x, ±∞ replaced by the largest numbers of the dtype."""
    largest = float(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -largest, largest)
