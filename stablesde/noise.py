"""Stable vectors of Type I, II and III, and the increments of the Lévy processes they generate.

The types are those of Wan, Zaidi and Şimşekli (2023), section 2; each is normalised by its
characteristic function, so that in dimension one all three are the scalar law of
`stablesde.stable.sample` (α = 2 is N(0, 2)).

Every number is a pure function of (key, particle, step): the first n particles of a larger system
see the same noise, and so does every block of them, on whatever device it is computed.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, PRNGKeyArray, UInt32
from scipy import integrate

from stablesde.stable._bits import Words, fold, key_words, mix, threefry2x32
from stablesde.stable._domain import check_alpha
from stablesde.stable._elementary import flip_sign
from stablesde.stable._sampling import (
    flat_index,
    float_dtype,
    log_positive_from_words,
    symmetric_from_words,
)

# Which part of a simulation a stream of random words feeds. Streams under different tags are
# independent, so that a limit is never estimated from the particles it is compared with.
STREAM_NOISE = 1
STREAM_INITIAL = 2
STREAM_SAMPLE = 3


class StableNoise(eqx.Module):
    """A symmetric α-stable vector X ∈ R^dim, and the Lévy process L with L_1 ~ X."""

    alpha: eqx.AbstractVar[float | Float[Array, ""]]
    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        """`scale` (≥ 0) times copies of X, one for each particle in `index`, as columns (dim, n).

        Particles stand on the last axis: it is long, and XLA vectorises only the last one.
        """

    @abc.abstractmethod
    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        """E exp(i⟨u, X⟩), complex with zero imaginary part (every type is symmetric)."""

    @abc.abstractmethod
    def norm_tail_constant(self) -> float:
        """C in P(‖X‖ > t) ~ C t^-α (Euclidean norm); 0 at α = 2. Needs a concrete α."""

    def sample(
        self, key: PRNGKeyArray, shape: tuple[int, ...] = (), dtype: jnp.dtype | None = None
    ) -> Float[Array, "*shape dim"]:
        """Independent copies of X.

        **Arguments:** `key`, a JAX PRNG key; `shape` of the batch; `dtype` float32 or float64
        (JAX's default if None).

        **Returns:** an array of shape `(*shape, dim)`. A larger draw starts with the same rows.
        """
        index = flat_index(shape).reshape(-1)
        stream = fold(key_words(key), 0, STREAM_SAMPLE)
        return _columns(self, stream, index, 1.0, float_dtype(dtype)).T.reshape(*shape, self.dim)

    def increment(
        self,
        key: PRNGKeyArray,
        step: int | Array,
        dt: float | Array,
        num_particles: int,
        *,
        first_particle: int | Array = 0,
        dtype: jnp.dtype | None = None,
    ) -> Float[Array, "num_particles dim"]:
        """The increment L_{(step+1) dt} - L_{step dt} ~ dt^(1/α) X of each particle's process.

        A pure function of (key, particle, step): asking for more particles, or for a later block
        of them through `first_particle`, changes nothing in the others.

        **Arguments:**

        - `key`: a JAX PRNG key; the simulation functions draw these very increments under it.
        - `step`: index of the step, may be traced.
        - `dt`: length of the step (time).
        - `num_particles`: how many rows; `first_particle`: index of the first.
        - `dtype`: float32 or float64, JAX's default if None.

        **Returns:** an array of shape `(num_particles, dim)`.
        """
        index = particle_index(num_particles, first_particle)
        stream = fold(key_words(key), step, STREAM_NOISE)
        scale = self.increment_scale(dt, float_dtype(dtype))
        return _columns(self, stream, index, scale, float_dtype(dtype)).T

    def increment_scale(self, dt: float | Array, dtype: jnp.dtype) -> Float[Array, ""]:
        """dt^(1/α), the scale of an increment over time dt."""
        return jnp.asarray(dt, dtype) ** (1 / jnp.asarray(self.alpha, dtype))


@eqx.filter_jit
def _columns(
    noise: StableNoise,
    stream: Words,
    index: UInt32[Array, " n"],
    scale: float | Array,
    dtype: jnp.dtype,
) -> Float[Array, "dim n"]:
    # Compiled also when called alone: op by op, XLA rounds differently from the fused kernel.
    return noise.columns(stream, index, scale, dtype)


def particle_index(num_particles: int, first_particle: int | Array = 0) -> UInt32[Array, " n"]:
    """Counter indices of consecutive particles."""
    return jax.lax.iota(jnp.uint32, num_particles) + jnp.asarray(first_particle, jnp.uint32)


def _slots(stream: Words, index: UInt32[Array, " n"], first: int, count: int) -> Words:
    """Random words (count, n): the particles' slots first, …, first + count - 1."""
    shape = (count, index.shape[0])
    slot = jax.lax.broadcasted_iota(jnp.uint32, shape, 0) + jnp.uint32(first)
    return threefry2x32(stream, (jnp.broadcast_to(index, shape), slot))


def _check(alpha: float | Array, dim: int) -> None:
    check_alpha(alpha)
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"dim must be a positive integer, got {dim!r}.")


def _complex(x: Array) -> Array:
    return jax.lax.complex(x, jnp.zeros_like(x))


