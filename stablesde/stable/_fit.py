"""Maximum likelihood for the α-stable law: index, skewness, scale and location."""

import math
from enum import Enum
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_choice, as_number, full_products, is_concrete
from stablesde.stable._blocks import check_blocks
from stablesde.stable._density import is_continuous
from stablesde.stable._domain import number_text, observations, precise, require_spread
from stablesde.stable._draw import Parametrization
from stablesde.stable._ecf import fit_test, means_of_waves
from stablesde.stable._general import log_density_and_scores
from stablesde.stable._likelihood import block_covariance, rejects, verdict_text
from stablesde.stable._padding import Count, number, padded, selected, weights
from stablesde.stable._padding import quantiles as sample_quantiles
from stablesde.stable._varying import vary_with

_LARGEST = 2 - 1e-5  # at 2 the score in α has no variance
_SMALLEST = 0.2
_MOST = 48  # steps; 4 to 12 are used
_FRESH = 5  # steps from which on the outer product is no longer taken anew
_STEEPEST = 1 - 1e-6  # of |β|
_STILL = 1e-6  # what BFGS takes for no step
_NEARLY = 1.9  # from here on, α = 2 is tried too
NAMES = ("alpha", "beta", "scale", "loc")


class _Beta(Enum):
    """Whether β is estimated, held, held at 0, or held at ±1."""

    FREE, HELD, ZERO, END = "free", "held", "zero", "end"

    @classmethod
    def of(cls, fixed: float | None) -> "_Beta":
        if fixed is None:
            return cls.FREE
        return cls.ZERO if fixed == 0 else cls.END if abs(fixed) == 1 else cls.HELD


class LawFit(eqx.Module):
    """A fitted law. Printed with its standard errors: `LawFit(alpha 1.509 ± 0.022, …)`.

    - `alpha`, `beta`, `scale`, `loc`: the estimates, in `parametrization` ("S1" or "S0").
    - `covariance` of (alpha, beta, log scale, loc), asymptotically; 0 for a `beta` that was given.
    - `lower`, `upper`: ends of the intervals of confidence `level` of (alpha, beta, scale, loc).
      Where alpha is at 2 or beta at ±1 its interval is one-sided.
    - `log_likelihood`; `num_used`, the size of the sample (of x, where a traced mask hides how
      many there are); `free`, how many were estimated.
    - `quantiles` of (x - loc)/scale at the levels (i - 1/2)/m, i = 1 … m, for `plotting.plot`.
    - `p_value` of `goodness_of_fit` where `beta` was held at 0, and the covariance is not from
      blocks; else None. Below 0.001 `rejected` is true, and the errors mean nothing.
    """

    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    scale: Float[Array, ""]
    loc: Float[Array, ""]
    covariance: Float[Array, "4 4"]
    log_likelihood: Float[Array, ""]
    lower: Float[Array, " 4"]
    upper: Float[Array, " 4"]
    quantiles: Float[Array, " m"]
    p_value: Float[Array, ""] | None = None
    level: float = eqx.field(static=True, default=0.95)
    num_used: int = eqx.field(static=True, default=0)
    free: int = eqx.field(static=True, default=4)
    parametrization: str = eqx.field(static=True, default="S1")

    @property
    def aic(self) -> Float[Array, ""]:
        """Akaike's criterion, twice the parameters less twice the log-likelihood."""
        return 2.0 * self.free - 2.0 * self.log_likelihood

    @property
    def rejected(self) -> Array:
        """Whether the data contradict every symmetric stable law (p < 0.001)."""
        return rejects(self.p_value)

    def __repr__(self) -> str:
        errors = [math.nan] * 4
        if is_concrete(self.covariance) and np.shape(self.covariance) == (4, 4):
            variances = np.diag(np.asarray(self.covariance)).tolist()
            errors = [math.sqrt(v) if v > 0 else math.nan for v in variances]
            errors[2] *= float(self.scale)
        law = (
            f"{name} {number_text(getattr(self, name))}" + f" ± {e:.2g}" * math.isfinite(e)
            for name, e in zip(NAMES, errors, strict=True)
        )
        return f"LawFit({', '.join(law)}{verdict_text(self.p_value)})"


