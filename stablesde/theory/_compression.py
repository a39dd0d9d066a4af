"""The law of the compression error of n independent stable columns, and the width it asks for.

References: Gribonval, Cevher and Davies (2012) for compressibility, without an exponent; the limit
law is the generalised central limit theorem for the whole (Feller 1971, XVII.5) beside the law of
large numbers for the discarded part (Stigler 1973 on trimmed means).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import ArrayLike

from stablesde._arguments import as_number, as_real
from stablesde.compression import kept_rows
from stablesde.noise import StableNoise, stable_noise
from stablesde.theory._finite import Transform, finite_law, square_transform
from stablesde.theory._norms import NormLaw, SampleNorm, exponent_moments, norm_law
from stablesde.theory._positive import positive_quantile_log, positive_survival

_LOG_MAX = math.log(np.finfo(float).max)
# Beyond this width the correction for finite n is far below every other error.
_ASYMPTOTIC = 1e9
# With more kept columns the limit law is within about 1e-3 in probability, and is used.
_EXACT_KEPT = 2000.0
# A sample's second moment below a quantile is that of its tail and more, but for noise.
_MOST = 10.0
# Below, the Fourier integral converges too slowly.
_SMALLEST_ALPHA = 0.3


def compression_exponent(alpha: float, p: float = 2.0) -> float:
    """The power of n with which the relative ℓ_p compression error of n i.i.d. vectors with tail
    index α falls: 1/p - 1/α for p > α, else 0 (the error does not vanish for p < α, and falls like
    a power of log n at p = α). The kept fraction κ changes the constant, not the exponent.

    Source: Gribonval, Cevher and Davies (2012), Proposition 1, part 2, for "vanishes if the p-th
    moment is infinite", without an exponent; the power is that of `n v` against the stable sum,
    `n^{p/α}`.
    **Returns:** the exponent, ≤ 0.
    **Raises:** `ValueError` for α outside (0, 2] or p that is not positive and finite.
    """
    alpha = as_number("alpha", alpha, 0, 2, "(]")
    p = as_number("p", p, 0, ends="(]")
    return min(0.0, 1 / p - 1 / alpha)


@dataclass(frozen=True)
class CompressionLaw:
    """The law of the relative compression error `‖Θ^(κn) - Θ‖_F / ‖Θ‖_F` at width n.

    The whole is `Σ‖X_i‖² = 2 (Σ ψ(N_i))^{2/α} A` exactly, with ψ = -log of the characteristic
    function of X, N_i ~ N(0, I) and A positive α/2-stable (E exp(-sA) = exp(-s^{α/2})), since
    E exp(-s‖X‖²) = E exp(i√(2s)⟨N, X⟩); so about `n^{2/α} (C Γ(1-α/2))^{2/α} A`. The discarded part
    is near `n v(P)`, given the upper probability P ~ Beta(κn, n-κn+1) of the threshold. Hence
    `error² n^{2/α-1} → v(κ) / ((C Γ(1-α/2))^{2/α} A)` in law, v(κ) = E[‖X‖²; ‖X‖ below its upper
    κ quantile]. Up to 2000 kept columns the exact law at finite n is computed instead, by Fourier
    inversion (for α ≥ 0.3, Types I, II and III and any noise of dimension one).

    - `alpha`, `kappa`; `log_scale`: log of `(C Γ(1-α/2))^{2/α}`; `spread`: Var ψ(N) / (E ψ(N))².
    - `offset`: a part of the whole that grows like n alone (0 for stable columns; from θ₀ and the
      drift for the limit's).
    """

    alpha: float
    kappa: float
    log_scale: float
    spread: float
    norms: NormLaw = dataclasses.field(repr=False)
    offset: float = 0.0
    transform: Transform | None = dataclasses.field(default=None, repr=False)

    def cdf(self, epsilon: ArrayLike, n: float) -> np.ndarray:
        """P(error ≤ `epsilon`) at width `n`. **Raises:** `ValueError` unless ε > 0 and n ≥ 2."""
        eps = _positive("epsilon", epsilon)
        return self._law(_checked_width(n), self._kept(n))(2 * np.log(eps))

    def quantile(self, q: ArrayLike, n: float) -> np.ndarray:
        """ε with P(error ≤ ε) = `q` at width `n`.

        **Raises:** `ValueError` unless 0 < q < 1 and n ≥ 2, or for a q below what is resolved.
        """
        levels = np.asarray(as_real("q", q), float)
        if not np.all((levels > 0) & (levels < 1)):
            raise ValueError(f"q must lie in (0, 1), got {q!r}.")
        law = self._law(_checked_width(n), self._kept(n))

        def one(level: float) -> float:
            def excess(log_eps: float) -> float:
                return float(law(np.asarray(2 * log_eps))) - level

            low, high, before = -2.0, 0.0, math.inf
            while (over := excess(low)) > 0:
                if over == before:
                    raise ValueError(
                        f"q={level:g} is below what the law at width n={n:g} resolves, "
                        f"{over + level:.2g}."
                    )
                low, before = 2 * low, over
            return math.exp(scipy.optimize.brentq(excess, low, high, xtol=1e-10))

        return np.vectorize(one, otypes=[float])(levels)

    def median(self, n: float) -> float:
        """The median error at width `n`. Raises `ValueError` unless n ≥ 2."""
        return float(self.quantile(0.5, n))

    def limit_cdf(self, epsilon: ArrayLike, n: float) -> np.ndarray:
        """P(error ≤ ε) from the limit law alone, without any correction for finite n.

        **Raises:** `ValueError` unless ε > 0 and n ≥ 2.
        """
        eps = _positive("epsilon", epsilon)
        return self._limit_probability(2 * np.log(eps), _checked_width(n))

    def geometric_mean(self, n: float) -> float:
        """exp E log(error) at width `n`, up to a relative error of order 1/(κn).

        E log A = γ (2/α - 1), γ Euler's constant (Zolotarev 1986, §3.6), so for stable columns
        (offset 0) its local slope in log n is 1/2 - 1/α up to terms of order 1/n: they have no slow
        approach. With an offset the mean is taken over the quantiles of A.
        Raises `ValueError` unless n ≥ 2.
        """
        n = _checked_width(n)
        if kept_rows(int(n), self.kappa) == 0:
            return 1.0
        log_d, weight, variance = self._discarded(n, float(kept_rows(int(n), self.kappa)))
        mean_d = float(np.sum(weight * (log_d - variance / 2)))
        log_sum = math.log(n) - self.spread / (2 * n)
        scale = self.log_scale + 2 / self.alpha * log_sum
        if self.offset == 0:
            mean_s = scale + np.euler_gamma * (2 / self.alpha - 1)
            return math.exp((mean_d - mean_s) / 2)
        z, normal = np.polynomial.hermite_e.hermegauss(32)
        quantiles = np.clip(scipy.special.ndtr(z), 1e-14, 1 - 1e-14)  # where weights vanish
        log_a = np.array([positive_quantile_log(q, self.alpha / 2) for q in quantiles])
        # A whole that is not positive has no probability but for the law's own error.
        whole = 1 + n * self.offset * np.exp(-(scale + log_a))
        log_whole = scale + log_a + np.log(np.maximum(whole, 0.05))
        mean_s = float(np.sum(normal * log_whole) / np.sum(normal))
        return math.exp((mean_d - mean_s) / 2)

    def _discarded(self, n: float, kept: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For nodes of P: log mean of the discarded sum, weights, its relative variance."""
        rest = max(n - kept, 1e-12)
        if n > _ASYMPTOTIC:
            p, weight = np.array([self.kappa]), np.ones(1)
        else:
            z, weight = np.polynomial.hermite_e.hermegauss(16)
            weight = weight / weight.sum()
            p = np.clip(
                scipy.stats.beta.ppf(scipy.special.ndtr(z), kept, rest + 1), 1e-290, 1 - 1e-12
            )
        at = self.norms.truncated(p)
        below = np.log1p(-p)
        log_d = math.log(rest) + at.log_second - below
        relative = np.expm1(np.clip(at.log_fourth + below - 2 * at.log_second, 0, 50)) / rest
        return log_d, weight, np.minimum(relative, 1.0)

    def _kept(self, n: float) -> float:
        return float(kept_rows(int(n), self.kappa)) if n < _ASYMPTOTIC else self.kappa * n

    def _law(self, n: float, kept: float) -> Callable[[np.ndarray], np.ndarray]:
        """log e ↦ P(error² ≤ e), exact where it can be."""
        if kept == 0:  # nothing is kept, the error is 1
            return lambda log_square: np.where(np.asarray(log_square) >= 0, 1.0, 0.0)
        if self.transform is None or kept > _EXACT_KEPT or self.alpha < _SMALLEST_ALPHA:
            return functools.partial(self._limit_probability, n=n)
        return finite_law(n, kept, self.norms, self.transform, self.alpha)

    def _limit_probability(self, log_square: np.ndarray, n: float) -> np.ndarray:
        """P(D / S ≤ ε²) with D = n v and S = n^{2/α} scale A + n offset."""
        v = math.exp(float(self.norms.truncated(np.array([self.kappa])).log_second[0]))
        with np.errstate(divide="ignore", over="ignore"):
            heavy = v * np.exp(-np.asarray(log_square)) - self.offset
            log_a = np.log(np.maximum(heavy, 0.0))
        log_a = log_a - self.log_scale - (2 / self.alpha - 1) * math.log(n)
        chance = positive_survival(np.maximum(log_a, -600.0), self.alpha / 2)
        return np.where(heavy <= 0, 1.0, chance)


def _checked_width(n: float) -> float:
    width = as_number("n", n)
    if width < 2:
        raise ValueError(f"n must be at least 2 and finite, got {n!r}.")
    return width


def _positive(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(as_real(name, value), float)
    if not np.all(array > 0):
        raise ValueError(f"{name} must be positive, got {value!r}.")
    return array


def compression_law(
    noise: StableNoise,
    kappa: float,
    *,
    columns: ArrayLike | None = None,
    sigma: float = 1.0,
    t1: float = 1.0,
) -> CompressionLaw:
    """The law of the relative compression error of n independent columns with tail index α < 2.

    **Arguments:** `noise`, the law of a column; `kappa`, the kept fraction. The error does not
    depend on the scale, so `σ t1^{1/α}` matters only beside something else: with `columns`, a
    sample (N, dim) of the limit at time `t1` (10⁵ or more), the columns are θ₀ + σ L + drift. Their
    discarded part and `offset` are taken from the sample, their tail is that of σ L (with a bounded
    drift), of scale `sigma · t1^{1/α}`, which dominates as n grows.

    **Returns:** a `CompressionLaw` with `cdf(epsilon, n)`, `quantile(q, n)`, `median(n)`.
    **Raises:** `ValueError` for κ outside (0, 1), α = 2, or columns that are no such sample.
    """
    kappa = as_number("kappa", kappa, 0, 1, "()")
    sigma, t1 = as_number("sigma", sigma, 0, ends="(]"), as_number("t1", t1, 0, ends="(]")
    if not isinstance(noise, StableNoise):
        raise ValueError(f"noise must be a stablesde.StableNoise, got {type(noise).__name__}.")
    alpha = float(noise.alpha)
    if alpha == 2:
        raise ValueError("alpha must be below 2: Gaussian columns are not compressible.")
    log_scale, spread = exponent_moments(noise)
    if columns is None:
        return CompressionLaw(
            alpha,
            float(kappa),
            log_scale,
            spread,
            norm_law(noise),
            transform=square_transform(noise),
        )
    theta = np.asarray(as_real("columns", columns), float)
    if theta.ndim != 2 or theta.shape[1] != noise.dim or len(theta) < 1000:
        raise ValueError(f"columns must have shape (N ≥ 1000, {noise.dim}), got {theta.shape}.")
    if not np.all(np.isfinite(theta)):
        raise ValueError("columns must be finite.")
    log_tail = math.log(noise.norm_tail_constant()) + math.log(t1) + alpha * math.log(sigma)
    tail = math.exp(min(log_tail, _LOG_MAX))
    norms = np.sort(np.linalg.norm(theta, axis=-1))
    scale = math.log(sigma) + math.log(t1) / alpha
    return CompressionLaw(
        alpha,
        float(kappa),
        log_scale + 2 * scale,
        spread,
        SampleNorm(norms, alpha, tail),
        _offset(norms, alpha, tail, norm_law(noise), scale),
    )


def _offset(
    norms: np.ndarray, alpha: float, tail: float, noise: NormLaw, log_scale: float
) -> float:
    """What ‖θ‖² has more than ‖σL‖²: the limit of E[‖θ‖²; ‖θ‖ ≤ x] - E[‖σL‖²; ‖σL‖ ≤ x].

    `noise` is the law of σL in units of `log_scale`. Its exact moment, not that of its tail: near
    α = 2 the tail is a power far beyond any quantile of a sample. At the 99 % quantile: further out
    the sampling noise grows.
    """
    x = float(norms[int(0.99 * len(norms))])
    second = float(np.sum(norms[norms <= x] ** 2)) / len(norms)
    power = tail * alpha / (2 - alpha) * x ** (2 - alpha)
    if power > _MOST * second:
        raise ValueError(
            f"columns are not of this noise, sigma and t1: below {x:.3g} they have {second:.3g} of "
            f"the second moment, where the tail alone would have {power:.3g}."
        )
    p = min(max(noise.survival(math.log(x) - log_scale), 1e-12), 1 - 1e-12)
    own = float(noise.truncated(np.array([p])).log_second[0])
    return second - math.exp(own + 2 * log_scale)


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

    For n i.i.d. stable columns. The limit law of `CompressionLaw` gives
    `n^{2/α-1} = v(κ) / (ε² (C Γ(1-α/2))^{2/α} A_δ)`, A_δ the δ-quantile of A; where that is below
    10⁹ the law at finite n is solved for n instead, with κn kept columns, rounded up or not.

    **Arguments:** `alpha` in (0, 2); kept fraction `kappa` in (0, 1); relative error `epsilon` in
    (0, 1); `delta` in (0, 1), default ε as in Theorem 3.1; `kind` and `dim` of the columns.

    **Returns:** n as a float, at least 1; near α = 2 it passes 10^100, and is `inf` where it passes
    the largest float. **Raises:** `ValueError` out of range.
    """
    kappa = as_number("kappa", kappa, 0, 1, "()")
    epsilon = as_number("epsilon", epsilon, 0, 1, "()")
    delta = epsilon if delta is None else as_number("delta", delta, 0, 1, "()")
    alpha = as_number("alpha", alpha, 0, 2, "(]")
    if alpha == 2:
        raise ValueError("alpha must be below 2: Gaussian columns are not compressible.")
    law = compression_law(stable_noise(kind, alpha, dim), kappa)
    log_v = float(law.norms.truncated(np.array([kappa])).log_second[0])
    log_n = log_v - law.log_scale - 2 * math.log(epsilon) - positive_quantile_log(delta, alpha / 2)
    log_n /= 2 / alpha - 1
    if log_n > math.log(_ASYMPTOTIC):
        return math.exp(log_n) if log_n < _LOG_MAX else math.inf
    return _finite_width(law, epsilon, delta, max(math.exp(log_n), 1.0))


def _finite_width(law: CompressionLaw, epsilon: float, delta: float, start: float) -> float:
    """The largest n at which P(error ≤ ε) is still 1 - δ; at least 1."""

    def excess(log_n: float) -> float:
        n = math.exp(log_n)
        log_square = np.asarray(2 * math.log(epsilon))
        return float(law._law(n, law.kappa * n)(log_square)) - (1 - delta)

    high = math.log(2 * start + 60)
    while excess(high) < 0:
        high += 1
    low = high
    while excess(low) >= 0:
        low -= 0.5
        if low < math.log(2):
            return 1.0
    return math.exp(scipy.optimize.brentq(excess, low, low + 0.5, xtol=1e-5))
