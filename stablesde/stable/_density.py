"""Density and distribution function of the symmetric α-stable law, E exp(iuZ) = exp(-|u|^α)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import erfc
from jaxtyping import Array, ArrayLike, Float

from stablesde._arguments import as_real
from stablesde.stable._domain import (
    aligned,
    law_arguments,
    mask_resolved,
    require_resolved,
    require_symmetric,
    valid_loc,
    valid_scale,
)
from stablesde.stable._inversion import ray_part, split, tail_part


def exactly(value: Array, closed: Array) -> Array:
    """`closed`, with the derivatives of `value`."""
    return jax.lax.stop_gradient(closed) + (value - jax.lax.stop_gradient(value))


def _positive(value: Array) -> Array:
    """`value`, lifted to the smallest normal number, its derivative kept."""
    tiny = jnp.finfo(value.dtype).tiny
    return value + jnp.where(value < tiny, tiny - jax.lax.stop_gradient(value), 0)


def _log_gauss(x: Array) -> Array:
    return -x * x / 4 - jnp.log(2 * jnp.sqrt(jnp.asarray(jnp.pi, x.dtype)))


@jax.jit
def _raw_log_density(x: Array, alpha: Array) -> Array:
    inner, x_inner, log_x = split(x)
    log_pi = jnp.log(jnp.asarray(jnp.pi, x.dtype))
    tail = tail_part(log_x, alpha, "density")
    # At α = 2 the quadrature cannot follow exp(-x²/4) down; its derivative in α is the tail's.
    gauss = jnp.exp(_log_gauss(jnp.exp(log_x)) + 3 * log_x + log_pi)
    tail = jnp.where(alpha == 2, exactly(tail, gauss), tail)
    outer = jnp.log(_positive(tail)) - (1 + alpha) * log_x - log_pi
    return jnp.where(inner, jnp.log(ray_part(x_inner, alpha, "density")), outer)


@jax.jit
def _raw_survival(x: Array, alpha: Array) -> Array:
    inner, x_inner, log_x = split(x)
    tail = jnp.exp(-alpha * log_x) * tail_part(log_x, alpha, "survival") / jnp.pi
    return jnp.where(inner, ray_part(x_inner, alpha, "survival"), tail)


def _closed_log_density(x: Array, alpha: Array) -> Array:
    cauchy = -jnp.log(jnp.pi * (1 + jnp.square(jnp.minimum(x, 1e18))))
    return jnp.where(alpha == 1, cauchy, _log_gauss(x))


@jax.custom_jvp
def log_density(x: Float[Array, "..."], alpha: Float[Array, "..."]) -> Float[Array, "..."]:
    """log f(x) for x ≥ 0."""
    value = _raw_log_density(x, alpha)
    return jnp.where(alpha == 2, _closed_log_density(x, alpha), value)


@jax.custom_jvp
def survival(x: Float[Array, "..."], alpha: Float[Array, "..."]) -> Float[Array, "..."]:
    """P(Z > x) for x ≥ 0."""
    value = jnp.minimum(_raw_survival(x, alpha), 0.5)
    # atan2(1, x) = atan(1/x): no cancellation in the tail
    value = jnp.where(alpha == 1, jnp.arctan2(jnp.ones_like(x), x) / jnp.pi, value)
    return jnp.where(alpha == 2, erfc(x / 2) / 2, value)


def _partial(function: Callable[[Array, Array], Array], x: Array, alpha: Array, i: int) -> Array:
    """The elementwise derivative in argument i, of the broadcast shape, in forward mode.

    Reverse mode then stores one number per point instead of every quadrature node.
    """
    tangents = [jnp.zeros_like(x), jnp.zeros_like(alpha)]
    tangents[i] = jnp.ones_like((x, alpha)[i])
    return jax.jvp(function, (x, alpha), tuple(tangents))[1]


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is SymbolicZero


def _log_density_jvp(primals: tuple[Array, Array], tangents: Any) -> tuple[Array, Array]:
    x, alpha = primals
    value = log_density(x, alpha)
    total = jnp.zeros_like(value)
    if not _is_zero(tangents[0]):
        score = _partial(_raw_log_density, x, alpha, 0)
        largest = float(jnp.finfo(x.dtype).max)
        score = jnp.where(alpha == 2, -jnp.minimum(x, largest) / 2, score)
        total = total + jnp.where(x == 0, 0.0, score) * tangents[0]
    if not _is_zero(tangents[1]):
        total = total + _partial(_raw_log_density, x, alpha, 1) * tangents[1]
    return value, total


def _survival_jvp(primals: tuple[Array, Array], tangents: Any) -> tuple[Array, Array]:
    x, alpha = primals
    value = survival(x, alpha)
    total = jnp.zeros_like(value)
    if not _is_zero(tangents[0]):
        total = total - jnp.exp(log_density(x, alpha)) * tangents[0]
    if not _is_zero(tangents[1]):
        total = total + _partial(_raw_survival, x, alpha, 1) * tangents[1]
    return value, total


log_density.defjvp(_log_density_jvp, symbolic_zeros=True)
survival.defjvp(_survival_jvp, symbolic_zeros=True)


def standardise(
    x: ArrayLike, alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike
) -> tuple[Any, ...]:
    """x, alpha, loc, scale and the unit of the density, of one dtype, after the boundary's checks.

    Numbers that NumPy holds in double precision are centred and scaled in it, before they are
    rounded to the dtype of the computation: loc and scale are then 0 and 1.
    """
    require_symmetric(beta)
    x_, a, location, s = law_arguments(x=x, alpha=alpha, loc=loc, scale=scale)
    require_resolved(a)
    if not any(isinstance(v, jax.Array) for v in (x_, location, s)):
        exact = [np.asarray(as_real(name, v)) for name, v in (("x", x), ("loc", loc), ("", scale))]
        wide = np.result_type(np.float64, *exact)
        with np.errstate(all="ignore"):
            z = (exact[0].astype(wide) - exact[1]) / exact[2]
            x_ = z.astype(s.dtype)
        return x_, a, np.zeros((), s.dtype), np.ones((), s.dtype), s
    return x_, a, location, s, s


def centred(
    x: Array, alpha: Array, loc: Array, scale: Array, unit: Array
) -> tuple[Array, Array, Array]:
    """((x - loc) / scale, alpha, unit) with as many axes each, NaN where a traced one is no law."""
    x, alpha, loc, scale, unit = aligned(x, alpha, loc, scale, unit)
    z = (x - valid_loc(loc)) / valid_scale(scale)
    return z, alpha, unit


def logpdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    r"""Log-density of the symmetric α-stable law at `x`.

    The law of scale·Z + loc, $E\exp(iuZ) = \exp(-|u|^\alpha)$: α = 2 is N(0, 2), not N(0, 1).
    Differentiable in every argument, to any order, forward and reverse; the derivative in α at
    α = 2 is the one-sided one. Formula: Fourier inversion on deformed contours (`_inversion`).

    **Arguments:**

    - `x`, `alpha`, `loc`, `scale`: broadcast against each other. A scalar `alpha` is fastest.
    - `beta`: must be 0.

    **Returns:** an array of the broadcast shape, -inf at x = ±inf.

    **Raises:** `ValueError` for a concrete `alpha` outside [0.1, 2] (a traced one gives NaN), a
    `scale` that is not positive and finite, a `loc` that is not finite, or what is no number;
    `NotImplementedError` for `beta` other than 0. An `x` that is NaN gives NaN.
    """
    return _logpdf(*standardise(x, alpha, beta, loc, scale))


@jax.jit
def _logpdf(x: Array, alpha: Array, loc: Array, scale: Array, unit: Array) -> Array:
    z, a, s = centred(x, alpha, loc, scale, unit)
    value = log_density(jnp.abs(z), a) - jnp.log(s)
    return mask_resolved(jnp.where(jnp.isinf(z), -jnp.inf, value), a)


def pdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    """Density of the symmetric α-stable law; arguments and formula as for `logpdf`.

    **Returns:** an array of the broadcast shape, 0 at x = ±inf. **Raises:** as `logpdf`.
    """
    return _pdf(*standardise(x, alpha, beta, loc, scale))


@jax.jit
def _pdf(x: Array, alpha: Array, loc: Array, scale: Array, unit: Array) -> Array:
    z, a, s = centred(x, alpha, loc, scale, unit)
    value = jnp.exp(log_density(jnp.abs(z), a))
    bounded = jnp.clip(z, -1e18, 1e18)
    value = jnp.where(a == 1, exactly(value, 1 / (jnp.pi * (1 + bounded * bounded))), value)
    return mask_resolved(jnp.where(jnp.isinf(z), 0.0, value) / s, a)


def sf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    """P(X > x), with full relative accuracy in the right tail; arguments as for `logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `logpdf`.
    """
    return _tail(*standardise(x, alpha, beta, loc, scale), mirrored=False)


@partial(jax.jit, static_argnames="mirrored")
def _tail(x: Array, alpha: Array, loc: Array, scale: Array, unit: Array, mirrored: bool) -> Array:
    z, a, _ = centred(x, alpha, loc, scale, unit)
    z = -z if mirrored else z
    upper = survival(jnp.abs(z), a)
    upper = jnp.where(jnp.isinf(z), 0.0, upper)
    return mask_resolved(jnp.where(z < 0, 1 - upper, upper), a)


def cdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    """P(X ≤ x), with full relative accuracy in the left tail; arguments as for `logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `logpdf`.
    """
    return _tail(*standardise(x, alpha, beta, loc, scale), mirrored=True)