@full_products
def fit(
    x: ArrayLike,
    beta: float | None = None,
    *,
    level: float = 0.95,
    where: ArrayLike | None = None,
    block_length: int | None = None,
    key: PRNGKeyArray | None = None,
    resamples: int = 200,
    parametrization: Parametrization = "S1",
    method: Literal["mle", "regression"] = "mle",
) -> LawFit:
    """Maximum likelihood estimates of (alpha, beta, scale, loc) of a stable sample.

    Scoring steps with the outer product of the exact scores (Berndt, Hall, Hall and Hausman 1974),
    then BFGS, shortened where the likelihood falls, from the regression on the characteristic
    function (Koutrouvelis 1980). Regular for α < 2 and |β| < 1 (DuMouchel 1973); α is kept in
    [0.2, 2 - 1e-5] and β in [-1 + 1e-6, 1 - 1e-6], and a parameter at such an end is left out of
    the other ones' steps and errors. In S1 next to α = 1, `loc` goes to infinity with
    tan(πα/2): take S0 there.

    A law with α < 1 and β = ±1 lives on a half-line that ends at `loc` of S1. With such a `beta`
    held, the search keeps the data inside; the density vanishes at the end with all its
    derivatives, and the likelihood is as regular as elsewhere.
    With β estimated, laws so near to it have no intervals: `covariance`, `lower` and `upper` are
    NaN, and it is for you to hold `beta`. Where the likelihood is 0 for every law that was tried,
    all estimates are NaN.

    **Arguments:**

    - `x`: observations, any shape, independent and finite. Centred in double precision.
    - `beta`: None to estimate it, or its value; with 0 the result says whether the data are a
      sample of a symmetric stable law at all (`rejected`).
    - `where`: as in `tail_index`. `block_length`, `key`, `resamples`, too, with `beta` 0: the
      covariance is then that of the fits of the resamples.
    - `method`: "mle", or "regression" for Koutrouvelis' estimates alone, which cost no more than
      8 sums over the data: without intervals (NaN), for 0.3 ≤ α ≤ 1.98 and |β| ≤ 0.95.
    - `level` of the intervals; `parametrization` of `loc`, "S1" (default) or "S0".

    **Returns:** a `LawFit`. Works under `jit` and `vmap`. Sizes are padded to 64, 96,
    128, 192, …, so that a new n seldom compiles anything.

    **Raises:** `ValueError` for fewer than 20 observations, or concrete ones that are not finite or
    have equal quartiles; `beta` outside [-1, 1], `level` outside (0, 1), another parametrization;
    blocks with another `beta` than 0, and as `tail_index` for the arguments that it shares.
    """
    continuous = is_continuous(parametrization)
    level = as_number("level", level, 0, 1, "()")
    alone = as_choice("method", method, ("mle", "regression")) == "regression"
    fixed = None if beta is None else as_number("beta", beta, -1, 1)
    chosen, count = selected(x, where)
    chosen, centre, width = precise(chosen)
    data = observations(chosen, 20, "a fit")
    require_spread(data, "a fit")
    blocks = check_blocks(data.size, block_length, key, resamples, 0.95)
    if blocks is not None and (fixed != 0 or alone):
        raise ValueError('block_length is for beta=0 and method="mle": the symmetric law.')
    z = np.asarray(scipy.special.ndtri(0.5 + level / 2), data.dtype)
    standard, count, middle, unit, quantiles = _prepared(data, count)
    middle, unit = centre + width * middle, width * unit
    scalars = (v if isinstance(v, jax.Array) else np.asarray(v, data.dtype)
               for v in (middle, unit, quantiles))  # fmt: skip
    spread = None
    if blocks is not None:
        length, resamples = np.asarray(blocks[0], np.int32), blocks[1]
        spread = _block_spread(standard, count, key, length, resamples)
    pinned = np.asarray(np.nan if fixed is None else fixed, data.dtype)
    modes = {"kind": _Beta.of(fixed), "alone": alone, "continuous": continuous}
    found, p_value = _fit_general(standard, count, *scalars, z, pinned, spread, **modes)
    settings = (level, data.size, 4 if beta is None else 3, parametrization)
    return LawFit(*found, p_value, *settings)  # type: ignore[call-arg]


