"""The positive α-stable law in double precision, whatever JAX's: quantiles and tails."""

import functools
import math

import numpy as np
import scipy

from stablesde._arguments import as_number

_LOG_MAX = math.log(np.finfo(float).max)


def positive_stable_quantile(probability: float, alpha: float) -> float:
    """Quantile of positive α-stable A, E exp(-sA) = exp(-s^α), 0 < α < 1.

    By root finding on `P(A ≤ x) = (1/π) ∫_0^π exp(-x^{-α/(1-α)} K(u)) du`,
    `K(u) = sin(αu)^{α/(1-α)} sin((1-α)u) / sin(u)^{1/(1-α)}` (Kanter 1975; Zolotarev 1986, §2.2).
    In double precision, where `stable.positive_cdf` follows JAX's (float32 by default).

    **Returns:** a float: above the largest `inf`, below the smallest normal one that.

    **Raises:** `ValueError` unless `probability` and `alpha` lie in (0, 1).
    """
    log_x = positive_quantile_log(probability, alpha)
    return math.exp(max(log_x, -_LOG_MAX)) if log_x < _LOG_MAX else math.inf


def positive_quantile_log(probability: float, alpha: float) -> float:
    """Its logarithm, which no float is too large or too small for."""
    probability = as_number("probability", probability, 0, 1, "()")
    alpha = as_number("alpha", alpha, 0, 1, "()")
    power = alpha / (1 - alpha)

    def cdf(log_x: float) -> float:
        def integrand(u: float) -> float:
            return math.exp(-math.exp(min(_log_kanter(u, alpha) - power * log_x, 700.0)))

        return scipy.integrate.quad(integrand, 0, math.pi, limit=200)[0] / math.pi

    low, high = -5.0, 5.0
    while cdf(low) > probability:
        low *= 2
    while cdf(high) < probability:
        high *= 2
    return float(scipy.optimize.brentq(lambda y: cdf(y) - probability, low, high, xtol=1e-13))


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


# Trapezoidal rule in t, u = π / (1 + e^-t): the integrand is smooth and falls like e^-|t|.
_T = np.linspace(-40.0, 40.0, 1601)
_WEIGHT = (_T[1] - _T[0]) / ((1 + np.exp(-_T)) * (1 + np.exp(_T)))


def positive_survival(log_x: np.ndarray, alpha: float) -> np.ndarray:
    """P(log A > log_x), of the same formula, for an array: error below 1e-7 for α ≤ 0.95."""
    power = alpha / (1 - alpha)
    log_k = _kanter_nodes(alpha)
    exponent = np.clip(log_k - power * np.asarray(log_x)[..., None], -745.0, 700.0)
    return -np.expm1(-np.exp(exponent)) @ _WEIGHT


@functools.lru_cache(maxsize=64)
def _kanter_nodes(alpha: float) -> np.ndarray:
    u = math.pi / (1 + np.exp(-_T))
    # Next to π the sine of u itself is lost; K is a power of the distance there.
    rest = math.pi / (1 + np.exp(_T))
    return np.array(
        [
            _log_kanter(a, alpha) if b > 1e-6 else _log_kanter_end(b, alpha)
            for a, b in zip(u, rest, strict=True)
        ]
    )


def _log_kanter_end(rest: float, alpha: float) -> float:
    """log K(π - rest) for small `rest`, where sin u = rest."""
    b = 1 - alpha
    log_a = math.log(math.sin(b * math.pi + alpha * rest))
    log_b = math.log(math.sin(b * math.pi - b * rest))
    return log_b + (alpha * log_a - math.log(rest)) / b
