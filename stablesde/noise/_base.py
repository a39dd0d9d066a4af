"""What every stable noise shares: streams of random words, samples, increments, checks."""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, PRNGKeyArray, UInt32

from stablesde._arguments import as_count, as_number, as_reals, is_concrete
from stablesde.stable._bits import Words, check_key, fold, key_words, threefry2x32
from stablesde.stable._domain import check_alpha
from stablesde.stable._sampling import as_shape, flat_index, float_dtype

# Which part of a simulation a stream of random words feeds. Streams under different tags are
# independent, so that a limit is never estimated from the particles it is compared with.
STREAM_NOISE = 1
STREAM_INITIAL = 2
STREAM_SAMPLE = 3
STREAM_DATA = 4  # what a model draws in a step: data, batches of particles


class LevyNoise(eqx.Module):
    """A Lévy process L in R^dim, by its increments and its characteristic exponent ψ.

    `E exp(i⟨u, L_t⟩) = exp(-t ψ(u))`. A subclass has a field or property `dim` and two methods:
    `increments`, which draws L_{t+dt} - L_t as a function of (key, particle, step), and `exponent`,
    ψ. One process is one path: over a coarse step it moves by the sum of what it moves by over the
    fine ones, which is how `ssd.strong_error` couples schemes.
    """

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        """`scale` (≥ 0) times L_{t+dt} - L_t for each particle in `index`, as columns (dim, n).

        Particles stand on the last axis: it is long, and XLA vectorises only the last one. `stream`
        is that of one step; numbers are functions of it and of `index` alone.
        """

    @abc.abstractmethod
    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        """ψ(u), complex, in `E exp(i⟨u, L_t⟩) = exp(-t ψ(u))`.

        Raises `ValueError` unless the last axis of `u` has length `dim`.
        """

    def characteristic_function(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        """E exp(i⟨u, L_1⟩) = exp(-ψ(u)), complex.

        Raises `ValueError` unless the last axis of `u` has length `dim`.
        """
        return jnp.exp(-self.exponent(u))

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """The order below which all moments of L_1 are finite, at most 2: α of a stable law.

        2 unless overridden: a process with heavier tails must say so, as studies take their rates
        from it.
        """
        return 2.0

    def sample(
        self, key: PRNGKeyArray, shape: int | tuple[int, ...] = (), dtype: jnp.dtype | None = None
    ) -> Float[Array, "*shape dim"]:
        """Independent copies of L_1.

        **Arguments:** `key`, a JAX PRNG key; `shape` of the batch; `dtype` float32 or float64
        (JAX's default if None).

        **Returns:** an array of shape `(*shape, dim)`, always finite. A larger draw starts with the
        same rows.

        **Raises:** `ValueError` for a shape or dtype that is none.
        """
        check_key(key)
        shape = as_shape(shape)
        return _sample(_numbers_traced(self), key, shape, float_dtype(dtype))

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
        """The increment L_{(step+1) dt} - L_{step dt} of each particle's process.

        A pure function of (key, particle, step): asking for more particles, or for a later block
        of them through `first_particle`, changes nothing in the others. For a stable law it is
        dt^(1/α) times a standard vector.

        **Arguments:**

        - `key`: a JAX PRNG key; the simulation functions draw these very increments under it.
        - `step`: index of the step, may be traced.
        - `dt`: length of the step (time).
        - `num_particles`: how many rows; `first_particle`: index of the first.
        - `dtype`: float32 or float64, JAX's default if None.

        **Returns:** an array of shape `(num_particles, dim)`, always finite.

        **Raises:** `ValueError` for a concrete `dt` that is not a positive, finite number, counts
        and indices that are no integers in [0, 2^32), or a key or dtype that is none.
        """
        check_key(key)
        dtype = float_dtype(dtype)
        if is_concrete(dt):
            as_number("dt, the length of a step,", dt, 0, float(jnp.finfo(dtype).max), "(]")
        if is_concrete(step):
            step = _counter("step", step)
        first_particle = _first(num_particles, first_particle)
        num_particles = _counter("num_particles", num_particles)
        counts = _argument(step, np.uint32), _argument(first_particle, np.uint32)
        return _increment(_numbers_traced(self), key, *counts, _argument(dt), num_particles, dtype)

    def _standard(
        self, stream: Words, index: UInt32[Array, " n"], dtype: jnp.dtype
    ) -> Float[Array, "dim n"]:
        """L_1 of each particle."""
        return self.increments(stream, index, jnp.ones((), dtype), 1.0, dtype)


class StableNoise(LevyNoise):
    """A symmetric α-stable vector X ∈ R^dim, and the Lévy process L with L_1 ~ X.

    A subclass has `alpha`, `dim`, and draws X by `columns`: increments over dt are dt^(1/α) X.
    """

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
        """E exp(i⟨u, X⟩), complex with zero imaginary part (every type is symmetric).

        Raises `ValueError` unless the last axis of `u` has length `dim`.
        """

    @abc.abstractmethod
    def norm_tail_constant(self) -> float:
        """C in P(‖X‖ > t) ~ C t^-α (Euclidean norm); 0 at α = 2. Needs a concrete α."""

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """α."""
        return self.alpha

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        """ψ(u), which is homogeneous: ψ(r u) = r^α ψ(u) for r > 0.

        Raises `ValueError` unless the last axis of `u` has length `dim`.
        """
        u = frequencies(u, self.dim)
        size = jnp.max(jnp.abs(u), -1, keepdims=True)
        # From frequencies of size 1, where the exponential does not vanish.
        unit = u / jnp.where(size > 0, size, 1)
        return size[..., 0] ** self.alpha * -jnp.log(self.characteristic_function(unit))

    def increment_scale(self, dt: float | Array, dtype: jnp.dtype) -> Float[Array, ""]:
        """dt^(1/α), the scale of an increment over time dt."""
        return jnp.asarray(dt).astype(dtype) ** (1 / jnp.asarray(self.alpha).astype(dtype))

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        return self.columns(stream, index, scale * self.increment_scale(dt, dtype), dtype)

    def _standard(
        self, stream: Words, index: UInt32[Array, " n"], dtype: jnp.dtype
    ) -> Float[Array, "dim n"]:
        return self.columns(stream, index, 1.0, dtype)


def _numbers_traced(noise: LevyNoise) -> LevyNoise:
    """The noise with its numbers as arrays: one compiled program draws for every α."""
    return jax.tree.map(lambda v: jnp.asarray(v) if isinstance(v, (float, int)) else v, noise)


def _argument(value: Any, dtype: Any = None) -> Any:
    """A number for a compiled program; by NumPy, as what JAX converts eagerly is a program more."""
    return np.asarray(value, dtype) if is_concrete(value) else value


# Compiled also when called alone: op by op, XLA rounds differently from the fused kernel.
@eqx.filter_jit
def _sample(
    noise: LevyNoise, key: PRNGKeyArray, shape: tuple[int, ...], dtype: jnp.dtype
) -> Float[Array, "*shape dim"]:
    index = flat_index(shape).reshape(-1)
    stream = fold(key_words(key), 0, STREAM_SAMPLE)
    return noise._standard(stream, index, dtype).T.reshape(*shape, noise.dim)


@eqx.filter_jit
def _increment(
    noise: LevyNoise,
    key: PRNGKeyArray,
    step: Array,
    first_particle: Array,
    dt: Array,
    num_particles: int,
    dtype: jnp.dtype,
) -> Float[Array, "num_particles dim"]:
    index = jax.lax.iota(jnp.uint32, num_particles) + jnp.asarray(first_particle, jnp.uint32)
    stream = fold(key_words(key), step, STREAM_NOISE)
    return noise.increments(stream, index, dt, 1.0, dtype).T


def particle_index(num_particles: int, first_particle: int | Array = 0) -> UInt32[Array, " n"]:
    """Counter indices of consecutive particles, shape (num_particles,).

    Raises `ValueError` unless both are integers in [0, 2^32), or `first_particle` is traced.
    """
    first_particle = _first(num_particles, first_particle)
    return jax.lax.iota(jnp.uint32, num_particles) + jnp.asarray(first_particle, jnp.uint32)


def _first(num_particles: int, first_particle: int | Array) -> int | Array:
    """`first_particle`, both checked."""
    num_particles = _counter("num_particles", num_particles)
    if is_concrete(first_particle):
        first_particle = _counter("first_particle", first_particle)
        if num_particles + first_particle > 2**32:
            raise ValueError(
                "first_particle + num_particles must not pass 2^32, the range of the counters, got "
                f"{first_particle} + {num_particles}."
            )
    return first_particle


def slots(stream: Words, index: UInt32[Array, " n"], first: int, count: int) -> Words:
    """Random words (count, n): the particles' slots first, …, first + count - 1."""
    shape = (count, index.shape[0])
    slot = jax.lax.broadcasted_iota(jnp.uint32, shape, 0) + jnp.uint32(first)
    return threefry2x32(stream, (jnp.broadcast_to(index, shape), slot))


def check_noise(alpha: float | Array) -> None:
    """Raises `ValueError` unless α is one number, and if it is concrete, in (0, 2]."""
    check_alpha(alpha)
    if np.ndim(alpha) != 0:
        raise ValueError(
            f"alpha must be one number, got shape {np.shape(alpha)}: for several, build one noise "
            "for each, or use jax.vmap."
        )


def as_dim(dim: int) -> int:
    """`dim` as a Python integer. Raises `ValueError` unless it is one in [1, 2^31)."""
    whole = as_count("dim", dim)
    if whole >= 2**31:  # a particle's numbers are counted in 32 bits
        raise ValueError(f"dim must be below 2^31, got {dim!r}.")
    return whole


def _counter(name: str, value: Any) -> int:
    """`value` as a counter of 32 bits."""
    whole = as_count(name, value, 0)
    if whole >= 2**32:
        raise ValueError(f"{name} must be below 2^32, the range of the counters, got {value!r}.")
    return whole


def frequencies(u: ArrayLike, dim: int) -> Float[Array, "*shape dim"]:
    """`u` as an array. Raises `ValueError` unless its last axis has length `dim`."""
    (array,) = as_reals(u=u)
    if array.ndim == 0 or array.shape[-1] != dim:
        raise ValueError(
            f"u must have shape (..., {dim}), the noise's dim last; got {array.shape}."
        )
    return array


def as_complex(x: Array) -> Array:
    """x + 0i."""
    return jax.lax.complex(x, jnp.zeros_like(x))


def scalar_tail_constant(alpha: float) -> float:
    """c_α = 2 Γ(α) sin(πα/2) / π, so that P(|Z| > t) ~ c_α t^-α; 0 at α = 2 (theory: Gaussian).

    In double precision, where `stable.tail_constant` follows JAX's (float32 by default).
    Raises `ValueError` for α outside (0, 2].
    """
    alpha = as_number("alpha", alpha, 0, 2, "(]")
    # sin(πα/2) from the nearer zero: no cancellation next to α = 2. And α Γ(α) is finite at 0.
    sine = math.sin(math.pi / 2 * min(alpha, 2 - alpha))
    return 2 * math.gamma(1 + alpha) * (sine / alpha) / math.pi