def _levels(n: int) -> np.ndarray:
    m = min(n, 199)
    return (np.arange(m) + 0.5) / m


def _prepared(data: Any, count: Count) -> tuple[Any, ...]:
    """Centred and scaled data, `padded`, their number; centre, unit and quantiles."""
    levels = np.concatenate([[0.25, 0.5, 0.75], _levels(data.size)])
    if not is_concrete(data):
        found = sample_quantiles(data, count, levels)
        middle, unit = found[1], (found[2] - found[0]) / 2
        return (data - middle) / unit, count, middle, unit, (found[3:] - middle) / unit
    numbers = np.asarray(data, np.float64)
    found = np.quantile(numbers, levels)
    middle, unit = found[1], (found[2] - found[0]) / 2
    standard, count = padded((numbers - middle) / unit)
    return standard.astype(data.dtype), count, middle, unit, (found[3:] - middle) / unit


def regression(x: Float[Array, " n"], count: Count) -> Float[Array, " 4"]:
    """(α, β, log scale, loc) in S0 from the empirical characteristic function of standard data.

    log(-log|φ|) is linear in log u, and arg φ in loc and β, given the rest (Koutrouvelis 1980).
    """
    u = jnp.asarray(np.geomspace(0.1, 1.0, 8), x.dtype)
    re, im = means_of_waves(x, count, u).T
    y = jnp.log(-jnp.log(jnp.clip(jnp.hypot(re, im), 1e-3, 1 - 1e-6)))
    log_u = jnp.log(u)
    off = log_u - jnp.mean(log_u)
    alpha = jnp.clip(jnp.sum(off * y) / jnp.sum(off * off), 0.3, 1.98)
    log_scale = (jnp.mean(y) - alpha * jnp.mean(log_u)) / alpha
    size = u * jnp.exp(log_scale)
    skew = turned_phase(size, alpha)
    phase = jnp.arctan2(im, re)
    uu, us, ss = jnp.sum(u * u), jnp.sum(u * skew), jnp.sum(skew * skew)
    up, sp = jnp.sum(u * phase), jnp.sum(skew * phase)
    determinant = jnp.maximum(uu * ss - us * us, 1e-12)
    beta = jnp.clip((uu * sp - us * up) / determinant, -0.95, 0.95)
    return jnp.stack([alpha, beta, log_scale, (up - beta * us) / uu])


def turned_phase(u: Float[Array, "..."], alpha: Float[Array, ""]) -> Float[Array, "..."]:
    """arg φ(u) / β for u > 0 in S0, scale 1 and loc 0: u (1 - u^(α-1)) / tan(π(α-1)/2)."""
    d = alpha - 1
    d = jnp.where(jnp.abs(d) < 1e-4, 1e-4, d).astype(u.dtype)
    return -u * jnp.expm1(d * jnp.log(u)) / jnp.tan(jnp.pi / 2 * d)


def _scores(theta: Float[Array, " 4"], x: Array, weight: Array) -> tuple[Array, Array]:
    """The log-likelihood, and the derivatives of each observation's, in S0."""
    alpha, beta, log_scale, loc = theta
    z = (x - loc) * jnp.exp(-log_scale)
    value, (in_z, in_alpha, in_beta) = log_density_and_scores(z, alpha, beta)
    parts = jnp.stack([in_alpha, in_beta, -1 - z * in_z, -in_z * jnp.exp(-log_scale)])
    return jnp.sum(weight * (value - log_scale)), jnp.where(weight[None] > 0, parts, 0.0)


def _held(theta: Array, gradient: Array, free: Array, low: Array, high: Array) -> tuple[Array, ...]:
    """What is at its lower end and leaves for it, at its upper one; and all that does not move."""
    down = (theta <= low + 1e-3) & (gradient < 0)
    up = (theta >= high - 1e-3) & (gradient > 0)
    return down & free, up & free, down | up | ~free


