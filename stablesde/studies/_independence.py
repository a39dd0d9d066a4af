"""Chaos itself: pairs of particles become independent, at the rate 1/n.

With bounded functions f_1, …, f_J of one particle, the matrix
`C_n = (Cov(f_j(θ^1), f_k(θ^2)))_{jk}` is 0 for independent particles. By exchangeability all
n(n-1) pairs of a replica estimate it. The empirical measure of a mean-field system has Gaussian
fluctuations of order n^{-1/2} (Sznitman 1991, *Topics in propagation of chaos*, §I.2; Tanaka 1984),
so `n Cov(mean f_j, mean f_k) → Γ_{jk}`, and with
`Cov(mean f_j, mean f_k) = Cov(f_j, f_k)/n + (1 - 1/n) C_n,jk` follows `n C_n → Γ - Cov(f, f)`:
the interaction's part of the fluctuations. The power 1/n is also that of Lacker (2023), who
proves distance O(k/n) of the k-particle law for Brownian noise. For complex exponentials
C_n is the distance of the joint characteristic function from the product of its marginals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_flag, as_real, by_name
from stablesde.dynamics import LawFlow, simulate_limit
from stablesde.dynamics._coupled import coupled_means
from stablesde.stable._bits import Keys
from stablesde.stable._domain import number_text
from stablesde.studies._format import format_rows, verdict_text
from stablesde.studies._setup import configuration, count, lazy_flow, replica_errors, sizes
from stablesde.studies._slopes import MIN_SIZES, Slope, slope_from, slope_weights
from stablesde.studies._statistics import (
    LEVEL,
    MIN_REPLICAS,
    check_level,
    interval,
    resamples,
)
from stablesde.studies._tidy import CellRecord
from stablesde.studies._verdicts import below, equivalent
from stablesde.system import System, check_initial_law, check_is_system

_TOLERANCE = 0.1
_SEED = 11


@dataclass(frozen=True)
class PairDependence:
    """‖C‖ of the pairs of exchangeable particles, C the covariance matrix of bounded functions.

    - `squared`, `lower`, `upper`: unbiased estimate of `‖C‖_F²` (below 0 by chance if C = 0) and
      its interval, by multipliers over replicas. `distance`: `‖C‖_F`, the root, 0 if negative.
    - `threshold`: what `squared` stays below with probability (1 + level)/2 if C = 0; in a study,
      what it stays below with that probability at all of its widths together.
    - `independent`: whether it does.
    """

    squared: float
    lower: float
    upper: float
    threshold: float
    replicas: int

    @property
    def distance(self) -> float:
        """‖C‖_F."""
        return max(self.squared, 0.0) ** 0.5

    @property
    def independent(self) -> bool:
        """Whether nothing speaks against independence; no proof of it."""
        return self.squared <= self.threshold

    def __repr__(self) -> str:
        squared, low, high = map(number_text, (self.squared, self.lower, self.upper))
        return f"PairDependence(‖C‖² = {squared} [{low}, {high}], {self.replicas} replicas)"


def pair_dependence(
    theta: ArrayLike, frequencies: ArrayLike | None = None, *, level: float = LEVEL
) -> PairDependence:
    """How dependent pairs of particles are, from independent replicas of an exchangeable system.

    **Arguments:** `theta` (R, n, dim): R ≥ 8 replicas of n ≥ 2 particles; `frequencies` (K, dim) of
    the functions cos⟨u, θ⟩ and sin⟨u, θ⟩, default ½ and 1 along each axis; `level` of the interval.

    **Returns:** a `PairDependence`.
    **Raises:** `ValueError` for other shapes, numbers that are not finite, or a `level` outside
    (0, 1).
    """
    theta = jnp.asarray(as_real("theta", theta))
    theta = theta.astype(jnp.promote_types(theta.dtype, jnp.float32))
    level = check_level(level)
    if theta.ndim != 3 or theta.shape[0] < MIN_REPLICAS or theta.shape[1] < 2:
        raise ValueError(
            f"theta must have shape (R ≥ {MIN_REPLICAS}, n ≥ 2, dim), got {theta.shape}."
        )
    if not theta.shape[2] or not bool(jnp.all(jnp.isfinite(theta))):
        raise ValueError(f"theta, of shape {theta.shape}, must hold finite numbers.")
    u = _frequencies(frequencies, theta.shape[-1])
    means, pairs = jax.vmap(lambda th: pair_moments(th, u))(theta)
    influence = _influence(np.asarray(means, float), np.asarray(pairs, float))
    return _dependence(influence, level)


def _waves(theta: Float[Array, "dim n"], u: ArrayLike) -> Float[Array, "J n"]:
    """cos⟨u, θ⟩ and sin⟨u, θ⟩ for each u."""
    high = jax.lax.Precision.HIGHEST  # which accelerators otherwise lower
    phase = jnp.matmul(jnp.asarray(u, theta.dtype), theta, precision=high)
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


def pair_moments(theta: Array, u: ArrayLike) -> tuple[Array, Array]:
    """Means of the functions over the particles, and of their products over all pairs i ≠ j."""
    f, high = _waves(theta.T, u).T, jax.lax.Precision.HIGHEST
    n = theta.shape[0]
    # Centred, so that the difference below loses nothing in single precision.
    mean = jnp.mean(f, 0)
    centred = f - mean[None]
    inner = jnp.matmul(centred.T, centred, precision=high)
    pairs = jnp.outer(mean, mean) - inner / (n * (n - 1.0))
    return mean, pairs


def _influence(means: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """W_r (R, J²) with mean C: pair products less the product of the means over replicas.

    The product of the means is that over pairs of different replicas: unbiased.
    """
    total, replicas = means.sum(0), len(means)
    others = (total - means) / (replicas - 1)
    product = 0.5 * (means[:, :, None] * others[:, None] + others[:, :, None] * means[:, None])
    centre = means.mean(0)
    # Up to terms whose mean is 0, the first-order influence of replica r on pairs - product.
    shift = means - centre
    first = 0.5 * (shift[:, :, None] * centre[None, None] + centre[None, :, None] * shift[:, None])
    return (pairs - product - first).reshape(replicas, -1)


def _squared(influence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_{r≠s} w_r w_s ⟨W_r, W_s⟩ / Σ_{r≠s} w_r w_s: unbiased for ‖C‖², no replica with itself."""
    sums = weights @ influence
    own = (weights**2) @ np.sum(influence**2, -1)
    norm = weights.sum(1) ** 2 - np.sum(weights**2, 1)
    return (np.sum(sums**2, -1) - own) / norm


