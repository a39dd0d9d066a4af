"""Quantiles of the α-stable law by safeguarded Newton steps on the logarithm of a tail.

Symmetric law: in log x. Any other: in asinh x or log |x|, x on the whole line.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import gammaln, ndtri
from jaxtyping import Array, ArrayLike, Float

from stablesde.stable import _general
from stablesde.stable._constants import tail_constant
from stablesde.stable._density import is_continuous, is_symmetric, log_density, survival
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
from stablesde.stable._varying import vary_with

_State = tuple[Array, Array, Array, Array, Array]  # low, log x, high, moving, step
_MAX_STEPS = 60  # typically 5 to 8 are used: the loop ends when every point has converged
_MOST_HALVINGS = 240  # one step in three halves in the end


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
        low, y, high, moving, i = state
        x = jnp.exp(y)
        tail = survival(x, alpha)
        hazard = jnp.maximum(jnp.exp(y + log_density(x, alpha)) / tail, eps * eps)
        excess = jnp.log(tail) - log_p
        low, high = jnp.where(excess > 0, y, low), jnp.where(excess > 0, high, y)
        newton = y + excess / hazard
        inside = (newton >= low) & (newton <= high)
        proposal = jnp.where(inside, newton, (low + high) / 2)
        # Newton's next error is about the square of this step; the rounding of P(Z > x) limits it.
        following = jnp.where(moving, proposal, y)  # an entry does not depend on the others
        moving = moving & (jnp.abs(proposal - y) > eps**0.45 + 16 * eps / hazard)
        return low, following, high, moving, i + 1

    def unfinished(state: _State) -> Array:
        return jnp.any(state[3]) & (state[4] < _MAX_STEPS)

    start_state = (lower, start, upper, jnp.ones(start.shape, bool), jnp.asarray(0))
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


def _middle(low: Array, high: Array) -> Array:
    """Between two bounds of x: half-way in log |x|, with 0 for what is next to the least numbers.

    Halving this way resolves every x to rounding, however near 0 or far out, in 2^6 steps or so.
    """
    wide = low.dtype == jnp.float64
    least = 1e-280 if wide else 1e-32
    log_least = float(np.log(least))

    def place(x: Array) -> Array:
        return jnp.sign(x) * jnp.logaddexp(0.0, jnp.log(jnp.abs(x)) - log_least)

    w = 0.5 * (place(low) + place(high))
    far = jnp.sign(w) * (jnp.exp(log_least + jnp.abs(w)) - least)
    near = high - low <= 0.5 * jnp.maximum(jnp.abs(low), jnp.abs(high))
    return jnp.clip(jnp.where(near, 0.5 * low + 0.5 * high, far), low, high)


class _Search(NamedTuple):
    """Of each entry: a bracket and a point in it, the last steps, and whether it has converged."""

    low: Array
    x: Array
    high: Array
    step: Array  # in asinh x
    log_step: Array  # in log |x|
    done: Array
    i: Array


def _solve_general(p: Array, alpha: Array, beta: Array, continuous: bool) -> Array:
    """x with P(Z > x) = p, 0 < p ≤ 1/2; NaN where it was not found.

    Newton's steps in asinh x, or in log |x| where those do not shrink (next to the end of a
    support at 0), or halving. Entries that have converged rest: none depends on the others.
    """
    eps = float(jnp.finfo(p.dtype).eps)
    largest = float(jnp.finfo(p.dtype).max) / 8
    least = 1e-280 if p.dtype == jnp.float64 else 1e-32
    log_p = jnp.log(p)

    def look(x: Array) -> tuple[Array, Array]:
        """log P(Z > x) - log p, and its slope in asinh x, less the sign."""
        log_f, _, tail = _general.log_law(x, alpha, beta, continuous)
        # their difference is not all rounding
        known = (tail > -0.01 / eps) & (log_f > -0.01 / eps)
        size = jnp.abs(x)  # dx/d asinh x = √(1 + x²)
        log_width = jnp.log(jnp.maximum(size, 1.0)) + 0.5 * jnp.log1p(
            jnp.square(jnp.minimum(size, 1 / jnp.maximum(size, 1.0)))
        )
        slope = jnp.exp(jnp.where(known, log_f - tail, 0.0) + log_width)
        return tail - log_p, jnp.where(known, slope, 0.0)

    def advance(state: _Search) -> _Search:
        low, x, high, before, log_before, done, i = state
        excess, hazard = look(x)
        low, high = jnp.where(excess > 0, x, low), jnp.where(excess > 0, high, x)
        y = jnp.arcsinh(x)
        root = x / jnp.sqrt(1 + jnp.square(jnp.clip(x, -1e9, 1e9)))  # d asinh x / d log |x|
        safe = jnp.where(hazard > 0, hazard, 1.0)
        step = excess / safe
        log_step = jnp.sign(x) * excess / jnp.maximum(safe * jnp.abs(root), least)
        usable = jnp.isfinite(excess) & (hazard > 0) & ((i < 12) | (i % 3 > 0))
        short, log_short = jnp.clip(step, -60.0, 60.0), jnp.clip(log_step, -30.0, 30.0)
        first, second = jnp.sinh(y + short), x * jnp.exp(log_short)
        # Far out, x = sinh(asinh x) loses digits.
        first = jnp.where(jnp.abs(x) > 10, x * jnp.exp(jnp.sign(x) * short), first)
        # Newton's steps are taken while they shrink, which excludes cycles; see also `usable`.
        one = (
            usable
            & (step == short)
            & (first >= low)
            & (first <= high)
            & (jnp.abs(step) < 0.5 * before)
        )
        two = usable & (log_step == log_short) & (second >= low) & (second <= high) & ~one
        two = two & (jnp.abs(log_step) < 0.5 * log_before) & (low * high > 0)
        middle = _middle(low, high)
        proposal = jnp.where(one, first, jnp.where(two, second, middle))
        newton = one | two
        moved = jnp.abs(jnp.arcsinh(proposal) - y)
        moved = jnp.where(newton, moved, jnp.arcsinh(high) - jnp.arcsinh(low))
        ratio = jnp.log(jnp.maximum(jnp.abs(proposal), least) / jnp.maximum(jnp.abs(x), least))
        log_moved = jnp.where(newton, jnp.abs(ratio), jnp.inf)
        # A Newton step's error is about the square of the step, where that and the excess are
        # small; or the equation is met already, or the step is below the rounding of x.
        small = jnp.where(one, jnp.abs(step), jnp.abs(log_step * root))
        brief = (small <= eps**0.6 * jnp.minimum(1.0, jnp.abs(y))) & (jnp.abs(excess) < eps**0.5)
        over = brief | (small <= 4 * eps * jnp.abs(y)) | (jnp.abs(excess) <= eps**0.75)
        over = newton & over
        closed = high - low <= 2 * eps * jnp.maximum(jnp.abs(x), least)
        proposal = jnp.where(done, x, proposal)
        return _Search(low, proposal, high, moved, log_moved, done | over | closed, i + 1)

    def unfinished(state: _Search) -> Array:
        return jnp.any(~state.done) & (state.i < _MOST_HALVINGS)

    # x^α P(Z > x) → (1 + β) c/2, where that is not 0; the bracket is all numbers.
    edge = jnp.full_like(p, largest)
    tail = tail_constant(alpha) * jnp.maximum(1 + beta, 0.01) / (2 * p)
    start = jnp.log(jnp.maximum(tail, jnp.finfo(p.dtype).tiny)) / alpha
    start = jnp.exp(jnp.clip(start, -2.0, float(np.log(largest)) - 1))
    infinite = jnp.full_like(p, jnp.inf)
    law = jnp.isfinite(alpha + beta)
    state = _Search(-edge, start, edge, infinite, infinite, ~law, jnp.asarray(0))
    found = jax.lax.while_loop(unfinished, advance, vary_with(state, p, alpha, beta))
    x = jnp.where(found.x >= largest * (1 - 8 * eps), jnp.inf, found.x)  # too large to represent
    return jnp.where(found.done & law, x, jnp.nan)


def _make_quantile(continuous: bool) -> Any:
    """The differentiable x with P(Z > x) = p, 0 ≤ p ≤ 1/2, in S0 (`continuous`) or S1."""

    @jax.custom_jvp
    def quantile(p: Array, alpha: Array, beta: Array) -> Array:
        p, alpha, beta = jnp.broadcast_arrays(p, alpha, beta)
        regular = (p > 0) & (p <= 0.5)
        p_ = jnp.where(regular, p, 0.25)
        value = _solve_general(p_, alpha, beta, continuous)
        light = (beta == -1) & (alpha < 1)  # bounded above
        edge = jnp.where(light, _edge(alpha, continuous), jnp.inf)
        return jnp.where(regular, value, jnp.where(p == 0, edge, jnp.nan))

    @quantile.defjvp
    def _quantile_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
        p, alpha, beta = primals
        x = quantile(p, alpha, beta)
        # log P(Z > x(p, α, β); α, β) = log p

        def tail(a: Array, b: Array) -> Array:
            return _general.log_tails(x, a, b, continuous)[1]

        full = jnp.broadcast_arrays(alpha + 0 * x, beta + 0 * x)
        moved = jnp.broadcast_arrays(tangents[1] + 0 * x, tangents[2] + 0 * x)
        change = jax.jvp(tail, tuple(full), tuple(moved))[1]
        hazard = jnp.exp(_general.log_density(x, alpha, beta, continuous) - tail(alpha, beta))
        return x, (change - tangents[0] / p) / hazard

    return quantile


def _edge(alpha: Array, continuous: bool) -> Array:
    """The upper end of the support for α < 1, β = -1."""
    if not continuous:
        return jnp.zeros_like(alpha)
    return jnp.tan(jnp.pi / 2 * jnp.where(alpha < 1, alpha, 0.5))


_QUANTILES = {True: _make_quantile(True), False: _make_quantile(False)}


def _arguments(
    q: ArrayLike, alpha: ArrayLike, beta: ArrayLike, loc: ArrayLike, scale: ArrayLike
) -> tuple[Any, ...]:
    q_, a, b, location, s = law_arguments(q=q, alpha=alpha, beta=beta, loc=loc, scale=scale)
    require_resolved(a)
    return (q_, a, location, s) if is_symmetric(beta) else (q_, a, b, location, s)


@partial(jax.jit, static_argnames=("mirrored", "continuous"))
def _isf(*arguments: Array, mirrored: bool, continuous: bool) -> Array:
    if len(arguments) == 4:
        q, alpha, loc, scale = aligned(*arguments)
        x = upper_quantile(jnp.where(q <= 0.5, q, 1 - q), alpha)
        z = jnp.where((q <= 0.5) != mirrored, x, -x)
    else:
        q, alpha, beta, loc, scale = aligned(*arguments)
        beta = valid_beta(beta)
        small = q <= 0.5
        # P(Z ≤ z; β) = P(Z > -z; -β)
        flip = small == mirrored
        side = jnp.where(flip, -1.0, 1.0).astype(q.dtype)
        quantile = _QUANTILES[continuous]
        z = side * quantile(jnp.where(small, q, 1 - q), alpha, side * beta)
        if not continuous:
            shift = 2 / jnp.pi * beta * jnp.log(valid_scale(scale))
            z = z + jnp.where(alpha == 1, shift, jnp.zeros_like(shift))
    return valid_loc(loc) + valid_scale(scale) * mask_resolved(z, alpha)


def isf(
    q: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    """x with P(X > x) = `q`: the inverse of `sf`, accurate in the far right tail.

    **Arguments:**

    - `q`: probabilities in [0, 1]; outside, NaN.
    - `alpha`, `beta`, `loc`, `scale`: broadcast against `q` and each other; `parametrization`:
      as for `logpdf`.

    **Returns:** an array of the broadcast shape. Differentiable (implicit differentiation).

    **Raises:** as `logpdf`.
    """
    arguments = _arguments(q, alpha, beta, loc, scale)
    return _isf(*arguments, mirrored=False, continuous=is_continuous(parametrization))


def ppf(
    q: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Parametrization = "S1",
) -> Float[Array, "..."]:
    """x with P(X ≤ x) = `q`: the inverse of `cdf`, accurate in the far left tail.

    For the right tail use `isf`: 1 - q is not representable there. Arguments as for `isf`.

    **Returns:** an array of the broadcast shape. **Raises:** as `isf`.
    """
    arguments = _arguments(q, alpha, beta, loc, scale)
    return _isf(*arguments, mirrored=True, continuous=is_continuous(parametrization))