def _solvable(information: Array, held: Array) -> Array:
    active = jnp.where(held, 0.0, 1.0).astype(information.dtype)
    inner = information * active[:, None] * active[None]
    return inner + jnp.diag(jnp.where(held, 1.0, 1e-6 * jnp.diag(inner) + 1e-30))


def _information(scores: Array, held: Array) -> Array:
    """The outer product of the scores. One observation in a light tail may outweigh all others: it
    is given a leverage of 0.02."""
    plain = _solvable(scores @ scores.T, held)
    leverage = jnp.sum(scores * jnp.linalg.solve(plain, scores), axis=0)
    shrunk = scores * jnp.minimum(1.0, 0.02 / jnp.maximum(leverage, 1e-30))[None]
    return shrunk @ shrunk.T


def _secant(information: Array, step: Array, change: Array) -> Array:
    """The BFGS update for a step and the change of the gradient over it (Nocedal and Wright 2006,
    §6.1); none where the likelihood is not concave along it."""
    along, pushed = -jnp.dot(change, step), information @ step
    good = along > 1e-3 * jnp.dot(step, pushed)
    gained = jnp.outer(change, change) / jnp.where(good, along, 1.0)
    lost = jnp.outer(pushed, pushed) / jnp.where(good, jnp.dot(step, pushed), 1.0)
    return jnp.where(good, information + gained - lost, information)


def _moved(
    theta: Array, gradient: Array, information: Array, free: Array, low: Array, high: Array
) -> Array:
    """One scoring step, shortened to stay in range; what is next to an end that it leaves for is
    put there, and left out of the step."""
    down, up, held = _held(theta, gradient, free, low, high)
    move = jnp.linalg.solve(_solvable(information, held), jnp.where(held, 0.0, gradient))
    move = jnp.nan_to_num(move)
    # The whole step is shortened: cut in one parameter alone, it might lead downhill.
    room = jnp.where(move > 0, high - theta, theta - low)
    room = jnp.where(held, jnp.inf, jnp.minimum(room, 0.3))
    size = jnp.abs(move)
    share = jnp.min(jnp.where(size > room, room / jnp.where(size > 0, size, 1.0), 1.0))
    theta = jnp.where(down, low, jnp.where(up, high, theta))
    return jnp.clip(theta + share * move, low, high)


def _one_sided(alpha: Array, beta: Array) -> Array:
    """Whether the support is a half-line, whose end depends on the parameters."""
    return (alpha < 1) & (jnp.abs(beta) > 1 - 1e-5)