class OneFactorStable(StableNoise):
    """Type I: one scalar stable number in every coordinate, `X = Z (1, …, 1)`.

    Characteristic function `exp(-|Σ_j u_j|^α)`. Raises `ValueError` for α outside (0, 2].
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check(self.alpha, self.dim)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        z = symmetric_from_words(_slots(stream, index, 0, 1), self.alpha, dtype, scale)
        return jnp.broadcast_to(z, (self.dim, index.shape[0]))

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        return _complex(jnp.exp(-(jnp.abs(jnp.sum(u, -1)) ** self.alpha)))

    def norm_tail_constant(self) -> float:
        return self.dim ** (float(self.alpha) / 2) * scalar_tail_constant(float(self.alpha))


class IndependentStable(StableNoise):
    """Type II: independent scalar stable coordinates.

    Characteristic function `exp(-Σ_j |u_j|^α)`. Raises `ValueError` for α outside (0, 2].
    """

    alpha: float | Float[Array, ""]
    dim: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check(self.alpha, self.dim)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = _slots(stream, index, 0, self.dim)
        return symmetric_from_words(words, self.alpha, dtype, scale)

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        return _complex(jnp.exp(-jnp.sum(jnp.abs(u) ** self.alpha, -1)))

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
    dim: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check(self.alpha, self.dim)

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        half = self.alpha / 2
        log_a = log_positive_from_words(_slots(stream, index, 0, 1), half, dtype)
        # sqrt(2A) N(0, 1) = sqrt(A) N(0, 2), and N(0, 2) is the stable law of index 2.
        words = _slots(stream, index, 1, self.dim)
        return symmetric_from_words(words, 2, dtype, scale * jnp.exp(log_a / 2))

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        return _complex(jnp.exp(-(jnp.sum(u * u, -1) ** (self.alpha / 2))))

    def norm_tail_constant(self) -> float:
        # P(A > s) ~ s^(-α/2) / Γ(1 - α/2), and E (2‖G‖²)^(α/2) = 2^α Γ((d+α)/2) / Γ(d/2).
        alpha = float(self.alpha)
        if alpha == 2:
            return 0.0
        log_moment = math.lgamma((self.dim + alpha) / 2) - math.lgamma(self.dim / 2)
        return 2**alpha * math.exp(log_moment) / math.gamma(1 - alpha / 2)


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
        matrix = np.asarray(scale_matrix, dtype=float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"scale_matrix must have shape (d, d), got {matrix.shape}.")
        if not np.all(np.isfinite(matrix)) or not np.allclose(matrix, matrix.T, rtol=1e-6):
            raise ValueError("scale_matrix must be finite and symmetric.")
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if values[0] < -1e-6 * max(values[-1], 0.0):
            raise ValueError(
                f"scale_matrix must be positive semidefinite; its least eigenvalue is {values[0]}."
            )
        _check(alpha, matrix.shape[0])
        self.alpha = alpha
        self.root = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T, float)

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        return self.root.shape[0]

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = _slots(stream, index, 0, 1)
        log_a = log_positive_from_words(words, self.alpha / 2, dtype)
        gaussian = symmetric_from_words(_slots(stream, index, 1, self.dim), 2, dtype)
        mixed = _combine(self.root.astype(dtype), gaussian)
        # The law is symmetric: a sign for the whole vector changes nothing but the last operation.
        return flip_sign(scale * jnp.exp(log_a / 2) * mixed, words[1])

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        return _complex(jnp.exp(-(jnp.sum((u @ self.root) ** 2, -1) ** (self.alpha / 2))))

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
        moment = integrate.quad(integrand, centre - reach, centre, limit=400)[0]
        moment += integrate.quad(integrand, centre, centre + reach, limit=400)[0]
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
        s, w = np.asarray(directions, dtype=float), np.asarray(weights, dtype=float)
        if s.ndim != 2 or w.shape != s.shape[:1] or s.size == 0:
            raise ValueError(
                f"directions must have shape (K, d) and weights (K,), got {s.shape} and {w.shape}."
            )
        if not (np.all(np.isfinite(s)) and np.all(np.isfinite(w)) and np.all(w > 0)):
            raise ValueError("directions must be finite, and weights positive and finite.")
        _check(alpha, s.shape[1])
        self.alpha, self.directions, self.weights = alpha, jnp.asarray(s), jnp.asarray(w)

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        return self.directions.shape[1]

    def columns(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        words = _slots(stream, index, 0, len(self.weights))
        sizes = self.weights.astype(dtype) ** (1 / jnp.asarray(self.alpha, dtype))
        z = symmetric_from_words(words, self.alpha, dtype, (scale * sizes)[:, None])
        whole = mix(words[0][:1] ^ words[1][:1])
        return flip_sign(_combine(self.directions.astype(dtype).T, z), whole)

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        along = jnp.abs(u @ self.directions.T) ** self.alpha
        return _complex(jnp.exp(-jnp.sum(self.weights * along, -1)))

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


def scalar_tail_constant(alpha: float) -> float:
    """c_α = 2 Γ(α) sin(πα/2) / π, so that P(|Z| > t) ~ c_α t^-α; 0 at α = 2 (theory: Gaussian)."""
    return 0.0 if alpha == 2 else 2 * math.gamma(alpha) * math.sin(math.pi * alpha / 2) / math.pi


_KINDS: dict[str, type[StableNoise]] = {
    "I": OneFactorStable,
    "II": IndependentStable,
    "III": IsotropicStable,
}


def stable_noise(kind: str, alpha: float | Float[Array, ""], dim: int) -> StableNoise:
    """The noise of the paper's Type "I", "II" or "III" in dimension `dim`.

    **Raises:** `ValueError` for another kind, α outside (0, 2], or `dim` < 1.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}.")
    return _KINDS[kind](alpha, dim)
