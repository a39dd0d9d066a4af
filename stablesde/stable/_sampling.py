"""Sampling stable laws on the line.

Chambers, Mallows and Stuck, JASA 71 (1976), for the symmetric law, and Kanter, Ann. Probab. 3
(1975), for the positive one, rearranged so that nothing is lost in the tails:

- the angle U is drawn as its distance to *both* ends of its interval, and the exponential E from
  both ends of the uniform variable behind it, each with full relative precision near zero, so that
  large values come from 2^-56 and not from the 2^-24 grid of a float32 uniform;
- cosines are written as sines of the distance to π/2 (no cancellation at α = 1, α = 2 or next to
  them), and powers are taken in log space.

One Threefry call (64 bits) gives one number.
"""

import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from stablesde.stable import _elementary as el
from stablesde.stable._bits import Words, mix
from stablesde.stable._domain import valid_alpha

AlphaLike = float | Float[Array, "..."]


def float_dtype(dtype: jnp.dtype | None) -> jnp.dtype:
    """The floating dtype to draw in: float32 or float64, JAX's default if None."""
    try:
        given = jnp.dtype(float if dtype is None else dtype)
        resolved = jnp.dtype(jax.dtypes.canonicalize_dtype(given))
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}.") from None
    if dtype is not None and given == "float64" and resolved != "float64":
        raise ValueError(
            "dtype=float64 needs 64-bit mode: jax.config.update('jax_enable_x64', True) before "
            "the first computation."
        )
    if resolved not in (jnp.dtype("float32"), jnp.dtype("float64")):
        raise ValueError(f"dtype must be float32 or float64, got {resolved}.")
    return resolved


def _angle(word: UInt32[Array, "..."], extra: UInt32[Array, "..."], dtype):  # type: ignore[no-untyped-def]
    """(u, v), u uniform on (0, 1) and v = 1 - u, both with full relative precision at 0."""
    w = el.half_uniform(word, 31, extra, dtype)
    near_zero = (word >> jnp.uint32(31)) == 0
    return jnp.where(near_zero, w, 1 - w), jnp.where(near_zero, 1 - w, w)


def angle_and_exponential(words: Words, dtype):  # type: ignore[no-untyped-def]
    """(u, v, E) from one pair of random words: |U| = πu/2, v = 1 - u; the sign is left over."""
    a, b = words
    u, v = _angle(a, mix(b), dtype)
    return u, v, el.exponential(b, 30, mix(a), dtype)


