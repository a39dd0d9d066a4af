"""Theory with numbers: the bounds of the paper, sharper ones, and predicted exponents.

References: Wan, Zaidi and Şimşekli (2023), Theorems 3.1, 4.1, 4.2 and Lemma B.1, with the
corrections listed in the documentation ("Theory"); Gribonval, Cevher and Davies, IEEE Trans. Inf.
Theory 58 (2012), for i.i.d. compressibility.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy import integrate, optimize

from stablesde import stable
from stablesde.model import AssumptionConstants
from stablesde.noise import (
    IndependentStable,
    IsotropicStable,
    OneFactorStable,
    StableNoise,
    stable_noise,
)
from stablesde.stable._domain import check_alpha

# Norms of this many stable vectors stand for their law below the far tail, where the exact
# asymptotics take over.
_SAMPLE_SIZE = 2**21
_SAMPLE_SEED = 20230613
_LOG_MAX = math.log(np.finfo(float).max)


@dataclass(frozen=True)
class Bound:
    """An upper bound as printed in the paper, and a sharper one by the same proof.

    `paper` uses the single constant B of Assumption 1; `sharp` the model's own sup and Lipschitz
    constants (`AssumptionConstants`), term by term. Both are infinite where Assumption 1 fails.
    """

    paper: float
    sharp: float


def strong_error_bound(
    constants: AssumptionConstants,
    noise: StableNoise,
    *,
    width: int,
    step: float,
    t1: float,
    sigma: float = 1.0,
) -> Bound:
    """Theorem 4.1: bound on `E sup_k sup_i ‖θ^i_{ηk} - θ̂^i_k‖`.

    Paper: `T e^{2BT} (B² η + 2Bα C'/(α+1) η^{1/α})`, `C' = σ E[sup_i ‖L_1^i‖ + ‖L_1‖]`.
    Sharp: with sup ‖b‖ = c and Lipschitz constants ℓ_θ, ℓ_μ of the drift,
    `T e^{(ℓ_θ+ℓ_μ)T} ((ℓ_θ+ℓ_μ) c η/2 + σ (ℓ_θ E sup_i ‖L_1^i‖ + ℓ_μ E‖L_1‖) α/(α+1) η^{1/α})`,
    by Grönwall's inequality, since the drift varies within a step by at most its Lipschitz
    constants times the way of the particle and the mean way of all.

    **Arguments:** `constants` from `NetworkModel.assumption_constants()`; `width` n; `step` η (a
    time); `t1` T. **Returns:** a `Bound`; infinite for α ≤ 1, where E‖L_1‖ is.
    """
    if not constants.holds:
        return Bound(math.inf, math.inf)
    alpha = float(noise.alpha)
    sup_jump = sigma * maximum_moment(noise, width)
    mean_jump = sigma * maximum_moment(noise, 1)
    power = step ** (1 / alpha)
    B = constants.B
    paper = B**2 * step + 2 * B * alpha / (alpha + 1) * (sup_jump + mean_jump) * power
    lip_theta, lip_mean = constants.lipschitz_theta, constants.lipschitz_mean
    own_way = 0.5 * (lip_theta + lip_mean) * constants.drift_bound * step
    jumps = (lip_theta * sup_jump + lip_mean * mean_jump) * alpha / (alpha + 1) * power
    return Bound(
        t1 * math.exp(2 * B * t1) * paper,
        t1 * math.exp((lip_theta + lip_mean) * t1) * (own_way + jumps),
    )


def chaos_bound(constants: AssumptionConstants, *, width: int, t1: float) -> Bound:
    """Theorem 4.2: bound on `E sup_t sup_i ‖θ^{i,n}_t - θ^{i,∞}_t‖`.

    Paper: `(1+B)(BT/√n + B²T² exp(BT(1 + EΨ)) / (2√n))`.
    Sharp: `K T e^{(ℓ_θ+ℓ_μ)T} / √n`, K = `constants.fluctuation`, by Grönwall's inequality; it
    holds for the sup over i and for the Euler schemes of both systems alike.
    """
    if not constants.holds:
        return Bound(math.inf, math.inf)
    B = constants.B
    growth = B**2 * t1**2 * math.exp(B * t1 * (1 + constants.mean_psi)) / 2
    rate = constants.lipschitz_theta + constants.lipschitz_mean
    root = math.sqrt(width)
    return Bound(
        (1 + B) * (B * t1 + growth) / root,
        constants.fluctuation * t1 * math.exp(rate * t1) / root,
    )


def compression_exponent(alpha: float) -> float:
    """1/2 - 1/α: the power of n with which the relative compression error of n i.i.d. vectors
    with tail index α falls. The kept fraction κ changes the constant, not the exponent."""
    check_alpha(alpha)
    return 0.5 - 1 / alpha


def maximum_moment(noise: StableNoise | float, n: int) -> float:
    """`E max_{i ≤ n} ‖X_i‖` of independent stable vectors (a float: of scalars with that α).

    Exact where the norm is a scalar's modulus (Type I, or any noise of dimension one). Otherwise
    the law of ‖X‖ is taken from 2²¹ draws up to its 99.95 % quantile and from the exact tail
    `C t^-α` beyond: accurate to about 2 % (Monte Carlo, and the tail's second order).
    Infinite for α ≤ 1. Raises `ValueError` for n < 1.

    Compare Lemma B.1 of the paper, `E max |Z_i| ≤ (8 C_α + 1) n^{1/α}`, whose exponent is right
    and whose constant is too small for α near 1, and the limit `Γ(1 - 1/α) (C n)^{1/α}`.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if not isinstance(noise, StableNoise):
        noise = stable_noise("I", float(noise), 1)
    alpha = float(noise.alpha)
    if alpha <= 1:
        return math.inf
    if isinstance(noise, OneFactorStable) or noise.dim == 1:
        return _norm_scale(noise) * float(stable.expected_maximum(alpha, n))
    norms = _norm_sample(noise)
    if norms[-1] == 0:
        return 0.0
    if alpha == 2:
        return _body_of_maximum(norms, n)
    cut = int(len(norms) * (1 - 5e-4))
    start = math.log(norms[cut])
    tail_constant = noise.norm_tail_constant()

    def tail(y: float) -> float:
        exceed = min(tail_constant * math.exp(-alpha * y), 1 - 1e-12)
        return -math.expm1(n * math.log1p(-exceed)) * math.exp(y)

    # Beyond `flat` the integrand is its first-order term, integrated by hand.
    flat = max(start, math.log(tail_constant * n) / alpha + 20 / alpha)
    middle = integrate.quad(tail, start, flat, limit=200)[0]
    rest = n * tail_constant * math.exp((1 - alpha) * flat) / (alpha - 1)
    return _body_of_maximum(norms[: cut + 1], n, total=len(norms)) + middle + rest


def _norm_scale(noise: StableNoise) -> float:
    """s in ‖X‖ = s |Z|, Z standard, for a noise whose norm is a scalar's modulus."""
    if isinstance(noise, (OneFactorStable, IndependentStable, IsotropicStable)):
        return math.sqrt(noise.dim)

    def excess(log_u: float) -> float:
        value = noise.characteristic_function(jnp.array([math.exp(log_u)]))
        return float(np.real(value)) - math.exp(-1)

    # φ(1/s) = 1/e. No such u within float32's squares: X is 0.
    low, high = -40.0, 40.0
    if excess(high) > 0:
        return 0.0
    return math.exp(-optimize.brentq(excess, low, high, xtol=1e-12))


def _body_of_maximum(norms: np.ndarray, n: int, total: int | None = None) -> float:
    """∫ (1 - F(t)^n) dt from 0 to the last of the sorted norms, F their empirical law."""
    below = np.arange(len(norms)) / (total or len(norms))
    widths = np.diff(norms, prepend=0.0)
    return float(np.sum(widths * (1 - below**n)))


_norm_cache: dict[tuple, np.ndarray] = {}


def _norm_sample(noise: StableNoise) -> np.ndarray:
    """Sorted norms of a fixed sample of stable vectors; the last few laws are remembered."""
    identity = (type(noise), noise.dim, *(np.asarray(v).tobytes() for v in jax.tree.leaves(noise)))
    if identity not in _norm_cache:
        while len(_norm_cache) >= 8:
            _norm_cache.pop(next(iter(_norm_cache)))
        _norm_cache[identity] = _sorted_norms(noise)
    return _norm_cache[identity]


def _sorted_norms(noise: StableNoise) -> np.ndarray:
    draw = noise.sample(jax.random.key(_SAMPLE_SEED), (_SAMPLE_SIZE,), dtype=jnp.float32)
    return np.sort(np.linalg.norm(np.asarray(draw, dtype=float), axis=-1))


def required_width(
    alpha: float,
    kappa: float,
    epsilon: float,
    delta: float | None = None,
    *,
    kind: str = "I",
    dim: int = 1,
) -> float:
    """The width n from which `‖Θ^(κn) - Θ‖_F ≤ ε ‖Θ‖_F` holds with probability ≥ 1 - δ.

    For n i.i.d. stable columns, asymptotically: the discarded part is `n v`,
    `v = E[‖X‖²; ‖X‖ below its (1-κ) quantile]`, the whole is `n^{2/α} (C Γ(1-α/2))^{2/α} A` with A
    positive α/2-stable, so the squared error is `n^{1-2/α} v / ((C Γ(1-α/2))^{2/α} A)` in law, and
    n follows from the δ-quantile of A.

    **Arguments:** `alpha` in (0, 2); kept fraction `kappa` in (0, 1); relative error `epsilon` in
    (0, 1); `delta` in (0, 1), default ε as in Theorem 3.1; `kind` and `dim` of the columns.

    **Returns:** n as a float, at least 1; near α = 2 it passes 10^100, and is `inf` where it passes
    the largest float. **Raises:** `ValueError` out of range.
    """
    delta = epsilon if delta is None else delta
    for name, value, top in (("kappa", kappa, 1), ("epsilon", epsilon, 1), ("delta", delta, 1)):
        if not 0 < value < top:
            raise ValueError(f"{name} must lie in (0, {top}), got {value!r}.")
    check_alpha(alpha)
    if alpha == 2:
        raise ValueError("alpha must be below 2: Gaussian columns are not compressible.")
    noise = stable_noise(kind, alpha, dim)
    log_scale = math.log(noise.norm_tail_constant()) + math.lgamma(1 - alpha / 2)
    log_n = math.log(_discarded(_norm_sample(noise), kappa)) - 2 / alpha * log_scale
    log_n -= 2 * math.log(epsilon) + math.log(positive_stable_quantile(delta, alpha / 2))
    log_n /= 2 / alpha - 1
    return math.exp(max(log_n, 0.0)) if log_n < _LOG_MAX else math.inf


def _discarded(norms: np.ndarray, kappa: float) -> float:
    """E[‖X‖²; ‖X‖ below its (1-κ) quantile] of the sorted sample `norms`; positive.

    The last norm counts in part, so that a fraction 1-κ finer than the sample is not taken for 0.
    """
    count = (1 - kappa) * len(norms)
    whole = int(count)
    total = float(np.sum(norms[:whole] ** 2)) + (count - whole) * float(norms[whole]) ** 2
    return max(total / len(norms), float(np.finfo(float).tiny))


def positive_stable_quantile(probability: float, alpha: float) -> float:
    """Quantile of positive α-stable A, E exp(-sA) = exp(-s^α), 0 < α < 1.

    By root finding on `P(A ≤ x) = (1/π) ∫_0^π exp(-x^{-α/(1-α)} K(u)) du`,
    `K(u) = sin(αu)^{α/(1-α)} sin((1-α)u) / sin(u)^{1/(1-α)}` (Kanter 1975; Zolotarev 1986, §2.2).
    In double precision, where `stable.positive_cdf` follows JAX's (float32 by default). Above the
    largest float `inf`, below the smallest one that.

    **Raises:** `ValueError` unless `probability` and `alpha` lie in (0, 1).
    """
    for name, value in (("probability", probability), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), got {value!r}.")
    power = alpha / (1 - alpha)

    def cdf(log_x: float) -> float:
        def integrand(u: float) -> float:
            return math.exp(-math.exp(min(_log_kanter(u, alpha) - power * log_x, 700.0)))

        return integrate.quad(integrand, 0, math.pi, limit=200)[0] / math.pi

    low, high = -5.0, 5.0
    while cdf(low) > probability:
        low *= 2
    while cdf(high) < probability:
        high *= 2
    log_x = optimize.brentq(lambda y: cdf(y) - probability, low, high, xtol=1e-13)
    return math.exp(max(log_x, -_LOG_MAX)) if log_x < _LOG_MAX else math.inf


def _log_kanter(u: float, alpha: float) -> float:
    """log K(u).

    With b = 1-α, K = sin(bu) / sin(αu) · (sin(αu) / sin u)^(1/b), and the ratio in the power,
    cos bu - cot u sin bu, is near 1 for small b: its logarithm must not lose what is divided by b.
    """
    b = 1 - alpha
    # sin(αu) from the nearer zero, π for u near π.
    sin_a = math.sin(alpha * u) if u < 2 else math.sin((math.pi - u) + b * u)
    deficit = 2 * math.sin(b * u / 2) ** 2 + math.sin(b * u) / math.tan(u)
    ratio = math.log1p(-deficit) if abs(deficit) < 0.5 else math.log(sin_a / math.sin(u))
    return math.log(math.sin(b * u)) - math.log(sin_a) + ratio / b
