"""The law of ‖X‖ of a stable vector: quantiles and truncated moments, exact if a formula is known.

Notation: p(r) = P(‖X‖ > r) ~ C r^-α. Everything is in logarithms, since squares of quantiles pass
the largest float for small α or small p.
"""

import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from stablesde import stable
from stablesde.noise import IndependentStable, IsotropicStable, OneFactorStable, StableNoise
from stablesde.stable._domain import resolved

enable_x64: Any = getattr(jax, "enable_x64", None)
if enable_x64 is None:  # until JAX 0.7
    enable_x64 = importlib.import_module("jax.experimental").enable_x64

# Norms of this many stable vectors stand for their law below the far tail, where the exact
# asymptotics take over.
_SAMPLE_SIZE = 2**21
_SAMPLE_SEED = 20230613
_SAMPLE_TAIL = 5e-4
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Truncated:
    """At a quantile q, P(‖X‖ > q) = p: log q, log E[‖X‖²; ‖X‖ ≤ q] and log E[‖X‖⁴; ‖X‖ ≤ q]."""

    log_q: np.ndarray
    log_second: np.ndarray
    log_fourth: np.ndarray


@runtime_checkable  # so that checkers of types at run time can check it
class NormLaw(Protocol):
    """The law of a norm, as far as compression needs it."""

    def truncated(self, p: np.ndarray) -> Truncated:
        """Quantiles and truncated moments at upper probabilities `p` in (0, 1)."""

    def below(self, p: float) -> tuple[np.ndarray, np.ndarray]:
        """Nodes ‖X‖²/q² ≤ 1 and their masses (sum at most 1 - p), q the upper p quantile."""

    def survival(self, log_r: float) -> float:
        """P(‖X‖ > r)."""


class ExactNorm:
    """From a formula for p(r): tabulated in log r, with `C r^-α` where p < 1e-20.

    E[‖X‖²; ‖X‖ ≤ q] / q² = ∫_0^∞ 2 e^{-2s} (p(q e^-s) - p(q)) ds, by parts.
    """

    def __init__(
        self,
        survival: Callable[[np.ndarray], np.ndarray],
        alpha: float,
        tail: float,
        points: int = 3000,
    ):
        self._alpha, self._log_tail = alpha, math.log(max(tail, _TINY))
        top = min(max((self._log_tail + 46.0) / alpha, 5.0), 340.0)
        grid = np.linspace(-30.0, top, points)
        p = np.maximum(survival(np.exp(grid)), _TINY)
        good = p > 1e-40  # a Gaussian body with next to no tail
        self._top = grid[good][-1]
        self._log_p = scipy.interpolate.CubicSpline(grid[good], np.log(p[good]))

    def _log_survival(self, log_r: np.ndarray) -> np.ndarray:
        inside = self._log_p(np.clip(log_r, -30.0, self._top))
        beyond = self._log_tail - self._alpha * log_r
        return np.minimum(np.where(log_r > self._top, beyond, inside), 0.0)

    def truncated(self, p: np.ndarray) -> Truncated:
        log_p = np.log(p)
        low = np.full(log_p.shape, -30.0)
        high = np.maximum(self._top, (self._log_tail - log_p) / self._alpha + 1)
        for _ in range(70):
            middle = (low + high) / 2
            above = self._log_survival(middle) > log_p
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        log_q = (low + high) / 2
        moments = []
        for power in (2, 4):
            s, weight = _exponential_rule(power)
            gain = np.exp(self._log_survival(log_q[..., None] - s)) - p[..., None]
            moments.append(power * log_q + np.log(np.maximum(gain @ weight, _TINY)))
        return Truncated(log_q, *moments)

    def survival(self, log_r: float) -> float:
        return float(np.exp(self._log_survival(np.asarray(log_r))))

    def below(self, p: float) -> tuple[np.ndarray, np.ndarray]:
        log_q = float(self.truncated(np.array([p])).log_q[0])
        u, weight = _graded_rule()
        log_r = log_q - u
        slope = np.where(log_r > self._top, -self._alpha, self._log_p(log_r, 1))
        mass = -np.exp(self._log_survival(log_r)) * slope * weight
        return np.exp(-2 * u), np.where(log_r > -30.0, mass, 0.0)