def _deviations(influence: np.ndarray, level: float) -> tuple[float, np.ndarray, np.ndarray]:
    """`_squared`, its simulated errors if C = 0, and those at the C estimated, (B,) each.

    The statistic is degenerate at C = 0, where a bootstrap of replicas makes its standard deviation
    √3 too large: the mean of the resampled W is not 0 but as large as its own error. So centred W
    get multipliers N(0, 1) (Dehling and Mikosch (1994)), the same for every width, and the linear
    part, 2⟨C, mean W - C⟩, the C whose square is the unbiased estimate.
    """
    replicas = len(influence)
    centre = influence.mean(0)
    squared = float(_squared(influence, np.ones((1, replicas)))[0])
    centred = influence - centre
    length = float(centre @ centre)
    shrink = np.sqrt(max(squared, 0.0) / length) if length > 0 else 0.0
    multipliers = np.random.default_rng(_SEED).normal(size=(resamples(level), replicas))
    sums = multipliers @ centred
    own = multipliers**2 @ np.sum(centred**2, -1)
    null = (np.sum(sums**2, -1) - own) / (replicas * (replicas - 1))
    return squared, null, null + 2 * shrink * (sums @ centre) / replicas


def _dependence(influence: np.ndarray, level: float = LEVEL, tests: int = 1) -> PairDependence:
    """The estimate, and the threshold of one of so many `tests` (Bonferroni)."""
    squared, null, errors = _deviations(influence, level)
    low, high = interval(errors, level)
    threshold = float(np.quantile(null, 1 - (1 - level) / 2 / tests))
    return PairDependence(
        squared, squared - float(high), squared - float(low), threshold, len(influence)
    )


