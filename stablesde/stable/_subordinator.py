r"""Density and distribution function of the positive α-stable law, $E\exp(-sA) = \exp(-s^\alpha)$.

Kanter's representation (Ann. Probab. 3, 1975; Zolotarev 1986, (2.5.7)): with θ uniform on (0, π),

    P(A ≤ x) = E exp(-h(θ)),   h = x^(-α/(1-α)) K(θ),
    K(θ) = sin((1-α)θ) sin(αθ)^(α/(1-α)) / sin(θ)^(1/(1-α)),

an integral of positive functions: no cancellation in the left tail, where the density is smaller
than any power. K increases from K(0) to infinity. The interval is cut where h has grown by 1 and by
about 40 (found by bisection), and each piece is done by Gauss-Legendre in t = log(θ/(π-θ)), in
which K is a power at both ends. Where x^-α < 1/4 the inversion integral on the imaginary axis is
used instead, as for the symmetric law but without a saddle; it is better in the right tail.
"""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import erf, erfc
from jaxtyping import Array, ArrayLike, Float

from stablesde.stable._density import exactly
from stablesde.stable._domain import (
    aligned,
    law_arguments,
    require_resolved,
    resolved,
    valid_scale,
)
from stablesde.stable._inversion import axis_piece, legendre, nodes_like, rule_for, sum_nodes
from stablesde.stable._varying import vary_with

Kind = Literal["log-density", "cdf", "sf"]

_LEAST = 0.001  # the smallest α whose law the quadratures find: to 3e-4 in float32


def _sines(t: Array) -> tuple[Array, Array, Array, Array]:
    """θ, π - θ, sin θ and cot θ at θ = π / (1 + exp(-t)), accurate at both ends."""
    theta, rest = jnp.pi * jax.nn.sigmoid(t), jnp.pi * jax.nn.sigmoid(-t)
    near = jnp.minimum(theta, rest)
    cotangent = jnp.sign(-t) / jnp.tan(jnp.where(near < 1.57, near, 1.0))
    cotangent = jnp.where(near < 1.57, cotangent, jnp.cos(theta) / jnp.sin(theta))
    return theta, rest, jnp.sin(near), cotangent


def _log_k0(alpha: Array) -> Array:
    """log K(0)."""
    return jnp.log1p(-alpha) + alpha / (1 - alpha) * jnp.log(alpha)


def _log_k(t: Array, alpha: Array) -> Array:
    """log K(θ(t)).

    K = sin(bθ)/sin(αθ) · (sin(αθ)/sin θ)^(1/b), b = 1 - α, and the ratio in the power, which is
    cos bθ - cot θ sin bθ, is near 1 when b is small: log1p keeps its logarithm exact.
    """
    b = 1 - alpha
    theta, rest, sin_theta, cotangent = _sines(t)
    sin_b = jnp.sin(b * theta)
    sin_a = jnp.sin(jnp.where(theta > 2.0, b * theta + rest, alpha * theta))  # sin(π - αθ)
    half = jnp.sin(b * theta / 2)
    deficit = 2 * half * half + cotangent * sin_b
    close = jnp.abs(deficit) < 0.5
    ratio = jnp.where(
        close,
        jnp.log1p(-jnp.where(close, deficit, 0.0)),
        jnp.log(sin_a) - jnp.log(sin_theta),
    )
    return jnp.log(sin_b) - jnp.log(sin_a) + ratio / b


def _level(log_xi: Array, alpha: Array, growth: float, low: Array, high: Array) -> Array:
    """t at which h(θ) - h(0) = growth, to a few per cent."""
    log_k0 = _log_k0(alpha)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        rise = _log_k(middle, alpha) - log_k0
        # log(K / K(0) - 1), for K from K(0) to far beyond the largest number
        rise = jnp.where(rise > 30, rise, jnp.log(jnp.expm1(jnp.clip(rise, 0.0, 30.0))))
        below = log_xi + log_k0 + rise < math.log(growth)
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, 14, halve, vary_with((low, high), log_xi, alpha))
    return (low + high) / 2