class SampleNorm:
    """From sorted norms, with the exact tail `C r^-α` beyond their 99.95 % quantile."""

    def __init__(self, norms: np.ndarray, alpha: float, tail: float):
        self._alpha, self._log_tail = alpha, math.log(max(tail, _TINY))
        self._norms, total = norms, len(norms)
        self._cut = min(int(total * (1 - _SAMPLE_TAIL)), total - 1)
        self._unit = max(float(norms[self._cut]), _TINY)
        scaled = np.minimum(norms[: self._cut + 1] / self._unit, 1.0)
        self._second = np.concatenate([[0.0], np.cumsum(scaled**2)]) / total
        self._fourth = np.concatenate([[0.0], np.cumsum(scaled**4)]) / total

    def truncated(self, p: np.ndarray) -> Truncated:
        total, log_unit = len(self._norms), math.log(self._unit)
        rank = np.minimum((1 - p) * total, self._cut)
        body = np.maximum(self._norms[np.minimum(rank.astype(int), self._cut)], _TINY)
        tail = np.maximum((self._log_tail - np.log(p)) / self._alpha, log_unit)
        log_q = np.where((1 - p) * total > self._cut, tail, np.log(body))
        moments = []
        for power, table in ((2, self._second), (4, self._fourth)):
            inner = np.interp(rank, np.arange(len(table)), table)
            rest = power - self._alpha
            outer = self._log_tail + math.log(self._alpha / rest) + rest * log_q
            share = -np.expm1(-rest * np.maximum(log_q - log_unit, 0.0))
            with np.errstate(divide="ignore"):
                outer = outer + np.log(share)
                inner = np.log(np.maximum(inner, _TINY)) + power * log_unit
            moments.append(np.logaddexp(inner, outer))
        return Truncated(log_q, *moments)

    def survival(self, log_r: float) -> float:
        if log_r > math.log(self._unit):
            return math.exp(min(self._log_tail - self._alpha * log_r, 0.0))
        return 1 - float(np.searchsorted(self._norms, math.exp(log_r))) / len(self._norms)

    def below(self, p: float) -> tuple[np.ndarray, np.ndarray]:
        log_q = float(self.truncated(np.array([p])).log_q[0])
        total, unit = len(self._norms), 2 * (math.log(self._unit) - log_q)
        # Groups of neighbours by their mean square, and the tail by its quantiles.
        edges = np.linspace(0, min((1 - p) * total, self._cut), 2001)
        sums = np.diff(np.interp(edges, np.arange(len(self._second)), self._second))
        masses = np.diff(edges) / total
        squares = sums / masses * math.exp(unit)
        if (1 - p) * total > self._cut:
            beyond = np.geomspace(1 - self._cut / total, p, 401)
            middle = np.sqrt(beyond[1:] * beyond[:-1])
            tail = np.exp(2 / self._alpha * np.log(p / middle))
            squares, masses = np.append(squares, tail), np.append(masses, -np.diff(beyond))
        return np.minimum(squares, 1.0), masses


@functools.cache
def _graded_rule() -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre on [0, 32], on intervals that grow from 0."""
    x, w = scipy.special.roots_legendre(8)
    edges = 32 * (np.arange(81) / 80) ** 2
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


@functools.cache
def chi_square_rule(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a mean over a chi-square: trapezoidal in the logit of its quantiles."""
    t = np.linspace(-34, 34, 90)
    weight = scipy.special.expit(t) * scipy.special.expit(-t) * (t[1] - t[0])
    squares = 2 * scipy.special.gammaincinv(freedom / 2, scipy.special.expit(t))
    squares[t > 0] = 2 * scipy.special.gammainccinv(freedom / 2, scipy.special.expit(-t[t > 0]))
    return squares, weight / weight.sum()