@dataclass(frozen=True)
class IndependenceStudy(CellRecord):
    """Dependence of pairs of particles against the width.

    - `means` (R, widths, J), `pairs` (R, widths, J, J): per replica, of the J functions.
    - `coupled`: whether the particles interact (False: independent copies of the limit, the null).
    """

    config: dict[str, Any]
    widths: tuple[int, ...]
    means: np.ndarray
    pairs: np.ndarray
    coupled: bool = True
    name: str = "independence"
    claim: str = "pairs of particles become independent  (chaos; rate 1/n)"
    has_bound: bool = True

    def _parts(self) -> list[np.ndarray]:
        return [_influence(self.means[:, i], self.pairs[:, i]) for i in range(len(self.widths))]

    def dependence(self) -> list[PairDependence]:
        """The estimate at each width."""
        return [_dependence(part, tests=len(self.widths)) for part in self._parts()]

    def slope(self) -> Slope:
        """The power of n in ‖C_n‖, with its interval by multipliers over replicas.

        **Raises:** `ValueError` for fewer than 4 widths, or a width at which the interval of ‖C_n‖²
        contains 0: what is not told from 0 has no logarithm.
        """
        if len(self.widths) < MIN_SIZES:
            raise ValueError(f"a slope needs at least {MIN_SIZES} widths, got {len(self.widths)}.")
        found = [_deviations(part, LEVEL) for part in self._parts()]
        centre = np.array([squared for squared, _, _ in found])
        samples = centre + np.stack([errors for _, _, errors in found], axis=-1)
        if np.any(interval(samples)[0] <= 0):
            raise ValueError(
                "the dependence is not told from 0 at every width: take more replicas or smaller "
                "widths."
            )
        weights = slope_weights(self.widths).T
        y, ys = np.log(centre) / 2, np.log(np.maximum(samples, 1e-300)) / 2
        return slope_from(y @ weights, *interval(ys @ weights), LEVEL)

    def _slope(self) -> tuple[Slope | None, str]:
        try:
            return self.slope(), ""
        except ValueError as error:
            return None, str(error)

    @property
    def bound_holds(self) -> bool | None:
        """Whether the pairs become independent at a rate no worse than n^{-1}.

        True if the interval of the slope lies below -1 + 0.1, False if it lies above; None if it
        straddles it or no slope can be fitted. Independent copies have no rate: False if a width
        shows dependence, else None, since finding none proves none.
        """
        if not self.coupled:
            return None if all(d.independent for d in self.dependence()) else False
        slope, _ = self._slope()
        return None if slope is None else below(slope.lower, slope.upper, -1 + _TOLERANCE)

    @property
    def exponent_attained(self) -> bool | None:
        """Whether the rate is n^{-1}: a straight line, the whole interval within 0.1 of -1.

        False if the line is straight and the interval lies outside, None otherwise.
        """
        slope, _ = self._slope()
        if slope is None or not self.coupled or not slope.straight:
            return None
        return equivalent(slope.lower, slope.upper, -1.0, _TOLERANCE)

    @property
    def verdict(self) -> str:
        """One line."""
        told = sum(not d.independent for d in self.dependence())
        start = f"pairs dependent at {told} of {len(self.widths)} widths"
        slope, reason = self._slope()
        if slope is None:
            return f"{start}; no rate: {reason.rstrip('.')}"
        words = {True: "rate 1/n holds", False: "RATE 1/n REFUTED", None: "rate inconclusive"}
        sharp = {True: "attained", False: "not attained", None: "inconclusive"}
        return f"{start}; {words[self.bound_holds]}, {sharp[self.exponent_attained]} ({slope})"

    def table(self) -> str:
        """A text table: ‖C_n‖² with its interval, and n ‖C_n‖, which tends to a constant."""
        rows = [["n", "‖C‖²", "95 % interval", "n ‖C‖", "pairs"]]
        for n, d in zip(self.widths, self.dependence(), strict=True):
            word = "independent?" if d.independent else "dependent"
            rows.append(
                [
                    str(n),
                    f"{d.squared:.3g}",
                    f"[{d.lower:.3g}, {d.upper:.3g}]",
                    f"{n * d.distance:.4g}",
                    word,
                ]
            )
        return format_rows(rows)

    def summary(self) -> dict[str, Any]:
        """The dependence at each width in `cells`, the slope and verdicts."""
        slope, reason = self._slope()
        keys = ("estimate", "lower", "upper", "curvature", "straight")
        cells = [
            {"width": n, "squared": d.squared, "lower": d.lower, "upper": d.upper}
            | {"distance": d.distance, "independent": d.independent}
            for n, d in zip(self.widths, self.dependence(), strict=True)
        ]
        fitted = None if slope is None else {k: getattr(slope, k) for k in keys} | {"theory": -1.0}
        return {
            "cells": cells,
            "exponent": fitted,
            "not_fitted": reason,
            "bound_holds": self.bound_holds,
            "exponent_attained": self.exponent_attained,
            "verdict": self.verdict,
        }

    def __repr__(self) -> str:
        return f"IndependenceStudy({len(self.means)} replicas; {verdict_text(self)})"


