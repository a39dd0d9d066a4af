"""The public samplers of the stable law on the line."""

import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_choice, as_real, is_concrete
from stablesde.stable._bits import Words, check_key, key_words, threefry2x32
from stablesde.stable._domain import (
    check_alpha,
    require_held,
    valid_alpha,
    valid_beta,
    valid_loc,
    valid_scale,
)
from stablesde.stable._sampling import (
    AlphaLike,
    as_shape,
    counters,
    flat_index,
    float_dtype,
    log_positive_from_words,
    symmetric_from_words,
)
from stablesde.stable._skewed import s0_from_words, s1_from_words

Parametrization = Literal["S0", "S1"]


def sample(
    key: PRNGKeyArray,
    alpha: AlphaLike,
    beta: ArrayLike = 0.0,
    shape: int | tuple[int, ...] = (),
    dtype: jnp.dtype | None = None,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "*shape"]:
    """Draws from the α-stable law S(α, β, scale, loc).

    In the S1 parametrization the standard variable has
    `E exp(iuX) = exp(-|u|^α (1 - iβ tan(πα/2) sign u))`, and at α = 1
    `exp(-|u| (1 + iβ (2/π) sign(u) log|u|))`; S0 is Nolan's, shifted by `-β tan(πα/2)` so that it
    is continuous in α. Location and scale act as in Nolan (2020), definitions 1.2 and 1.3: in S0
    (and in S1 for α ≠ 1) `loc + scale X`; in S1 at α = 1, `(2/π) β scale log(scale)` is added.

    α = 2 is N(0, 2), **not** N(0, 1), whatever β; α = 1, β = 0 is the standard Cauchy law. The
    first entries of a larger draw under the same key are the same numbers.

    **Arguments:**

    - `key`: a JAX PRNG key.
    - `alpha` in (0, 2], `beta` in [-1, 1], `loc`, `scale` > 0: numbers or arrays that broadcast to
      `shape`; may be traced. Samples are differentiable in all four at a fixed key.
    - `shape` of the result, every number in it drawn independently; n stands for (n,). `dtype`:
      float32 or float64, JAX's default if None.
    - `parametrization`: "S1" or "S0"; the same thing for β = 0.

    **Returns:** an array of shape `shape`. Always finite: where the exact value, with `scale` and
    `loc`, would pass the largest number of the dtype (at unit scale in float32, at probability 1e-9
    for α ≲ 0.23), about that number is returned.

    **Raises:** `ValueError` if concrete parameters are out of range or do not broadcast to `shape`,
    for another parametrization, or if `shape` holds 2^32 numbers or more. Traced ones out of range
    give NaN.

    Tails in float32: the angle is drawn on a grid of relative width 2^-24 down to distance 2^-56
    from its ends, so the tail is right far beyond exceedance probability 1e-9.
    Reference: Chambers, Mallows and Stuck (1976), Weron (1996), in the forms of `_sampling` and
    `_skewed`.
    """
    check_key(key)
    dtype = float_dtype(dtype)
    alpha = _in_range(dtype, "alpha", alpha, 0.0, 2.0, open_below=True)
    beta = _in_range(dtype, "beta", beta, -1.0, 1.0)
    scale = _in_range(dtype, "scale", scale, 0.0, np.inf, open_below=True)
    loc = _in_range(dtype, "loc", loc, -np.inf, np.inf)
    as_choice("parametrization", parametrization, ("S0", "S1"))
    shape = _full_shape(shape, alpha=alpha, beta=beta, loc=loc, scale=scale)
    if is_concrete(beta) and not np.any(np.asarray(beta)):
        return _symmetric(key, alpha, loc, scale, shape=shape, dtype=dtype)
    continuous = parametrization == "S0"
    return _skewed(key, alpha, beta, loc, scale, shape=shape, continuous=continuous, dtype=dtype)


def sample_positive(
    key: PRNGKeyArray,
    alpha: AlphaLike,
    shape: int | tuple[int, ...] = (),
    dtype: jnp.dtype | None = None,
    *,
    scale: ArrayLike = 1.0,
) -> Float[Array, "*shape"]:
    """Draws from the positive α-stable law (the subordinator at time 1), α in (0, 1].

    `E exp(-s A / scale) = exp(-s^α)`; A = scale at α = 1. In the S1 parametrization this is
    S(α, 1) with scale `cos(πα/2)^(1/α)`. A tail index α: very large and very small numbers both
    occur, and both are right in float32 (but see `sample` on the largest number of the dtype).

    **Arguments:** as in `sample`. **Returns:** an array of shape `shape`, positive and finite.
    **Raises:** `ValueError` as `sample`. Reference: Kanter (1975).
    """
    check_key(key)
    dtype = float_dtype(dtype)
    alpha = _in_range(dtype, "alpha", alpha, 0.0, 1.0, open_below=True)
    scale = _in_range(dtype, "scale", scale, 0.0, np.inf, open_below=True)
    shape = _full_shape(shape, alpha=alpha, scale=scale)
    return _positive(key, alpha, scale, shape=shape, dtype=dtype)