class _HalfLine(eqx.Module):
    """Coordinates (α, β, log scale, λ) of laws with β = ±1, in place of those of S0.

    For α < 1 the support must hold the data. Where its end is far, λ is the location in S0; where
    it is near, minus the logarithm of its distance to the nearest observation.
    """

    least: Float[Array, ""]  # of side · x
    side: Float[Array, ""]

    @classmethod
    def of(cls, x: Array, weight: Array, beta: Array) -> "_HalfLine":
        side = jnp.sign(beta)
        return cls(jnp.min(jnp.where(weight > 0, side * x, jnp.inf)), side)

    def _room(self, theta: Array) -> Array:
        """How far side · loc may go in S0: the support is side · (x - loc) > -scale tan(πα/2)."""
        reach = jnp.exp(theta[2]) * jnp.tan(jnp.pi / 2 * jnp.where(theta[0] < 1, theta[0], 0.5))
        return self.least + reach

    def s0(self, theta: Float[Array, " 4"]) -> Float[Array, " 4"]:
        scale, most = jnp.exp(theta[2]), self._room(theta)
        free = (most - self.side * theta[3]) / scale
        far = (theta[0] >= 1) | (free > 30)
        distance = scale * jax.nn.softplus(jnp.where(far, 0.0, free))
        return theta.at[3].set(jnp.where(far, theta[3], self.side * (most - distance)))

    def start(self, theta: Float[Array, " 4"], x: Array, weight: Array) -> Float[Array, " 4"]:
        """`theta`, or a law of small index if that is likelier: with the scale from |φ| at one
        frequency, and the end as far off as the least of n numbers is, from
        P(A < a) ≈ exp(-(1-α) (a/α)^(-α/(1-α))) for the positive law of Laplace transform
        exp(-s^α) (Zolotarev 1986, §2.5)."""
        u, number = 0.5, jnp.sum(weight)
        size = jnp.hypot(jnp.sum(weight * jnp.cos(u * x)), jnp.sum(weight * jnp.sin(u * x)))
        decay = -jnp.log(jnp.clip(size / number, 1e-3, 0.999))

        def small(alpha: Array) -> Array:
            log_scale = jnp.log(decay) / alpha - math.log(u)
            least = jnp.log(alpha) + (1 - alpha) / alpha * jnp.log((1 - alpha) / jnp.log(number))
            least = jnp.exp(least - jnp.log(jnp.cos(jnp.pi / 2 * alpha)) / alpha)  # of scale 1
            law = jnp.stack([alpha, theta[1], log_scale, theta[3]])
            free = least + jnp.log(-jnp.expm1(-least))
            return law.at[3].set(self.side * (self._room(law) - jnp.exp(log_scale) * free))

        laws = jax.vmap(small)(jnp.asarray([0.3, 0.5, 0.7, 0.9], x.dtype))
        laws = jnp.concatenate([theta[None], laws])
        totals = jax.lax.map(lambda law: _scores(self.s0(law), x, weight)[0], laws)
        return laws[jnp.argmax(jnp.where(jnp.isfinite(totals), totals, -jnp.inf))]

    def searched(self, theta: Float[Array, " 4"], x: Array, weight: Array) -> Float[Array, " 4"]:
        """From `theta` to the maximum, by BFGS with one evaluation in the program: the observation
        next to the end has so large a score that the outer product is no measure of curvature far
        from the maximum (Nocedal and Wright 2006, §6.1)."""
        span, number = _LARGEST - _SMALLEST, jnp.sum(weight)

        def law(free: Array) -> Array:
            alpha = _SMALLEST + span * jax.nn.sigmoid(free[0])
            return jnp.stack([alpha, theta[1], free[1], free[2]])

        def loss(free: Array) -> tuple[Array, Array]:
            total, scores = _scores(self.s0(law(free)), x, weight)
            chain = jax.jacfwd(lambda v: self.s0(law(v)))(free)
            value = jnp.where(jnp.isfinite(total), -total, jnp.inf)
            return value / number, -(chain.T @ jnp.sum(scores, axis=1)) / number

        def advance(state: Any) -> Any:
            at, value, slope, inverse, move, share, i = state
            new, new_slope = loss(at + share * move)
            down = jnp.dot(slope, move)
            good = new <= value + 1e-4 * share * down
            y = new_slope - slope
            bend = share * jnp.dot(move, y)
            step = jnp.where(good & (bend > 1e-12), share * move, 0.0)
            rho = 1 / jnp.maximum(bend, 1e-12)
            left = jnp.eye(3, dtype=at.dtype) - rho * jnp.outer(step, y)
            updated = left @ inverse @ left.T + rho * jnp.outer(step, step)
            inverse = jnp.where(good & (bend > 1e-12), updated, inverse)
            at, value = jnp.where(good, at + share * move, at), jnp.where(good, new, value)
            slope = jnp.where(good, new_slope, slope)
            move = -inverse @ slope
            move = move * jnp.minimum(1, 0.5 / jnp.max(jnp.abs(move)))
            return at, value, slope, inverse, move, jnp.where(good, 1.0, share / 4), i + 1

        def going(state: Any) -> Any:
            moving = jnp.max(jnp.abs(state[4])) * state[5] > _STILL
            # The first evaluation is at the start itself: it counts as a step of length 0.
            return (state[6] == 0) | (moving & (state[6] < 200))

        share = jnp.clip((theta[0] - _SMALLEST) / span, 1e-3, 1 - 1e-3)
        first = jnp.stack([jnp.log(share / (1 - share)), theta[2], theta[3]])
        numbers = (first, jnp.inf, jnp.zeros(3), jnp.eye(3), jnp.zeros(3), 1.0)
        state = (*(jnp.asarray(v, x.dtype) for v in numbers), jnp.zeros((), int))
        return law(jax.lax.while_loop(going, advance, vary_with(state, x))[0])