@by_name
def independence(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    num_steps: int,
    t1: float,
    replicas: int = 1000,
    batch: int = 250,
    coupled: bool = True,
    frequencies: ArrayLike | None = None,
    law_particles: int = 2**14,
    run_dir: str | Path | None = None,
) -> IndependenceStudy:
    """Chaos in the sense of the word: do pairs of particles become independent, and how fast?

    Measures ‖C_n‖, the covariances of cos⟨u, θ⟩ and sin⟨u, θ⟩ between two particles at t1, that is
    the distance between the joint characteristic function of a pair and the product of its
    marginals. Bounded functions, so heavy tails do no harm. Theory: n ‖C_n‖ tends to a constant.

    **Arguments:** `widths`, at least 4 for a rate; `replicas`, independent systems: the noise of
    the estimate is of order 1/(n √replicas), as small against ‖C_n‖ at every width; `coupled=False`
    takes independent copies of the limit instead, as a null check; `frequencies` (K, dim), default
    ½ and 1 along each axis; the rest as in `ssd.propagation_of_chaos`.

    **Returns:** an `IndependenceStudy`.
    **Raises:** `ValueError` as `ssd.strong_error`, for fewer than 8 replicas, and for an `init`
    that lists θ₀ for each particle (which are then not exchangeable).
    """
    widths, num_steps = sizes("widths", widths), count("num_steps", num_steps)
    if widths[0] < 2:
        raise ValueError(f"widths must be at least 2 to have pairs, got {widths!r}.")
    coupled = as_flag("coupled", coupled)
    law_particles = count("law_particles", law_particles)
    check_is_system(system)
    check_initial_law(system, "independence")
    u = _frequencies(frequencies, system.dim)
    config = configuration(
        system,
        key,
        widths=widths,
        t1=t1,
        batch=batch,
        replicas=count("replicas", replicas, MIN_REPLICAS),
        num_steps=num_steps,
        coupled=coupled,
        law_particles=law_particles,
        frequencies=u.tolist(),
    )
    flow = lazy_flow(system, key, t1=t1, num_steps=num_steps, num_particles=law_particles)

    grid: Any = {"widths": widths, "num_steps": num_steps, "t1": t1}

    def compute(keys: Keys) -> dict[str, np.ndarray]:
        if coupled:
            found = coupled_means(system, keys, _Waves(u), **grid)
        else:
            found = _means_of_copies(flow(), keys, u, widths)
        return _pairs(np.asarray(found, float), np.asarray(widths))

    parts = replica_errors("independence", config, key, compute, run_dir)
    return IndependenceStudy(config, widths, parts["means"], parts["pairs"], coupled)


class _Waves(eqx.Module):
    """The J functions of each column, and their products, J + J²."""

    u: np.ndarray

    def __call__(self, theta: Float[Array, "dim n"]) -> Float[Array, "q n"]:
        f = _waves(theta, self.u)
        return jnp.concatenate([f, (f[:, None] * f[None]).reshape(-1, f.shape[1])])


def _means_of_copies(
    flow: LawFlow, keys: Keys, u: np.ndarray, widths: tuple[int, ...]
) -> Float[Array, "R widths q"]:
    """As `coupled_means`, of independent copies of the limit."""
    n = max(widths)
    theta = jax.vmap(lambda k: simulate_limit(flow, k, num_particles=n).final)(keys)
    return _prefix_means(theta, u, widths)


@eqx.filter_jit
def _prefix_means(theta: Array, u: np.ndarray, widths: tuple[int, ...]) -> Array:
    f = jax.vmap(lambda columns: _waves(columns.T, u))(theta)  # (R, J, n)
    high, found = jax.lax.Precision.HIGHEST, []
    for n in widths:
        part = f[..., :n]
        products = jnp.matmul(part, jnp.swapaxes(part, 1, 2), precision=high) / n
        means = jnp.mean(part, -1)
        found.append(jnp.concatenate([means, products.reshape(len(products), -1)], -1))
    return jnp.stack(found, 1)


def _pairs(found: np.ndarray, widths: np.ndarray) -> dict[str, np.ndarray]:
    """Means (R, widths, J), and means of products over all pairs i ≠ j, (R, widths, J, J)."""
    size = math.isqrt(found.shape[-1])  # of J + J²
    means, products = found[..., :size], found[..., size:].reshape(*found.shape[:2], size, size)
    square = means[..., :, None] * means[..., None, :]
    pairs = square - (products - square) / (widths[:, None, None] - 1.0)
    return {"means": means, "pairs": pairs}


def _frequencies(frequencies: ArrayLike | None, dim: int) -> np.ndarray:
    if frequencies is None:
        return np.concatenate([0.5 * np.eye(dim), np.eye(dim)])
    u = np.asarray(as_real("frequencies", frequencies), float)
    if not u.size or u.ndim != 2 or u.shape[1] != dim or not np.all(np.isfinite(u)):
        raise ValueError(f"frequencies must be finite, of shape (K, {dim}), got {u.shape}.")
    return u