def _pieces(log_xi: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """t where h has grown by 1, by `growth`, and the log-width of that rise per e-fold of h."""
    growth = 38.0 if log_xi.dtype == jnp.float64 else 18.0
    # h - h(0) ≈ h(0) α θ²/2 for small θ, and log K ≈ t / (1-α) + O(1) for θ → π.
    low = -0.5 * jnp.maximum(log_xi, 0.0) - 4.0
    high = (1 - alpha) * jnp.maximum(-log_xi, 0.0) + 8.0
    one = _level(log_xi, alpha, 1.0, low, high)
    end = _level(log_xi, alpha, growth, one, high + 4.0)
    return one, end, (end - one) / math.log(growth)


def _angle_integral(log_x: Array, alpha: Array, kind: Kind) -> Array:
    """The mean over θ of exp(-h), 1 - exp(-h), or log of the density."""
    log_xi = -alpha / (1 - alpha) * log_x
    one, end, width = _pieces(*jax.lax.stop_gradient((log_xi, alpha)))
    log_h0 = log_xi + _log_k0(alpha)
    h0 = jnp.exp(log_h0)
    # The density's logarithm is -h(0) plus that of an integral of order 1.
    shift = h0 if kind == "log-density" else jnp.zeros_like(h0)

    def term(t: Array, weight: Array) -> Array:
        log_h = log_xi + _log_k(t, alpha)
        h = jnp.exp(log_h)
        theta, rest, _, _ = _sines(t)
        measure = weight * theta * rest / jnp.pi**2
        if kind == "sf":
            return -jnp.expm1(-h) * measure
        value = jnp.exp(jnp.minimum(shift - h, 0.0)) * measure
        return value * jnp.exp(log_h - jnp.maximum(log_h0, 0.0)) if kind != "cdf" else value

    s, w = legendre(rule_for(log_x.dtype).axis)
    scalar = jnp.zeros((), log_x.dtype)
    nodes = (nodes_like(s, scalar), nodes_like(w, scalar))

    def upper(s: Array, w: Array) -> Array:
        return term(one + s * (end - one), w * (end - one))

    # Below, h falls on the scale `width`, then θ itself on the scale 1: t = one - width (e^σ - 1).
    depth = -math.log(float(jnp.finfo(log_x.dtype).eps)) + 2
    sigma = jnp.log1p((depth + jnp.maximum(one, 0.0)) / width)

    def lower(s: Array, w: Array) -> Array:
        stretch = jnp.exp(s * sigma)
        return term(one - width * (stretch - 1), w * sigma * width * stretch)

    total = sum_nodes(upper, log_x, alpha, *nodes) + sum_nodes(lower, log_x, alpha, *nodes)
    if kind == "sf":
        return total + jax.nn.sigmoid(-end)  # beyond `end`, exp(-h) is 0
    if kind == "cdf":
        return total
    factor = jnp.log(alpha) - jnp.log1p(-alpha) + jnp.maximum(log_h0, 0.0)
    return jnp.log(total) - shift + factor - log_x


def _axis_integral(log_x: Array, alpha: Array, kind: Kind) -> Array:
    """1 - cdf, or the log of the density, where x^-α < 1/4."""
    b = jnp.where(alpha > 0.5, 1 - alpha, alpha)
    s, c = jnp.sin(jnp.pi * b), jnp.sin(jnp.pi * (0.5 - alpha))
    fixed_x, fixed_a, fixed_s = jax.lax.stop_gradient((log_x, alpha, s))
    limit = rule_for(log_x.dtype).tolerance + (1 + fixed_a) * fixed_x - jnp.log(fixed_s)
    log_scale = jnp.log(s / jnp.pi) - alpha * log_x
    if kind == "log-density":
        value = axis_piece(log_x, alpha, (c, s), limit, "density")
        return jnp.log(value) + log_scale - log_x
    return axis_piece(log_x, alpha, (c, s), limit, "survival") * jnp.exp(log_scale)


@partial(jax.jit, static_argnames="kind")
def _evaluate(x: Array, alpha: Array, kind: Kind) -> Array:
    """The cdf, its complement or the log-density for every x; α = 1/2 by its closed form."""
    info = jnp.finfo(x.dtype)
    log_max = math.log(float(info.max))
    proper = (x > 0) & (x < jnp.inf)
    x_ = jnp.where(proper, x, 1.0)
    log_x = jnp.clip(jnp.log(x_), -0.9 * log_max, 0.9 * log_max)
    far = alpha * log_x > math.log(4.0)
    log_far = jnp.where(far, log_x, math.log(4.0) / alpha)
    # exp(-h(0)) is far below the smallest number where h(0) itself overflows
    gone = -alpha / (1 - alpha) * log_x + _log_k0(alpha) > 0.95 * log_max
    log_near = jnp.where(far | gone, 0.0, log_x)
    if kind == "log-density":
        near = jnp.where(gone, -jnp.inf, _angle_integral(log_near, alpha, kind))
        value = jnp.where(far, _axis_integral(log_far, alpha, kind), near)
        levy = -1 / (4 * x_) - 1.5 * log_x - math.log(2 * math.sqrt(math.pi))
        below, above = -jnp.inf, -jnp.inf
    else:
        lower = jnp.where(gone, 0.0, _angle_integral(log_near, alpha, "cdf"))
        upper = jnp.where(gone, 1.0, _angle_integral(log_near, alpha, "sf"))
        upper = jnp.where(far, _axis_integral(log_far, alpha, "sf"), upper)
        left = ~far & (lower < 0.5)
        root = 0.5 * jax.lax.rsqrt(x_)
        if kind == "cdf":
            value, levy = jnp.where(left, lower, 1 - upper), erfc(root)
            below, above = 0.0, 1.0
        else:
            value, levy = jnp.where(left, 1 - lower, upper), erf(root)
            below, above = 1.0, 0.0
    value = jnp.where(alpha == 0.5, exactly(value, levy), value)
    value = jnp.where(proper, value, jnp.where(x > 0, above, below))
    inside = resolved(alpha, _LEAST) & (alpha < 1)
    return jnp.where(inside & ~jnp.isnan(x), value, jnp.nan)


def _standardise(
    x: ArrayLike, alpha: ArrayLike, scale: ArrayLike
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    x_, a, s = law_arguments(1.0, True, x=x, alpha=alpha, scale=scale)
    require_resolved(a, _LEAST)
    return x_, a, s


@partial(jax.jit, static_argnames="kind")
def _law(x: Array, alpha: Array, scale: Array, kind: Kind) -> Array:
    x, alpha, scale = aligned(x, alpha, scale)
    scale = valid_scale(scale)
    value = _evaluate(x / scale, alpha, kind)
    return value - jnp.log(scale) if kind == "log-density" else value


@jax.jit
def _density(x: Array, alpha: Array, scale: Array) -> Array:
    return jnp.exp(_law(x, alpha, scale, "log-density"))


def positive_logpdf(
    x: ArrayLike, alpha: ArrayLike, *, scale: ArrayLike = 1.0
) -> Float[Array, "..."]:
    r"""Log-density at `x` of scale·A, $E\exp(-sA) = \exp(-s^\alpha)$, $0 < \alpha < 1$.

    α = 1/2 is the Lévy law. With A of index α/2, $\sqrt{2A}\,N(0, 1)$ is symmetric α-stable.
    In scipy's terms A is levy_stable(α, β=1, scale=cos(πα/2)^(1/α)).

    **Arguments:**

    - `x`, `alpha`, `scale`: broadcast against each other.

    **Returns:** an array of the broadcast shape; -inf for x ≤ 0. Accurate in relative terms down to
    the smallest densities. Differentiable in every argument.

    **Raises:** `ValueError` for a concrete `alpha` outside [0.001, 1), a `scale` that is not
    positive and finite, or what is no number; a traced `alpha` outside gives NaN, and so does an
    `x` that is NaN.
    """
    return _law(*_standardise(x, alpha, scale), "log-density")


def positive_pdf(x: ArrayLike, alpha: ArrayLike, *, scale: ArrayLike = 1.0) -> Float[Array, "..."]:
    """Density of the positive α-stable law; arguments as for `positive_logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `positive_logpdf`.
    """
    return _density(*_standardise(x, alpha, scale))


def positive_cdf(x: ArrayLike, alpha: ArrayLike, *, scale: ArrayLike = 1.0) -> Float[Array, "..."]:
    """P(scale·A ≤ x), accurate in the left tail; arguments as for `positive_logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `positive_logpdf`.
    """
    return _law(*_standardise(x, alpha, scale), "cdf")


def positive_sf(x: ArrayLike, alpha: ArrayLike, *, scale: ArrayLike = 1.0) -> Float[Array, "..."]:
    """P(scale·A > x), accurate in the right tail; arguments as for `positive_logpdf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `positive_logpdf`.
    """
    return _law(*_standardise(x, alpha, scale), "sf")