def _exponential_rule(power: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of ∫_0^∞ power e^{-power s} f(s) ds: Gauss–Legendre on 30 intervals."""
    x, w = scipy.special.roots_legendre(12)
    edges = np.linspace(0, 40.0 / power, 31)
    half = np.diff(edges)[:, None] / 2
    s = (edges[:-1, None] + half * (1 + x)).ravel()
    return s, (half * w).ravel() * power * np.exp(-power * s)


def norm_law(noise: StableNoise) -> NormLaw:
    """Exact for a norm that is a scalar's modulus and for Type III, else from 2²¹ draws.

    Remembered for the last few noises. α < 2.
    """
    identity = _identity(noise)
    if identity not in _law_cache:
        _forget(_law_cache)
        _law_cache[identity] = _norm_law(noise)
    return _law_cache[identity]


def _norm_law(noise: StableNoise) -> NormLaw:
    alpha, tail = float(noise.alpha), noise.norm_tail_constant()
    scalar = isinstance(noise, OneFactorStable) or noise.dim == 1
    scale = norm_scale(noise) if scalar else 1.0
    if scalar and resolved(alpha):

        def modulus(r: np.ndarray) -> np.ndarray:
            with enable_x64(True):
                return 2 * np.asarray(stable.sf(r / scale, alpha))

        return ExactNorm(modulus, alpha, tail)
    if scalar or isinstance(noise, IsotropicStable):
        # ‖X‖² = 2A ‖G‖², of scalars, too: a mean over chi-square quantiles, by the trapezoidal rule
        # in their logit.
        squares, weight = chi_square_rule(1 if scalar else noise.dim)

        def radial(r: np.ndarray) -> np.ndarray:
            log_a = 2 * np.log(r / scale)[:, None] - np.log(2 * squares)
            with enable_x64(True):
                a = np.exp(np.clip(log_a, -690, 690))
                return np.asarray(stable.positive_sf(a, alpha / 2)) @ weight

        return ExactNorm(radial, alpha, tail, points=700)
    return SampleNorm(norm_sample(noise), alpha, tail)


def exponent_moments(noise: StableNoise) -> tuple[float, float]:
    """log of 2 (E ψ(N))^{2/α} and Var ψ(N) / (E ψ(N))², ψ = -log of X's characteristic function.

    N ~ N(0, I). For n independent copies Σ‖X_i‖² = 2 (Σ ψ(N_i))^{2/α} A in law, exactly, with A
    positive α/2-stable independent of the N_i: E exp(-s‖X‖²) = E exp(i√(2s)⟨N, X⟩).
    """
    alpha, dim = float(noise.alpha), noise.dim
    log_scale = 2 / alpha * (math.log(noise.norm_tail_constant()) + math.lgamma(1 - alpha / 2))
    if isinstance(noise, (OneFactorStable, IndependentStable, IsotropicStable)):
        d = dim if isinstance(noise, IsotropicStable) else 1
        log_ratio = math.lgamma(alpha + d / 2) + math.lgamma(d / 2)
        spread = math.expm1(log_ratio - 2 * math.lgamma((alpha + d) / 2))
        return log_scale, spread / (dim if isinstance(noise, IndependentStable) else 1)
    normal = np.random.default_rng(_SAMPLE_SEED).normal(size=(2**13, dim)) * 0.3
    psi = -np.log(np.real(np.asarray(noise.characteristic_function(jnp.asarray(normal)))))
    return log_scale, float(np.var(psi) / np.mean(psi) ** 2)


def norm_scale(noise: StableNoise) -> float:
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
    return math.exp(-scipy.optimize.brentq(excess, low, high, xtol=1e-12))


_law_cache: dict[tuple[Any, ...], NormLaw] = {}
_norm_cache: dict[tuple[Any, ...], np.ndarray] = {}


def _identity(noise: StableNoise) -> tuple[Any, ...]:
    return (type(noise), noise.dim, *(np.asarray(v).tobytes() for v in jax.tree.leaves(noise)))


def _forget(cache: dict[Any, Any]) -> None:
    """Makes room for one more."""
    while len(cache) >= 8:
        cache.pop(next(iter(cache)))


def norm_sample(noise: StableNoise) -> np.ndarray:
    """Sorted norms of a fixed sample of stable vectors; the last few laws are remembered."""
    identity = _identity(noise)
    if identity not in _norm_cache:
        _forget(_norm_cache)
        draw = noise.sample(jax.random.key(_SAMPLE_SEED), (_SAMPLE_SIZE,), dtype=jnp.float32)
        _norm_cache[identity] = np.sort(np.linalg.norm(np.asarray(draw, dtype=float), axis=-1))
    return _norm_cache[identity]