_block_spread = jax.jit(block_covariance, static_argnames="resamples")


@partial(jax.jit, static_argnames=("kind", "alone", "continuous"))
def _fit_general(
    x: Array,
    count: Count,
    middle: Array,
    unit: Array,
    quantiles: Array,
    z: Array,
    beta: Array,
    spread: Array | None,
    *,
    kind: _Beta,
    alone: bool,
    continuous: bool,
) -> tuple[tuple[Array, ...], Array | None]:
    """The fields of a `LawFit` of standard data, and the p-value of the symmetric law. `spread` is
    the covariance of (alpha, log scale, loc) where it is known."""
    dtype = x.dtype
    weight, pin = weights(x, count), kind is not _Beta.FREE
    p_value = None
    if kind is _Beta.ZERO and spread is None:
        p_value = fit_test(x, count, None, None, None, (0, 1, 2)).p_value
    most = jnp.inf
    low = jnp.asarray([_SMALLEST, -_STEEPEST, -most, -most], dtype)
    high = jnp.asarray([_LARGEST, _STEEPEST, most, most], dtype)
    free = jnp.asarray([True, not pin, True, True])
    start = regression(x, count)
    if pin:
        start = start.at[1].set(beta)
        low, high = low.at[1].set(beta), high.at[1].set(beta)
    if alone:
        unknown = jnp.full((4, 4), jnp.nan, dtype)
        total = _scores(start, x, weight)[0] - number(x, count) * jnp.log(unit)
        found = _summary(start, unknown, total, middle, unit, quantiles, z, continuous)
        return found, p_value
    chart = _HalfLine.of(x, weight, beta) if kind is _Beta.END else None
    if chart is not None:
        start = chart.searched(chart.start(start, x, weight), x, weight)

    def scores_of(theta: Array) -> tuple[Array, Array]:
        if chart is None:
            return _scores(theta, x, weight)
        total, parts = _scores(chart.s0(theta), x, weight)
        return total, jax.jacfwd(chart.s0)(theta).T @ parts

    # steps in standard errors; the rounding of a log-likelihood
    tolerance, slack = (1e-4, 1e-13) if dtype == jnp.float64 else (3e-3, 1e-6)

    def advance(state: Any) -> Any:
        best, best_total, scores, bend, proposal, _, i = state
        total, new = scores_of(proposal)
        better = total >= best_total - slack * jnp.abs(total)
        best_after = jnp.where(better, proposal, best)
        slope = jnp.sum(new, axis=1)
        fresh = _information(new, _held(proposal, slope, free, low, high)[2])
        secant = _secant(bend, proposal - best, slope - jnp.sum(scores, axis=1))
        bend = jnp.where(better, jnp.where(i < _FRESH, fresh, secant), bend)
        scores = jnp.where(better, new, scores)
        following = _moved(best_after, jnp.sum(scores, axis=1), bend, free, low, high)
        following = jnp.where(better, following, best + 0.25 * (proposal - best))
        # in units of the standard errors, roughly
        size = jnp.abs(following - best_after) * jnp.sqrt(jnp.sum(scores * scores, axis=1))
        moving = jnp.max(jnp.where(free, size, 0)) > tolerance
        moving = moving & (better | (i > 0))
        return best_after, jnp.maximum(total, best_total), scores, bend, following, moving, i + 1

    going = lambda s: s[5] & (s[6] < _MOST)  # noqa: E731

    def stage(k: int, state: Any) -> Any:
        """From the start; then, of a fit next to α = 2, from there if that is better."""
        best, total, scores = state
        proposal = jnp.where(k == 0, start, best.at[0].set(_LARGEST))
        whether = (k == 0) | (best[0] > _NEARLY)
        bend = jnp.zeros((4, 4), dtype)
        state = (best, total, scores, bend, proposal, whether, jnp.zeros((), int))
        return jax.lax.while_loop(going, advance, vary_with(state, x))[:3]

    state = (start, jnp.asarray(-jnp.inf, dtype), jnp.zeros((4, x.size), dtype))
    theta, total, scores = jax.lax.fori_loop(0, 2, stage, vary_with(state, x))
    down, up, _ = _held(theta, jnp.sum(scores, axis=1), free, low, high)
    covariance = _covariance(scores, free, down | up)
    if spread is not None:
        place = np.array([0, 2, 3])
        covariance = jnp.zeros((4, 4), dtype).at[place[:, None], place].set(spread)
    if chart is not None:
        slope = jax.jacfwd(chart.s0)(theta)
        theta, covariance = chart.s0(theta), slope @ covariance @ slope.T
    elif not pin:  # at the end of β and of the support at once
        covariance = jnp.where(_one_sided(theta[0], theta[1]), jnp.nan, covariance)
    theta = jnp.where(jnp.isfinite(total), theta, jnp.nan)
    total = total - number(x, count) * jnp.log(unit)
    found = _summary(theta, covariance, total, middle, unit, quantiles, z, continuous)
    return found, p_value


