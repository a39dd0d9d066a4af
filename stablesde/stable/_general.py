"""log-density and log-tails of every stable law as differentiable functions, with closed forms."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erf, log_ndtr
from jaxtyping import Array

from stablesde.stable._zolotarev import raw_log_density, raw_log_law, raw_log_tails

Triple = tuple[Array, Array, Array]  # z, α, β


def _closed(z: Array, alpha: Array, beta: Array, continuous: bool) -> Any:
    """(where, (log f, log P(Z ≤ z), log P(Z > z))) of the laws of Gauss, Cauchy and Lévy."""
    dtype = z.dtype
    root2 = jnp.sqrt(jnp.asarray(2.0, dtype))
    log_pi = jnp.log(jnp.asarray(jnp.pi, dtype))
    gauss = (
        -z * z / 4 - jnp.log(jnp.asarray(2.0, dtype)) - log_pi / 2,
        log_ndtr(z / root2, series_order=8),
        log_ndtr(-z / root2, series_order=8),
    )
    largest = float(jnp.finfo(dtype).max) ** 0.49
    size = jnp.clip(z, -largest, largest)
    cauchy = (
        -log_pi - jnp.log1p(size * size),
        jnp.log(jnp.arctan2(jnp.ones_like(z), -z)) - log_pi,
        jnp.log(jnp.arctan2(jnp.ones_like(z), z)) - log_pi,
    )
    # The S1 variable of the law with α = 1/2, β = ±1, mirrored onto the positive line.
    side = jnp.where(beta >= 0, 1.0, -1.0).astype(dtype)
    y = side * z + (1 if continuous else 0)
    inside = y > 0
    y_ = jnp.where(inside, y, 1.0)
    inverse = jax.lax.rsqrt(y_)
    density = -0.5 * jnp.log(jnp.asarray(2.0, dtype)) - log_pi / 2 - 1.5 * jnp.log(y_) - 0.5 / y_
    below = jnp.where(
        inside, jnp.log(jnp.asarray(2.0, dtype)) + log_ndtr(-inverse, series_order=8), -jnp.inf
    )
    above = jnp.where(inside, jnp.log(erf(inverse / root2)), 0.0)
    right = side > 0
    levy = (
        jnp.where(inside, density, -jnp.inf),
        jnp.where(right, below, above),
        jnp.where(right, above, below),
    )
    is_gauss = alpha == 2
    is_cauchy = (alpha == 1) & (beta == 0)
    is_levy = (alpha == 0.5) & (jnp.abs(beta) == 1)
    values = tuple(
        jnp.where(is_gauss, g, jnp.where(is_cauchy, c, v))
        for g, c, v in zip(gauss, cauchy, levy, strict=True)
    )
    return is_gauss | is_cauchy | is_levy, values


def _along(function: Callable[..., Any], arguments: Triple) -> Any:
    """The elementwise derivatives of `function` in its three arguments, on a leading axis.

    In forward mode: reverse mode then stores a number per point and argument, not every node.
    """
    shape = jnp.broadcast_shapes(*(a.shape for a in arguments))
    full = tuple(jnp.broadcast_to(a, shape) for a in arguments)
    basis = jnp.eye(3, dtype=full[0].dtype)

    def push(direction: Array) -> Any:
        tangents = tuple(jnp.full(shape, direction[i]) for i in range(3))
        return jax.jvp(function, full, tangents)[1]

    return jax.vmap(push)(basis)


def _contract(partials: Array, tangents: Triple) -> Array:
    total = jnp.zeros_like(partials[0])
    for k in range(3):
        total = total + partials[k] * tangents[k]
    return total


def _make(continuous: bool) -> tuple[Callable[..., Array], Callable[..., tuple[Array, Array]]]:
    """log-density and log-tails of (z, α, β), in S0 (`continuous`) or S1."""

    def twice(z: Array, alpha: Array, beta: Array) -> Array:
        return raw_log_density(z, alpha, beta, continuous, 2)

    @jax.custom_jvp
    def scores(z: Array, alpha: Array, beta: Array) -> Array:
        raw = lambda z, a, b: raw_log_density(z, a, b, continuous)  # noqa: E731
        return _along(raw, (z, alpha, beta))

    @scores.defjvp
    def _scores_jvp(primals: Triple, tangents: Triple) -> tuple[Array, Array]:
        # The derivative of a derivative needs nodes that are right to second order.
        function = lambda *a: _along(twice, a)  # noqa: E731
        return scores(*primals), jax.jvp(function, primals, tangents)[1]

    @jax.custom_jvp
    def log_density(z: Array, alpha: Array, beta: Array) -> Array:
        closed, values = _closed(z, alpha, beta, continuous)
        return jnp.where(closed, values[0], raw_log_density(z, alpha, beta, continuous))

    @log_density.defjvp
    def _log_density_jvp(primals: Triple, tangents: Triple) -> tuple[Array, Array]:
        return log_density(*primals), _contract(scores(*primals), tangents)

    @jax.custom_jvp
    def log_tails(z: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
        closed, values = _closed(z, alpha, beta, continuous)
        lower, upper = raw_log_tails(z, alpha, beta, continuous)
        return jnp.where(closed, values[1], lower), jnp.where(closed, values[2], upper)

    @log_tails.defjvp
    def _log_tails_jvp(primals: Triple, tangents: Triple) -> tuple[Any, Any]:
        lower, upper = log_tails(*primals)
        raw = lambda z, a, b: raw_log_tails(z, a, b, continuous)  # noqa: E731
        in_lower, in_upper = _along(raw, primals)
        density = log_density(*primals)

        def hazard(tail: Array) -> Array:
            finite = jnp.isfinite(tail) & (density > -jnp.inf)
            return jnp.where(finite, jnp.exp(jnp.where(finite, density - tail, 0.0)), 0.0)

        in_lower = in_lower.at[0].set(hazard(lower))
        in_upper = in_upper.at[0].set(-hazard(upper))
        return (lower, upper), (_contract(in_lower, tangents), _contract(in_upper, tangents))

    return log_density, log_tails


_S0, _S1 = _make(True), _make(False)


def log_density(z: Array, alpha: Array, beta: Array, continuous: bool) -> Array:
    """log f(z) in S0 (`continuous`), or in S1 for α ≠ 1 and S0 at α = 1."""
    return (_S0 if continuous else _S1)[0](z, alpha, beta)


def log_tails(z: Array, alpha: Array, beta: Array, continuous: bool) -> tuple[Array, Array]:
    """log P(Z ≤ z) and log P(Z > z), as `log_density`."""
    return (_S0 if continuous else _S1)[1](z, alpha, beta)


def log_density_and_scores(z: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    """log f in S0 and its derivatives in (z, α, β) on a leading axis, in one pass."""
    full = tuple(jnp.broadcast_arrays(z, alpha, beta))
    basis = jnp.eye(3, dtype=z.dtype)

    def push(direction: Array) -> tuple[Array, Array]:
        tangents = tuple(jnp.full_like(z, direction[i]) for i in range(3))
        return jax.jvp(lambda z, a, b: raw_log_density(z, a, b, True), full, tangents)

    value, partials = jax.vmap(push, out_axes=(None, 0))(basis)
    return value, partials


def log_law(z: Array, alpha: Array, beta: Array, continuous: bool) -> tuple[Array, Array, Array]:
    """log f, log P(Z ≤ z) and log P(Z > z) in one pass; for values, not for derivatives."""
    closed, values = _closed(z, alpha, beta, continuous)
    found = raw_log_law(z, alpha, beta, continuous)
    log_f, lower, upper = (jnp.where(closed, v, f) for v, f in zip(values, found, strict=True))
    return log_f, lower, upper
