"""The law of the compression error at finite width, by Fourier inversion.

Given the upper probability P ~ Beta(k, n-k+1) of the k-th largest norm q, the n-k smaller ones are
independent copies below q and the k-1 larger ones copies above it. With D and K the sums of their
squares, `error² = D / (D + q² + K) ≤ e` is `Y = (1-e) D - e (q² + K) ≤ 0`, whose probability is
`1/2 - (1/π) ∫ Im E exp(itY) dt / t` (Gil-Pelaez, Biometrika 38, 1951). The transform of ‖X‖² itself
is `E exp(is‖X‖²) = E exp(-(2s)^{α/2} e^{-iπα/4} ψ(N))`, N ~ N(0, I), so no integral over the tail
is needed: what lies above q is the whole less what lies below.
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy

from stablesde.noise import IndependentStable, IsotropicStable, OneFactorStable, StableNoise
from stablesde.theory._norms import NormLaw, chi_square_rule, norm_scale

_BOTTOM = 1e-9  # lowest tabulated frequency, in units of 1 / q²

Transform = Callable[[np.ndarray], np.ndarray]


def square_transform(noise: StableNoise) -> Transform | None:
    """log s ↦ 1 - E exp(is‖X‖²), or None where there is no formula."""
    alpha, dim = float(noise.alpha), noise.dim
    copies, freedom, scale = 1, 1, 1.0
    if isinstance(noise, IsotropicStable):
        freedom = dim
    elif isinstance(noise, IndependentStable):
        copies = dim
    elif isinstance(noise, OneFactorStable) or dim == 1:
        scale = norm_scale(noise)
    else:
        return None
    squares, weight = chi_square_rule(freedom)
    psi = scale**alpha * squares ** (alpha / 2)

    def transform(log_s: np.ndarray) -> np.ndarray:
        z = np.exp(alpha / 2 * (np.log(2) + log_s) - 0.25j * np.pi * alpha)
        one = np.expm1(-z[..., None] * psi) @ weight
        return -np.expm1(copies * np.log1p(one))

    return transform


def finite_law(
    n: float, kept: float, norms: NormLaw, transform: Transform, alpha: float
) -> Callable[[np.ndarray], np.ndarray]:
    """log e ↦ P(error² ≤ e) for n columns of which `kept` (not nec. an integer) are kept."""
    z, weight = np.polynomial.hermite_e.hermegauss(16 if kept < 50 else 8)
    shares = weight / weight.sum()
    p = np.clip(scipy.stats.beta.ppf(scipy.special.ndtr(z), kept, n - kept + 1), 1e-250, 1 - 1e-12)
    log_q = norms.truncated(p).log_q
    # |E exp(itY)| is about exp(-kept t^{α/2}).
    top = float(np.clip(2 * (40 / kept) ** (2 / alpha), 5.0, 200.0))
    log_t = np.arange(-max(30.0 / alpha, 20.0), np.log(top), 0.02)
    pairs = [
        _log_transforms(float(upper), float(threshold), norms, transform, alpha, top)
        for upper, threshold in zip(p, log_q, strict=True)
    ]

    def one(log_square: float) -> float:
        if log_square >= 0:
            return 1.0
        square, chance = np.exp(log_square), 0.0
        for (below, above), share in zip(pairs, shares, strict=True):
            smaller = below(log_t + np.log1p(-square)) * (n - kept)
            larger = above(log_t + log_square) * max(kept - 1, 0.0)
            phase = smaller + np.conj(larger) - 1j * square * np.exp(log_t)
            integral = np.sum(np.imag(np.exp(phase))) * 0.02
            chance += share * np.clip(0.5 - integral / np.pi, 0.0, 1.0)
        return float(chance)

    return np.vectorize(one, otypes=[float])


def _log_transforms(
    p: float, log_q: float, norms: NormLaw, transform: Transform, alpha: float, high: float
) -> tuple[Transform, Transform]:
    """log E exp(is‖X‖²/q²) given ‖X‖ ≤ q, and given ‖X‖ > q, as functions of log s."""
    ratio, mass = norms.below(p)
    log_s = np.linspace(np.log(_BOTTOM), np.log(high), 250 if high < 20 else 500)
    s = np.exp(log_s)
    angle = s[:, None] * ratio
    # φ - 1 below q, without cancellation.
    minus = (1j * (np.sin(angle) @ mass) - 2 * (np.sin(angle / 2) ** 2 @ mass)) / (1 - p)
    over = (-transform(log_s - 2 * log_q) - (1 - p) * minus) / p
    logs = [np.log(np.abs(1 + v)) + 1j * np.unwrap(np.angle(1 + v)) for v in (minus, over)]
    # log φ next to 0 from φ - 1, which 1 + (φ - 1) has rounded away.
    logs = [
        np.where(np.abs(v) < 1e-3, np.log1p(v), f) for v, f in zip((minus, over), logs, strict=True)
    ]
    return _function(log_s, logs[0], 1.0), _function(log_s, logs[1], alpha / 2)


def _function(log_s: np.ndarray, f: np.ndarray, power: float) -> Transform:
    spline = scipy.interpolate.CubicSpline(log_s, f)
    return functools.partial(_evaluate, spline, complex(f[0]), float(log_s[0]), power)


def _evaluate(
    spline: "scipy.interpolate.CubicSpline",
    first: complex,
    start: float,
    power: float,
    log_s: np.ndarray,
) -> np.ndarray:
    """The spline, and below its start a power of s."""
    inside = spline(np.maximum(log_s, start))
    return np.where(log_s < start, first * np.exp(power * (log_s - start)), inside)