def _covariance(scores: Array, free: Array, ends: Array) -> Array:
    """The inverse of the outer product; of a parameter at its end with, of the others without."""
    information = scores @ scores.T
    size = jnp.sqrt(jnp.maximum(jnp.diag(information), 1e-30))

    def inverse(active: Array) -> Array:
        on = active.astype(scores.dtype)
        scaled = information / (size[:, None] * size[None]) * on[:, None] * on[None]
        scaled = scaled + jnp.diag(1 - on)
        return jnp.linalg.inv(scaled) / (size[:, None] * size[None]) * on[:, None] * on[None]

    whole, inner = inverse(free), inverse(free & ~ends)
    return jnp.where(ends[:, None] | ends[None], jnp.diag(jnp.diag(whole)), inner)


def _summary(
    theta: Array,
    covariance: Array,
    total: Array,
    middle: Array,
    unit: Array,
    quantiles: Array,
    z: Array,
    continuous: bool,
) -> tuple[Array, ...]:
    """The fields of `LawFit` from the S0 parameters and the quantiles of standard data."""

    def full(theta: Array) -> Array:
        alpha, beta, log_scale, loc = theta
        if not continuous:
            d = alpha - 1
            d_ = jnp.where(d == 0, 1.0, d)
            jump = -beta * jnp.exp(log_scale) / jnp.tan(jnp.pi / 2 * d_)
            at_one = -2 / jnp.pi * beta * jnp.exp(log_scale) * (log_scale + jnp.log(unit))
            # S1: X = scale Z1 + loc1, Z0 = Z1 - β tan(πα/2)
            loc = jnp.where(d == 0, loc + at_one, loc - jump)
        return jnp.stack([alpha, beta, log_scale, unit * loc])

    jacobian = jax.jacfwd(full)(theta)
    covariance = jacobian @ covariance @ jacobian.T
    alpha, beta, log_scale, move = full(theta)
    quantiles = (quantiles - move / unit) * jnp.exp(-log_scale)
    # An estimate at the end of its range is the law at that end.
    half = z * jnp.sqrt(jnp.maximum(jnp.diag(covariance), 0))
    scale = unit * jnp.exp(log_scale)
    factor = jnp.exp(half[2])
    loc = middle + move
    lower = jnp.stack(
        [jnp.maximum(alpha - half[0], 0), jnp.maximum(beta - half[1], -1), scale / factor,
         loc - half[3]]
    )  # fmt: skip
    upper = jnp.stack(
        [jnp.minimum(alpha + half[0], 2), jnp.minimum(beta + half[1], 1), scale * factor,
         loc + half[3]]
    )  # fmt: skip
    return alpha, beta, scale, loc, covariance, total, lower, upper, quantiles