def safe_exp(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x), at most about the largest number of the dtype."""
    return jnp.exp(jnp.minimum(x, math.log(float(jnp.finfo(x.dtype).max)) - 1e-3))


def symmetric_from_words(
    words: Words,
    alpha: AlphaLike,
    dtype: jnp.dtype,
    scale: float | Float[Array, "..."] = 1.0,
    largest: Float[Array, ""] | None = None,
) -> Float[Array, "..."]:
    """`scale` (≥ 0) times symmetric α-stable numbers, E exp(iωZ) = exp(-|ω|^α).

    NaN where a traced α is outside of (0, 2]. None is beyond `largest` in size (default: the
    largest number of the dtype), so all are finite.
    """
    u, v, e = angle_and_exponential(words, dtype)
    scale = jnp.asarray(scale, dtype)
    limit = float(jnp.finfo(dtype).max) if largest is None else largest
    return el.flip_sign(jnp.minimum(scale * _modulus(u, v, e, alpha), limit), words[1])


def _modulus(u: Array, v: Array, e: Array, alpha: AlphaLike) -> Float[Array, "..."]:
    """|Z| from the angle πu/2 = π/2 - πv/2 and the exponential.

    sin(αU)/cos U · (cos((1-α)U) / (E cos U))^((1-α)/α): at α = 1 the last factor is exactly 1, and
    at α = 2 the formula is 2 sin(U) √E, to a few units in the last place.
    """
    if isinstance(alpha, int) and alpha == 2:  # what the Gaussian part of a vector asks for
        return 2 * el.sin_quarter(u) * jnp.sqrt(e)
    alpha = valid_alpha(jnp.asarray(alpha, u.dtype))
    # With U = πu/2 the angle's modulus: sin(αU), cos U and cos((1-α)U), the argument of each sine
    # measured in quarter turns from the nearer zero.
    sin_alpha_u = el.sin_quarter(jnp.where(alpha * u <= 1, alpha * u, (2 - alpha) + alpha * v))
    cos_u = el.sin_quarter(v)
    cos_rest = el.sin_quarter(
        jnp.where(alpha > 1, (2 - alpha) + (alpha - 1) * v, alpha + (1 - alpha) * v)
    )
    power = safe_exp((1 - alpha) * (1 / alpha) * el.log(cos_rest / (e * cos_u)))
    return jnp.minimum(sin_alpha_u / cos_u * power, float(jnp.finfo(u.dtype).max))


def log_positive_from_words(
    words: Words, alpha: AlphaLike, dtype: jnp.dtype
) -> Float[Array, "..."]:
    """log A for positive α-stable A, E exp(-sA) = exp(-s^α), α ∈ (0, 1] (A = 1 at α = 1)."""
    sin_alpha_u, sin_u, sin_rest, e, rest, inverse = _kanter(words, alpha, dtype)
    return el.log(sin_alpha_u) + (rest * el.log(sin_rest / e) - el.log(sin_u)) * inverse


def positive_from_words(
    words: Words, alpha: AlphaLike, dtype: jnp.dtype, log_scale: Float[Array, ""]
) -> Float[Array, "..."]:
    """exp(log_scale) A, as `log_positive_from_words` in law, with fewer logarithms; finite."""
    sin_alpha_u, sin_u, sin_rest, e, rest, inverse = _kanter(words, alpha, dtype)
    power = safe_exp(rest * inverse * el.log(sin_rest / (e * sin_u)) + log_scale)
    return jnp.minimum(sin_alpha_u / sin_u * power, float(jnp.finfo(dtype).max))


def _kanter(words: Words, alpha: AlphaLike, dtype: jnp.dtype) -> tuple[Array, ...]:
    """sin αU, sin U, sin (1-α)U, E, 1 - α, 1/α: what Kanter's formula for A is made of."""
    a, b = words
    u, v = _angle(a, mix(b), dtype)
    e = el.exponential(b, 30, mix(a), dtype)
    alpha = valid_alpha(jnp.asarray(alpha, dtype), 1.0)

    def sin_half(t: Array, complement: Array) -> Array:  # sin(πt), t + complement = 1
        return el.sin_quarter(2 * jnp.minimum(t, complement))

    rest = 1 - alpha
    # At α = 1 the last factor is (0/E)^0 = 1: keep its logarithm finite.
    sin_rest = jnp.where(rest > 0, sin_half(rest * u, alpha + rest * v), 1.0)
    sin_alpha_u = sin_half(alpha * u, (1 - alpha) + alpha * v)
    return sin_alpha_u, sin_half(u, v), sin_rest, e, rest, 1 / alpha


def counters(index: UInt32[Array, "..."], slot: int = 0) -> Words:
    """Threefry counters of the numbers `index` (particles) in slot `slot` of each."""
    return index, jnp.full_like(index, np.uint32(slot))


def as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """`shape` as a tuple of Python integers; a number n stands for (n,), as in `jax.random`.

    Raises `ValueError` for anything else, and for negative lengths.
    """
    try:
        lengths = (shape,) if np.ndim(shape) == 0 else tuple(shape)  # type: ignore[arg-type]
        sizes = tuple(operator.index(n) for n in lengths)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise ValueError(
            f"shape must be a tuple of integers ≥ 0, such as (1000, 2), got {shape!r}."
        )
    return sizes


def flat_index(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Row-major index of every entry of an array of this shape, as uint32."""
    size = math.prod(shape)
    if size >= 2**32:
        raise ValueError(
            f"shape {shape} asks for {size:.3g} numbers in one call, over the limit of 2^32: "
            "draw in several calls, each with its own key (jax.random.fold_in)."
        )
    index = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        index = index + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
        stride *= shape[axis]
    return index
