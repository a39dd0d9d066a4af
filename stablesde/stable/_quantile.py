"""Quantiles of the symmetric α-stable law: safeguarded Newton on (log x, log P(Z > x))."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import gammaln, ndtri
from jaxtyping import Array, ArrayLike, Float

from stablesde.stable._constants import tail_constant
from stablesde.stable._density import log_density, survival
from stablesde.stable._domain import (
    aligned,
    law_arguments,
    mask_resolved,
    require_resolved,
    require_symmetric,
    valid_loc,
    valid_scale,
)
from stablesde.stable._varying import vary_with

_State = tuple[Array, Array, Array, Array, Array]  # low, log x, high, moving, step
_MAX_STEPS = 60  # typically 5 to 8 are used: the loop ends when every point has converged


def _bracket(p: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """(lower, start, upper) for log x."""
    # The density is largest at 0, so x ≥ (1/2 - p) / f(0); and x^α P(Z > x) ≤ 1 for every x.
    log_mode = gammaln(1 + 1 / alpha) - jnp.log(jnp.asarray(jnp.pi, p.dtype))
    lower = jnp.log(0.5 - p) - log_mode
    largest = jnp.log(jnp.asarray(float(jnp.finfo(p.dtype).max) ** 0.9, p.dtype))
    upper = jnp.clip(-jnp.log(p) / alpha, lower, largest)
    tail = tail_constant(alpha) / (2 * p)
    start = jnp.clip(jnp.log(jnp.maximum(tail, jnp.finfo(p.dtype).tiny)) / alpha, lower, upper)
    return lower, start, upper


@jax.jit
def _solve(p: Array, alpha: Array) -> Array:
    """x > 0 with P(Z > x) = p, for 0 < p < 1/2."""
    eps = float(jnp.finfo(p.dtype).eps)
    log_p = jnp.log(p)
    lower, start, upper = _bracket(p, alpha)

    def advance(state: _State) -> _State:
        low, y, high, _, i = state
        x = jnp.exp(y)
        tail = survival(x, alpha)
        hazard = jnp.maximum(jnp.exp(y + log_density(x, alpha)) / tail, eps * eps)
        excess = jnp.log(tail) - log_p
        low, high = jnp.where(excess > 0, y, low), jnp.where(excess > 0, high, y)
        newton = y + excess / hazard
        inside = (newton >= low) & (newton <= high)
        proposal = jnp.where(inside, newton, (low + high) / 2)
        # Newton's next error is about the square of this step; the rounding of P(Z > x) limits it.
        moving = jnp.any(jnp.abs(proposal - y) > eps**0.45 + 16 * eps / hazard)
        return low, proposal, high, moving, i + 1

    def unfinished(state: _State) -> Array:
        return state[3] & (state[4] < _MAX_STEPS)

    start_state = (lower, start, upper, jnp.asarray(True), jnp.asarray(0))
    state = vary_with(start_state, p, alpha)
    return jnp.exp(jax.lax.while_loop(unfinished, advance, state)[1])


@jax.custom_jvp
def upper_quantile(p: Float[Array, "..."], alpha: Float[Array, "..."]) -> Float[Array, "..."]:
    """x ≥ 0 with P(Z > x) = p, for 0 ≤ p ≤ 1/2."""
    p, alpha = jnp.broadcast_arrays(p, alpha)
    regular = (p > 0) & (p < 0.5)
    p_ = jnp.where(regular, p, 0.25)
    value = _solve(p_, alpha)
    value = jnp.where(alpha == 1, 1 / jnp.tan(jnp.pi * p_), value)
    value = jnp.where(alpha == 2, -ndtri(p_) * jnp.sqrt(jnp.asarray(2.0, p.dtype)), value)
    edge = jnp.where(p == 0, jnp.inf, jnp.where(p == 0.5, 0.0, jnp.nan))
    return jnp.where(regular, value, edge)


def _upper_quantile_jvp(primals: tuple[Array, Array], tangents: Any) -> tuple[Array, Array]:
    p, alpha = primals
    x = upper_quantile(p, alpha)
    # P(Z > x(p, α); α) = p: the derivatives of x follow from those of P.
    density = jnp.exp(log_density(x, alpha))
    total = jnp.zeros_like(x)
    if type(tangents[0]) is not SymbolicZero:
        total = total - tangents[0] / density
    if type(tangents[1]) is not SymbolicZero:
        ones = jnp.ones_like(alpha)
        sensitivity = jax.jvp(lambda a: survival(x, a), (alpha,), (ones,))[1]
        total = total + sensitivity / density * tangents[1]
    return x, total


upper_quantile.defjvp(_upper_quantile_jvp, symbolic_zeros=True)


def _arguments(
    q: ArrayLike, alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike
) -> tuple[Any, ...]:
    require_symmetric(beta)
    q_, a, location, s = law_arguments(q=q, alpha=alpha, loc=loc, scale=scale)
    require_resolved(a)
    return q_, a, location, s


@partial(jax.jit, static_argnames="mirrored")
def _isf(q: Array, alpha: Array, loc: Array, scale: Array, mirrored: bool) -> Array:
    q, alpha, loc, scale = aligned(q, alpha, loc, scale)
    x = upper_quantile(jnp.where(q <= 0.5, q, 1 - q), alpha)
    z = mask_resolved(jnp.where((q <= 0.5) != mirrored, x, -x), alpha)
    return valid_loc(loc) + valid_scale(scale) * z


def isf(
    q: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    """x with P(X > x) = `q`: the inverse of `sf`, accurate in the far right tail.

    **Arguments:**

    - `q`: probabilities in [0, 1]; outside, NaN.
    - `alpha`, `loc`, `scale`: broadcast against `q` and each other. `beta`: must be 0.

    **Returns:** an array of the broadcast shape. Differentiable (implicit differentiation).

    **Raises:** as `logpdf`.
    """
    return _isf(*_arguments(q, alpha, beta, loc, scale), mirrored=False)


def ppf(
    q: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Float[Array, "..."]:
    """x with P(X ≤ x) = `q`: the inverse of `cdf`, accurate in the far left tail.

    For the right tail use `isf`: 1 - q is not representable there. Arguments as for `isf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `isf`.
    """
    return _isf(*_arguments(q, alpha, beta, loc, scale), mirrored=True)