def _in_range(
    dtype: Any, name: str, value: Any, low: float, high: float, open_below: bool = False
) -> Any:
    """`value` as an array, of NumPy if it is none of JAX; a concrete one is in its range."""
    if not is_concrete(value):
        return value
    if name == "alpha":
        check_alpha(value, upper=high)
    numbers = np.asarray(as_real(name, value))
    above = numbers > low if open_below else numbers >= low
    if not np.all(np.isfinite(numbers) & (numbers <= high) & above):
        interval = f"{'(' if open_below else '['}{low:g}, {high:g}]"
        raise ValueError(f"{name} must be finite and lie in {interval}, got {value!r}.")
    if name in ("loc", "scale"):
        require_held(name, value, numbers, dtype)
    return value if isinstance(value, jax.Array) else numbers


def _full_shape(shape: int | tuple[int, ...], **parameters: ArrayLike) -> tuple[int, ...]:
    """`shape` as a tuple. Raises unless every parameter broadcasts to it: a longer one would not
    find random words of its own, and its numbers would be copies of each other."""
    sizes = as_shape(shape)
    for name, value in parameters.items():
        own = np.shape(value)
        try:
            fits = np.broadcast_shapes(own, sizes) == sizes
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{name} has shape {own}, which does not broadcast to shape={sizes}: give "
                f"the whole shape of the draw, such as shape={own}."
            )
    return sizes


def _words(key: PRNGKeyArray, shape: tuple[int, ...]) -> Words:
    # Kept: XLA of JAX 0.12 computes them anew for each use, and compiles that for 20 seconds.
    return jax.lax.optimization_barrier(threefry2x32(key_words(key), counters(flat_index(shape))))


# Compiled also when called alone: op by op, XLA rounds differently from the fused kernel.
_kernel = partial(jax.jit, static_argnames=("shape", "dtype"))


@_kernel
def _symmetric(
    key: PRNGKeyArray,
    alpha: Array,
    loc: Array,
    scale: Array,
    *,
    shape: tuple[int, ...],
    dtype: jnp.dtype,
) -> Array:
    alpha, loc, scale = _parameters(dtype, len(shape), alpha, loc, scale)
    z = symmetric_from_words(_words(key, shape), alpha, dtype, valid_scale(scale))
    return _clip(valid_loc(loc) + z)


def _parameters(dtype: jnp.dtype, rank: int, *values: Array) -> tuple[Array, ...]:
    """The parameters in `dtype`, arrays with as many axes as the result."""
    arrays = (jnp.asarray(v).astype(dtype) for v in values)
    return tuple(a.reshape((1,) * (rank - a.ndim) + a.shape) if a.ndim else a for a in arrays)


def _clip(x: Array) -> Array:
    """x, ±∞ replaced by the largest numbers of the dtype."""
    largest = float(jnp.finfo(x.dtype).max)
    return jnp.clip(x, -largest, largest)


@_kernel
def _positive(
    key: PRNGKeyArray, alpha: Array, scale: Array, *, shape: tuple[int, ...], dtype: jnp.dtype
) -> Array:
    alpha, scale = _parameters(dtype, len(shape), alpha, scale)
    log_a = log_positive_from_words(_words(key, shape), alpha, dtype)
    log_a = log_a + jnp.log(valid_scale(scale))
    limits = jnp.finfo(dtype)
    least, largest = math.log(float(limits.tiny)), math.log(float(limits.max)) - 1e-3
    return jnp.exp(jnp.clip(log_a, least, largest))


@partial(jax.jit, static_argnames=("shape", "continuous", "dtype"))
def _skewed(
    key: PRNGKeyArray,
    alpha: Array,
    beta: Array,
    loc: Array,
    scale: Array,
    *,
    shape: tuple[int, ...],
    continuous: bool,
    dtype: jnp.dtype,
) -> Array:
    alpha, beta, loc, scale = _parameters(dtype, len(shape), alpha, beta, loc, scale)
    alpha, beta = valid_alpha(alpha), valid_beta(beta)
    loc, scale = valid_loc(loc), valid_scale(scale)
    words = _words(key, shape)
    if continuous:
        z = s0_from_words(words, alpha, beta, dtype)
    else:
        z = s1_from_words(words, alpha, beta, jnp.log(scale), dtype)
    return _clip(loc + scale * z)
