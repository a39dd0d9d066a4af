"""Density and tails of every stable law by Zolotarev's integral, with fixed nodes.

Given the angle U of Chambers, Mallows and Stuck, X is a monotone function of the exponential E:

    f(x) = (1/π) ∫ |dE/dx| e^(-E) dU,    P(X ≤ x) and P(X > x) from (1/π) ∫ e^(-E) dU,

with E(U) monotone from 0 to ∞ (Zolotarev 1986; Nolan 1997). Every term is positive, so light and
heavy tails have full relative accuracy. What makes this integral hard is that E is steep next to
α = 1 (its logarithm has a slope of order 1/|1-α|), and flat in the light tail of a totally skewed
law. Both are gone in the variable

    r = ω t + log E(t),    t = logit of U in its interval,    ω = 1 or 2,

in which neither t nor log E changes faster than r: the trapezoidal rule in r converges
geometrically for every law and every x. The nodes t(r) follow each other by Halley's steps, and log
E = r - ω t holds at them whatever the rounding of E(t), which is why steepness costs no digits. The
angles are kept as distances to both ends, and everything of order 1 - α is divided by it before
anything cancels, so that one form serves α = 1 too. Measured errors: docs/stable.md.

At x1 = 0, where x1 is the S1 variable, E is 0 or ∞ and f is 1/x1 times a vanishing integral: the
value underflows, and its derivatives lose digits like 1/x1 before that. The power series in x1
(Zolotarev 1986, 2.4) takes over where it has all digits: `_Centre`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array

from stablesde.stable._varying import vary_with

Kind = Literal["density", "tails", "all"]
_AT_ONE = 1e-30  # stands for 1 - α = 0; every quotient by it is exact to rounding
_HALF_PI = np.pi / 2


@dataclass(frozen=True)
class _Rule:
    """Node count, first step, growth of the step, -log tolerance; steps to the first node."""

    nodes: int
    step: float
    growth: float
    tolerance: float
    bisections: int
    newtons: int
    reach: float
    huge: float  # log of an E0 whose rounding is no longer small beside 1


_RULES = {
    np.dtype("float64"): _Rule(100, 0.335, 27.0, 32.0, 10, 5, 680.0, 30.0),
    np.dtype("float32"): _Rule(46, 0.6, 12.5, 17.0, 8, 4, 80.0, 10.0),
}


def rule_for(dtype: Any) -> _Rule:
    """Half precisions are computed with the float32 rule."""
    return _RULES.get(np.dtype(dtype), _RULES[np.dtype("float32")])


# sin(x)/x in powers of x²: the remainder at π/2 is below 1e-18.
_SINC = np.cumprod([1.0] + [-1.0 / ((2 * k) * (2 * k + 1)) for k in range(1, 11)])


def _sinc(x: Array) -> Array:
    """sin(x)/x for |x| ≤ π/2: without the range reduction for which XLA leaves vector code."""
    u = x * x
    terms = _SINC if x.dtype == jnp.float64 else _SINC[:7]
    total = jnp.full_like(u, terms[-1])
    for c in terms[-2::-1]:
        total = total * u + jnp.asarray(c, x.dtype)
    return total


def _sin(x: Array) -> Array:
    return x * _sinc(x)


def _log1p_ratio(y: Array) -> Array:
    """log(1 + y)/y for |y| ≤ 0.1, as 2 atanh(y/(2 + y))/y."""
    z = y / (2 + y)
    u = z * z
    return 2 / (2 + y) * (1 + u * (1 / 3 + u * (1 / 5 + u * (1 / 7 + u * (1 / 9 + u / 11)))))


def _arctan_ratio(q: Array) -> Array:
    """arctan(q)/q, smooth at 0."""
    small = jnp.abs(q) < 0.03
    safe = jnp.where(small, 1.0, q)
    u = jnp.where(small, q * q, 0.0)
    series = 1 - u * (1 / 3 - u * (1 / 5 - u * (1 / 7 - u * (1 / 9 - u / 11))))
    return jnp.where(small, series, jnp.arctan(safe) / safe)


class _Law(NamedTuple):
    """One law and one x, mirrored so that its S1 variable is positive. Notation of the module."""

    alpha: Array
    eps: Array  # 1 - α, never 0
    size: Array  # |1 - α|
    sign: Array
    upper: Array  # α > 1
    length: Array  # of the interval of U
    turn: Array  # α · length
    kappa: Array  # the angle that is 0 where the other tail is light
    kappa_ratio: Array  # over |1 - α|
    c1: Array  # π - length
    c2: Array  # π - α length
    slope: Array  # |cos(πα/2)| / |1 - α|
    norm: Array  # R
    rho: Array  # x1 / √(1 + ζ²), ζ = β tan(πα/2)
    rho_ratio: Array  # (ρ - 1) / (1 - α)
    mirrored: Array


def _law(z: Array, alpha: Array, beta: Array, continuous: bool) -> _Law:
    """`z` is the S0 variable (`continuous`) or the S1 variable."""
    eps = 1 - alpha
    eps = eps + jnp.where(eps == 0, jnp.asarray(_AT_ONE, alpha.dtype), 0)
    upper = alpha > 1
    sign = jnp.where(upper, -1.0, 1.0).astype(alpha.dtype)
    size = sign * eps
    s = jnp.sin(_HALF_PI * jnp.where(upper, 2 - alpha, alpha))
    half_eps = _HALF_PI * eps
    safe = jnp.where(size < 0.02, 1.0, half_eps)
    # sin(πε/2)/ε, smooth at 0
    u = half_eps * half_eps
    series = 1 - u / 6 * (1 - u / 20 * (1 - u / 42))
    slope = _HALF_PI * jnp.where(size < 0.02, series, jnp.sin(safe) / safe)
    c = slope * size
    b = sign * beta
    if not continuous:  # there is no S1 variable at α = 1
        continuous_z = z * c + b * s
        shifted = jnp.where(alpha == 1, continuous_z, z * c)
    else:
        shifted = z * c + b * s  # c times the S1 variable
    mirrored = shifted < 0
    z = jnp.where(mirrored, -z, z)
    b = jnp.where(mirrored, -b, b)
    shifted = jnp.where(mirrored, -shifted, shifted)
    bs = b * s
    norm = jnp.sqrt(c * c + bs * bs)
    norm = jnp.where(norm > 0, norm, c)
    across, along = (1 - b) * s * c, c * c + bs * s
    near = (along > 0) & (across < along)
    along_ = jnp.where(near, along, 1.0)
    q = jnp.where(near, across / along_, 0.0)
    angle = jnp.arctan2(jnp.where(near, 0.5, across), jnp.where(near, 1.0, along))
    kappa = jnp.where(near, jnp.arctan(q), angle)
    kappa_ratio = jnp.where(near, _arctan_ratio(q) * (1 - b) * s * slope / along_, angle / size)
    flat = jnp.where(upper, c, (1 + b) * s * c)
    steep = jnp.where(upper, -bs, c * c - bs * s)
    turn = jnp.arctan2(flat, steep) + jnp.where(upper, _HALF_PI * size, 0.0)
    rho = shifted / norm
    positive = b >= 0
    z0 = z if continuous else z - jnp.where(alpha == 1, 0.0, bs / c)
    denominator = norm + jnp.where(positive, bs, 0.0)
    ratio = sign * slope * (z0 - c / denominator) / norm
    return _Law(
        alpha, eps, size, sign, upper,
        length=turn / alpha,
        turn=turn,
        kappa=kappa,
        kappa_ratio=kappa_ratio,
        c1=(jnp.where(upper, jnp.pi * size, 0.0) + kappa) / alpha,
        c2=jnp.where(upper, 0.0, jnp.pi * size) + kappa,
        slope=slope,
        norm=norm,
        rho=rho,
        rho_ratio=jnp.where(positive, ratio, (rho - 1) / eps),
        mirrored=mirrored,
    )  # fmt: skip


def _log_power(ratio: Array, w: Array, eps: Array) -> Array:
    """log(P)/ε with P = 1 + ε w; `ratio` is P without cancellation where it is small."""
    y = eps * w
    series = w * _log1p_ratio(jnp.clip(y, -0.1, 0.1))
    direct = jnp.where(jnp.abs(y) < 0.5, 1 + y, ratio)
    near = jnp.abs(y) < 0.1
    return jnp.where(near, series, jnp.log(jnp.where(near, 1.0, direct)) / eps)


class _Level(NamedTuple):
    """log E at t, its first two derivatives in t, and the angles."""

    value: Array
    first: Array
    second: Array
    low: Array  # distance to the end where E is small
    high: Array
    rate: Array  # d low / dt


def _level(t: Array, law: _Law) -> _Level:
    decay = jnp.exp(-jnp.abs(t))
    large = law.length / (1 + decay)
    small = large * decay
    low, high = jnp.where(t > 0, large, small), jnp.where(t > 0, small, large)
    near, far = jnp.where(law.upper, high, low), jnp.where(law.upper, low, high)
    rate = small / (1 + decay)
    alpha_near = law.alpha * near
    sin_far = _sin(jnp.minimum(far, law.c1 + near))
    sin_near = _sin(jnp.minimum(alpha_near, law.c2 + law.alpha * far))
    right = _HALF_PI - alpha_near
    cos_near = _sin(right)
    # H = π - (α near + far), half of it, and its complement
    half_ratio = 0.5 * (jnp.where(law.upper, law.kappa_ratio, law.kappa_ratio / law.alpha) + low)
    half = law.size * half_ratio
    sinc_half = _sinc(half)
    sin_half = half * sinc_half
    half_sum = 0.5 * jnp.where(law.upper, law.length + law.size * near, law.turn + law.size * far)
    sin_sum = _sin(half_sum)
    third = 2 * half_ratio * sinc_half * sin_sum  # sin(α near + far)/|ε|
    cos_third = sin_half * sin_half - sin_sum * sin_sum
    excess = (
        law.sign * 2 * _sin(0.5 * (far - alpha_near)) * half_ratio * sinc_half / sin_near
    )  # (sin far / sin α near - 1) / ε
    quotient = sin_far / sin_near
    # Next to ρ = 1, sin far and sin α near are nearly equal; elsewhere P alone is close to 1.
    balanced = (law.rho > 0.5) & (law.rho < 2)
    # The product of two large factors may overflow: its logarithm is a sum.
    rest = jnp.where((law.rho > 2) & (quotient > 1), 2.0, law.rho)
    scaled = rest * quotient
    w = jnp.where(balanced, law.rho_ratio * quotient + excess, (scaled - 1) / law.eps)
    power = _log_power(scaled, w, law.eps)
    power = power + jnp.where(rest != law.rho, jnp.log(law.rho / rest), 0.0) / law.eps
    value = jnp.log(third * law.norm / (law.slope * sin_far)) - law.alpha * power
    per_far, per_near = rate / sin_far, rate / sin_near
    a = law.alpha
    first = (
        third / sin_near * per_far
        - law.sign * ((1 + a) * cos_near * per_near)
        - cos_third / third * rate
    )
    second = (
        -excess * (per_far + per_near) * per_far
        + (1 + a + a * a) * per_near * per_near
        - jnp.square(rate / third)
    )
    return _Level(value, first, second + first * (high - low) / law.length, low, high, rate)


def _plateau(law: _Law) -> Array:
    """log E at the end of the interval where it is least, for κ = 0."""
    w = (law.rho_ratio + 1) / law.alpha
    power = _log_power(law.rho / law.alpha, w, law.eps)
    return jnp.log(law.norm / law.slope) - law.alpha * power


class _Plan(NamedTuple):
    """Where the nodes of one x lie: r from `top` downwards."""

    t: Array  # of the first node, nearly
    top: Array
    omega: Array
    stretch: Array
    log_end: Array
    light: Array  # totally skewed, and in the light tail
    huge: Array  # so far in it that only E0 counts


def _plan(law: _Law, rule: _Rule) -> _Plan:
    """Solves log E(t) = log of the E beyond which nothing counts, and spreads the nodes."""
    dtype = law.rho.dtype
    # With κ = 0, E has a least value; with a small κ, a plateau.
    plateau = _plateau(law)
    capped = jnp.exp(jnp.minimum(plateau, rule.reach))
    light = (law.kappa == 0) & (plateau > 0)
    tolerance = rule.tolerance
    tiny = jnp.finfo(dtype).tiny
    inverse = 1 / jnp.minimum(law.alpha, 1.0)
    spread = inverse + jnp.sqrt(2 * tolerance * inverse) + tolerance
    floor = jnp.minimum(capped, -jnp.log(law.kappa / 4 + tiny))
    log_end = jnp.log(spread + jnp.where(light, capped, floor))
    log_end = jnp.where(
        light & (plateau > 20), plateau + spread * jnp.exp(-jnp.maximum(plateau, 20)), log_end
    )

    def bisect(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        lower, higher = state
        t = 0.5 * (lower + higher)
        above = _level(t, law).value > log_end
        return jnp.where(above, lower, t), jnp.where(above, t, higher)

    def newton(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        lower, t, higher = state
        here = _level(t, law)
        above = here.value > log_end
        lower, higher = jnp.where(above, lower, t), jnp.where(above, t, higher)
        following = t - (here.value - log_end) / here.first
        inside = (following >= lower) & (following <= higher)
        return lower, jnp.where(inside, following, 0.5 * (lower + higher)), higher

    edge = jnp.full_like(law.rho, rule.reach)
    lower, higher = jax.lax.fori_loop(0, rule.bisections, bisect, (-edge, edge))
    state = (lower, 0.5 * (lower + higher), higher)
    t = jax.lax.fori_loop(0, rule.newtons, newton, state)[1]

    omega = jnp.where((law.kappa < 0.3) & (plateau > -1), 2.0, 1.0).astype(dtype)
    slow = 2 * jnp.minimum(jnp.maximum(t, 0), tolerance * law.size * inverse)
    right = jnp.log(spread + jnp.where(light, 0.0, floor)) + 2
    right = right + jnp.where(law.upper, 2.0, 3.4 / law.alpha)
    total = (tolerance + slow + right) * omega
    last = rule.nodes - 1
    rise = math.expm1(last / rule.growth) - last / rule.growth
    stretch = jnp.maximum(total - rule.step * last, 0) / rise
    return _Plan(
        t, omega * t + log_end, omega, stretch, log_end, light, light & (plateau > rule.huge)
    )


def _nodes(rule: _Rule) -> tuple[np.ndarray, ...]:
    """Offsets of r below the top as first + stretch · second, and their derivatives."""
    j = np.arange(rule.nodes)
    k = j / rule.growth
    return rule.step * j, np.expm1(k) - k, np.expm1(k) / rule.growth


def _integrals(law: _Law, kind: Kind, order: int = 1) -> tuple[tuple[Array, ...], _Plan]:
    """log of ∫ E e^-E dU, or of ∫ e^-E dU and ∫ 1 - e^-E dU; less the plateau where it is light."""
    dtype = law.rho.dtype
    rule = rule_for(dtype)
    fixed = jax.lax.stop_gradient(law)
    plan = jax.lax.stop_gradient(_plan(fixed, rule))
    omega, log_end = plan.omega, plan.log_end
    plateau = _plateau(law)
    least = jnp.exp(jnp.minimum(plateau, rule.reach))

    def visit(carry: Any, node: Any) -> tuple[Any, None]:
        t, slope, curve, before, sums = carry
        offset, second, jacobian = node
        r = plan.top - offset - plan.stretch * second
        weight = rule.step + plan.stretch * jacobian
        step = r - before
        lowest = t + step / omega
        guess = jnp.clip(t + step * (slope + 0.5 * step * curve), lowest, t)
        here = _level(guess, fixed)
        u = (omega * guess + here.value - r) / (omega + here.first)
        halley = 1 - 0.5 * u * here.second / (omega + here.first)
        guess = jnp.clip(guess - u / jnp.maximum(halley, 0.3), lowest, t)
        guess = jax.lax.stop_gradient(guess)
        here = _level(guess, law)
        for _ in range(order - 1):  # each Newton step doubles the order of the derivatives
            guess = guess - (omega * guess + here.value - r) / (omega + here.first)
            here = _level(guess, law)
        # What is left of the error enters to first order, and carries the derivatives.
        shift = -(omega * guess + here.value - r) / (omega + here.first)
        t_new = guess + shift
        rise = here.first + here.second * shift
        speed = 1 / (omega + rise)
        log_e = r - omega * t_new
        e = jnp.exp(log_e)
        over = jnp.where(plan.light, log_e - plateau, 0.0)
        beyond = jnp.where(plan.light, jnp.maximum(least * jnp.expm1(over), 0), e)
        mass = weight * jnp.exp(log_e - beyond)
        low, high = here.low + here.rate * shift, here.high - here.rate * shift
        rate = here.rate * (1 + shift * (here.high - here.low) / law.length)
        terms: tuple[Array, ...] = ()
        if kind != "tails":
            terms = (mass * rate * speed,)
        if kind != "density":
            model = jnp.exp(r - (plan.top - log_end))
            drop = jnp.exp(-model)
            terms += (
                mass * low * rise * speed,
                weight * ((drop - jnp.exp(-e)) * rate * speed + high * model * drop),
            )
        sums = tuple(a + b for a, b in zip(sums, terms, strict=True))
        speed = jax.lax.stop_gradient(speed)
        curve = -jax.lax.stop_gradient(here.second) * speed * speed * speed
        return (jax.lax.stop_gradient(t_new), speed, curve, r, sums), None

    zero = jnp.zeros_like(law.rho)
    sums = (zero,) * {"density": 1, "tails": 2, "all": 3}[kind]
    carry = vary_with((plan.t, zero, zero, plan.top, sums), law.rho)
    nodes = tuple(jnp.asarray(n, dtype) for n in _nodes(rule))
    sums = jax.lax.scan(visit, carry, nodes)[0][-1]
    return sums, plan


_LOG_CAP = {np.dtype("float64"): 600.0, np.dtype("float32"): 70.0}


def _capped(law: _Law, dtype: Any) -> tuple[_Law, Array]:
    """The law at an x1 that is at most so large that no angle underflows; log of the rest."""
    limit = _LOG_CAP.get(np.dtype(dtype), 70.0) / jnp.maximum(law.alpha, 1.0)
    if dtype != jnp.float64:  # x^-α is e^-12 there, if x can be so large
        limit = jnp.where(law.alpha < 0.5, jnp.minimum(84.0, 12 / law.alpha), limit)
    excess = jnp.maximum(jax.lax.stop_gradient(jnp.log(law.rho)) - limit, 0)
    excess = jnp.where(law.kappa > 0, excess, 0)
    far = excess > 0
    rho = jnp.where(far, jnp.exp(jnp.broadcast_to(limit, law.rho.shape)), law.rho)
    ratio = jnp.where(far, (rho - 1) / law.eps, law.rho_ratio)
    beyond = jnp.where(far, jnp.log(jnp.where(far, law.rho, 1.0)) - jnp.where(far, limit, 0.0), 0.0)
    return law._replace(rho=rho, rho_ratio=ratio), beyond


_TERMS = 6


class _Centre(NamedTuple):
    """Where and how the law follows from its power series in y = x1 (1 + ζ²)^(-1/(2α)) ≥ 0.

    π f = Σ_n a_n y^(n-1) (1 + ζ²)^(-1/(2α)) with a_n = Γ(1 + n/α)/n! sin(nπ P(X1 < 0)). For α < 1
    it is an asymptotic series, good in a small neighbourhood only.
    """

    inside: Array
    log_density: Array
    below: Array  # P(X ≤ x)
    above: Array


def _centre(law: _Law, at_one: Array) -> tuple[_Law, _Centre]:
    """The law away from x1 = 0, for the quadrature, and what holds near x1 = 0.

    Where `at_one`, derivatives of the series cancel like 1 - α, and the quadrature serves.
    """
    fixed = jax.lax.stop_gradient(law)
    alpha, eps = law.alpha, float(jnp.finfo(law.rho.dtype).eps)
    log_unit = jnp.log(law.norm / (law.slope * law.size))  # of √(1 + ζ²)
    y = law.rho * jnp.exp((1 - 1 / alpha) * log_unit)
    orders = range(1, _TERMS + 1)
    logs = [gammaln(1 + n / alpha) for n in orders]
    # The first term left out is at most eps of the first one in the score, and so is the
    # rounding of the quadrature beyond, both over y.
    omitted = gammaln(1 + (_TERMS + 1) / fixed.alpha) - jax.lax.stop_gradient(logs[0])
    omitted = omitted + math.log(_TERMS / math.factorial(_TERMS))
    log_radius = (math.log(eps) - omitted) / _TERMS
    radius = jnp.exp(log_radius)
    # A totally skewed law of α < 1 ends at x1 = 0, without a power series.
    proper = (law.c1 > 0) & (law.length > 0)
    inside = proper & ~at_one & (fixed.rho * jnp.exp((1 - 1 / fixed.alpha) * log_unit) < radius)
    y = jnp.where(inside, y, 0.0)
    acute = law.c1 < law.length  # sin(n c1) = (-1)^(n-1) sin(n length)
    angle = jnp.where(inside, jnp.where(acute, law.c1, law.length), 1.0)
    density, mass, power = jnp.zeros_like(y), jnp.zeros_like(y), jnp.ones_like(y)
    for n, log_gamma in zip(orders, logs, strict=True):
        sine = jnp.sin(n * angle)
        if n % 2 == 0:
            sine = jnp.where(acute, sine, -sine)
        # Γ(n/α) overflows where powers of the radius vanish
        term = jnp.exp(log_gamma - logs[0] + (n - 1) * log_radius) * sine * power
        density, mass = density + term, mass + term * y / n
        power = power * (y / radius) / (n + 1)
    first = jnp.exp(logs[0])
    density = jnp.where(inside, density, 1.0)
    value = logs[0] - math.log(np.pi) + jnp.log(density) - log_unit / alpha
    lower, upper = (law.c1 + first * mass) / np.pi, (law.length - first * mass) / np.pi
    lower, upper = jnp.where(inside, lower, 0.5), jnp.where(inside, upper, 0.5)
    # At α = 1: next to x1 = 0, where nothing is lost, with the derivatives there.
    nudge = jnp.where(at_one & (fixed.rho < eps**0.5), eps**0.5 - fixed.rho, 0.0)
    least = 1e-290 if law.rho.dtype == jnp.float64 else 1e-34
    rho = jnp.where(inside, 1.0, jnp.maximum(law.rho + nudge, least))
    ratio = jnp.where(inside, 0.0, law.rho_ratio + nudge / fixed.eps)
    mirrored = law.mirrored
    return law._replace(rho=rho, rho_ratio=ratio), _Centre(
        inside, value, jnp.where(mirrored, upper, lower), jnp.where(mirrored, lower, upper)
    )


class _Start(NamedTuple):
    """The law at z; logs of what was cut off its size; whether it is outside of the support."""

    law: _Law
    beyond: Array
    empty: Array
    centre: _Centre


def _start(z: Array, alpha: Array, beta: Array, continuous: bool) -> _Start:
    z, alpha, beta = jnp.broadcast_arrays(z, alpha, beta)
    wide = z.dtype == jnp.float64
    most = 1e280 if wide else jnp.where(alpha < 0.5, 2e37, 1e32).astype(z.dtype)
    size = jnp.abs(z)
    cut = jnp.log(jnp.where(size > most, size, most)) - jnp.log(most)
    law = _law(jnp.clip(z, -most, most), alpha, beta, continuous)
    at_one = (law.size < float(jnp.finfo(z.dtype).eps) ** 0.5) if continuous else (alpha == 1)
    law, centre = _centre(law, at_one)
    law, beyond = _capped(law, z.dtype)
    return _Start(law, beyond + cut, law.length <= 0, centre)


def _log_density(start: _Start, plan: _Plan, total: Array) -> Array:
    law, beyond, empty, centre = start
    plateau = jnp.where(plan.light, _plateau(law), 0.0)
    skip = plan.huge | empty
    # Far in a light tail: by Laplace's method, up to what e^plateau does not show.
    log_total = jnp.where(skip, plateau / 2, jnp.log(jnp.where(skip, 1.0, total)))
    factor = jnp.log(law.alpha * law.slope / (jnp.pi * law.norm)) - jnp.log(law.rho)
    value = factor + log_total - (1 + law.alpha) * beyond
    value = value - jnp.where(plan.light, jnp.exp(plateau), 0.0)
    return jnp.where(empty, -jnp.inf, jnp.where(centre.inside, centre.log_density, value))


def _log_tails(start: _Start, plan: _Plan, sums: tuple[Array, Array]) -> tuple[Array, Array]:
    law, beyond, empty, centre = start
    inner, outer = sums
    plateau = jnp.where(plan.light, _plateau(law), 0.0)
    skip = plan.huge | empty
    log_inner = jnp.where(skip, -plateau / 2, jnp.log(jnp.where(skip, 1.0, inner) / jnp.pi))
    log_inner = log_inner - jnp.where(plan.light, jnp.exp(plateau), 0.0)
    small = jnp.pi * jnp.exp(log_inner)  # ∫ e^-E dU
    # ∫ 1 - e^-E dU, whichever way it is the more accurate one
    outer = jnp.where(plan.light | (small < outer), law.length - small, outer)
    log_outer = jnp.log(jnp.where(empty, 1.0, outer) / jnp.pi)
    # x1 > 0 lies in the tail ∫ e^-E dU for α > 1, in the other one for α < 1.
    log_inner = log_inner - jnp.where(law.upper, law.alpha * beyond, 0.0)
    log_outer = log_outer - jnp.where(law.upper, 0.0, law.alpha * beyond)
    upper = jnp.where(law.upper, log_inner, log_outer)
    part = jnp.where(law.upper, log_outer, log_inner)
    rest = law.c1 / jnp.pi
    some = rest > 0
    lower = jnp.where(some, jnp.log(jnp.where(some, rest, 1.0) + jnp.exp(part)), part)
    lower = jnp.where(empty, 0.0, jnp.minimum(lower, 0.0))
    upper = jnp.where(empty, -jnp.inf, jnp.minimum(upper, 0.0))
    mirrored, inside = law.mirrored, centre.inside
    below, above = jnp.where(mirrored, upper, lower), jnp.where(mirrored, lower, upper)
    below = jnp.where(inside, jnp.log(centre.below), below)
    return below, jnp.where(inside, jnp.log(centre.above), above)


def raw_log_density(z: Array, alpha: Array, beta: Array, continuous: bool, order: int = 1) -> Array:
    """log f at `z`, the S0 variable, or (not `continuous`) the S1 variable where α ≠ 1.

    Its derivatives are right up to `order`.
    """
    start = _start(z, alpha, beta, continuous)
    (total,), plan = _integrals(start.law, "density", order)
    return _log_density(start, plan, total)


def raw_log_tails(z: Array, alpha: Array, beta: Array, continuous: bool) -> tuple[Array, Array]:
    """log P(Z ≤ z) and log P(Z > z), for `z` as in `raw_log_density`."""
    start = _start(z, alpha, beta, continuous)
    (inner, outer), plan = _integrals(start.law, "tails")
    return _log_tails(start, plan, (inner, outer))


def raw_log_law(
    z: Array, alpha: Array, beta: Array, continuous: bool
) -> tuple[Array, Array, Array]:
    """`raw_log_density` and `raw_log_tails` in one pass."""
    start = _start(z, alpha, beta, continuous)
    (total, *tails), plan = _integrals(start.law, "all")
    density = _log_density(start, plan, total)
    return (density, *_log_tails(start, plan, (tails[0], tails[1])))
