"""Density and distribution function of the α-stable law, for every β.

β = 0, given as a number, has a program of its own: Fourier inversion of exp(-|u|^α) (`_inversion`).
Every other β, a traced one and arrays of them go through `_general`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import erfc
from jaxtyping import Array, ArrayLike, Float

from stablesde._arguments import as_choice, as_real, is_concrete
from stablesde.stable import _general
from stablesde.stable._domain import (
    aligned,
    law_arguments,
    mask_resolved,
    require_resolved,
    valid_beta,
    valid_loc,
    valid_scale,
)
from stablesde.stable._draw import Parametrization
from stablesde.stable._inversion import ray_part, split, tail_part


def exactly(value: Array, closed: Array) -> Array:
    """`closed`, with the derivatives of `value`."""
    return jax.lax.stop_gradient(closed) + _nothing(value)


def _nothing(value: Array) -> Array:
    """0, with the derivatives of `value` where it is finite."""
    return jnp.where(jnp.isfinite(value), value - jax.lax.stop_gradient(value), 0)


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
    # Inside `lax.scan` the rule below serves one differentiation only: derivatives of the second
    # order are those of this body, and the closed form has none in α.
    return jnp.where(alpha == 2, exactly(value, _closed_log_density(x, alpha)), value)


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
        # At α = 2 it is -x/2, whose derivative in α is still that of the quadrature.
        at_x = _partial(_raw_log_density, jax.lax.stop_gradient(x), alpha, 0)
        score = jnp.where(alpha == 2, _nothing(at_x) - jnp.minimum(x, largest) / 2, score)
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


def is_symmetric(beta: Any) -> bool:
    """Whether β is the number 0, so that the program for the symmetric law serves."""
    return np.ndim(beta) == 0 and is_concrete(beta) and float(beta) == 0


def standardise(
    x: ArrayLike, alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike
) -> tuple[Any, ...]:
    """x, alpha, beta, loc, scale and the unit of the density, of one dtype, after the checks.

    Numbers that NumPy holds in double precision are centred and scaled in it, before they are
    rounded to the dtype of the computation: loc and scale are then 0 and 1. Of the symmetric law,
    beta is left out.
    """
    x_, a, b, location, s = law_arguments(x=x, alpha=alpha, beta=beta, loc=loc, scale=scale)
    require_resolved(a)
    law = (a,) if is_symmetric(beta) else (a, b)
    if not any(isinstance(v, jax.Array) for v in (x_, location, s)):
        exact = [np.asarray(as_real(name, v)) for name, v in (("x", x), ("loc", loc), ("", scale))]
        wide = np.result_type(np.float64, *exact)
        with np.errstate(all="ignore"):
            z = (exact[0].astype(wide) - exact[1]) / exact[2]
            x_ = z.astype(s.dtype)
        return (x_, *law, np.zeros((), s.dtype), np.ones((), s.dtype), s)
    return (x_, *law, location, s, s)


def centred(x: Array, *rest: Array) -> tuple[Array, ...]:
    """((x - loc) / scale, alpha, …, unit) with as many axes each, NaN where traced are no law.

    `rest`: alpha, perhaps beta, loc, scale, unit.
    """
    x, *law, loc, scale, unit = aligned(x, *rest)
    z = (x - valid_loc(loc)) / valid_scale(scale)
    return (z, *law, unit)


def skewed(x: Array, *rest: Array, continuous: bool) -> tuple[Array, Array, Array, Array, Array]:
    """(z, alpha, beta, unit, z where it is finite) for `_general`.

    `rest`: alpha, beta, loc, scale, unit. S1 at α = 1 has the shift (2/π) β scale log(scale).
    """
    z, alpha, beta, unit = centred(x, *rest)
    beta = valid_beta(beta)
    if not continuous:
        shift = 2 / jnp.pi * beta * jnp.log(unit)
        z = z - jnp.where(alpha == 1, shift, jnp.zeros_like(shift))
    return z, alpha, beta, unit, jnp.where(jnp.isinf(z), jnp.zeros_like(z), z)


def is_continuous(parametrization: Any) -> bool:
    """Whether the parametrization is S0. Raises `ValueError` unless it is S0 or S1."""
    return as_choice("parametrization", parametrization, ("S0", "S1")) == "S0"


def logpdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    r"""Log-density of the α-stable law S(α, β, scale, loc) at `x`.

    The law of `sample`: α = 2 is N(0, 2), not N(0, 1). Differentiable in every argument, forward
    and reverse, twice (for the symmetric law to any order); the derivative in α at α = 2 is the
    one-sided one. Formulas: Zolotarev's integral in a variable in which nothing is steep
    (`_zolotarev`; Zolotarev 1986, Nolan 1997); for β = 0, given as a number, Fourier inversion on
    deformed contours (`_inversion`), which is twice as fast. Neither is singular at α = 1.

    In light tails (|β| = 1) the log-density keeps its relative accuracy however small it is.

    **Arguments:**

    - `x`, `alpha`, `beta`, `loc`, `scale`: broadcast against each other.
    - `parametrization`: `"S1"` (default, that of scipy) or `"S0"`, continuous in α at 1; the same
      thing for β = 0. See `sample`.

    **Returns:** an array of the broadcast shape, -inf at x = ±inf and outside of the support.

    **Raises:** `ValueError` for a concrete `alpha` outside [0.1, 2] or `beta` outside [-1, 1]
    (traced ones give NaN), a `scale` that is not positive and finite, a `loc` that is not finite,
    what is no number, or another parametrization. An `x` that is NaN gives NaN.
    """
    arguments = standardise(x, alpha, beta, loc, scale)
    return _logpdf(*arguments, continuous=is_continuous(parametrization))


@partial(jax.jit, static_argnames="continuous")
def _logpdf(*arguments: Array, continuous: bool) -> Array:
    if len(arguments) == 5:
        z, a, s = centred(*arguments)
        value = log_density(jnp.abs(z), a) - jnp.log(s)
    else:
        z, a, b, s, finite = skewed(*arguments, continuous=continuous)
        value = _general.log_density(finite, a, b, continuous) - jnp.log(s)
    return mask_resolved(jnp.where(jnp.isinf(z), -jnp.inf, value), a)


def pdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    """Density of the α-stable law; arguments and formulas as for `logpdf`.

    **Returns:** an array of the broadcast shape, 0 at x = ±inf. **Raises:** as `logpdf`.
    """
    arguments = standardise(x, alpha, beta, loc, scale)
    return _pdf(*arguments, continuous=is_continuous(parametrization))


@partial(jax.jit, static_argnames="continuous")
def _pdf(*arguments: Array, continuous: bool) -> Array:
    if len(arguments) == 5:
        z, a, s = centred(*arguments)
        value = jnp.exp(log_density(jnp.abs(z), a))
        bounded = jnp.clip(z, -1e18, 1e18)
        value = jnp.where(a == 1, exactly(value, 1 / (jnp.pi * (1 + bounded * bounded))), value)
    else:
        z, a, b, s, finite = skewed(*arguments, continuous=continuous)
        value = jnp.exp(_general.log_density(finite, a, b, continuous))
    return mask_resolved(jnp.where(jnp.isinf(z), 0.0, value) / s, a)


def sf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    """P(X > x), with full relative accuracy in the right tail; arguments as for `logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `logpdf`.
    """
    arguments = standardise(x, alpha, beta, loc, scale)
    return _tail(*arguments, mirrored=False, continuous=is_continuous(parametrization))


@partial(jax.jit, static_argnames=("mirrored", "continuous"))
def _tail(*arguments: Array, mirrored: bool, continuous: bool) -> Array:
    if len(arguments) == 5:
        z, a, _ = centred(*arguments)
        z = -z if mirrored else z
        upper = survival(jnp.abs(z), a)
        upper = jnp.where(jnp.isinf(z), 0.0, upper)
        return mask_resolved(jnp.where(z < 0, 1 - upper, upper), a)
    z, a, b, _, finite = skewed(*arguments, continuous=continuous)
    tails = _general.log_tails(finite, a, b, continuous)
    value = jnp.exp(tails[0] if mirrored else tails[1])
    value = jnp.where(jnp.isinf(z), jnp.where((z > 0) == mirrored, 1.0, 0.0), value)
    return mask_resolved(value, a)


def cdf(
    x: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    """P(X ≤ x), with full relative accuracy in the left tail; arguments as for `logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `logpdf`.
    """
    arguments = standardise(x, alpha, beta, loc, scale)
    return _tail(*arguments, mirrored=True, continuous=is_continuous(parametrization))
