"""Powers fitted on log–log axes: pooled, local, and extrapolated to infinite size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stablesde.stable._domain import number_text
from stablesde.studies._statistics import LEVEL, estimate_interval

MIN_SIZES = 4

_STRAIGHT = 0.1


@dataclass(frozen=True)
class Slope:
    """A power fitted on log–log axes, with its bootstrap interval.

    - `estimate`, `lower`, `upper`, `level`; `interval`: its kind, "percentile" or "bca".
    - `curvature`: change of the local slope from one end of the range to the other, from a
      quadratic fit; `straight`: its 95 % interval contains 0, or it is below 0.1 in size (always
      of 95 %, so that a higher `level` bends no line straight).
    - `local`: slopes between neighbouring sizes, with `local_lower` and `local_upper`.
    - `asymptotic`, `asymptotic_lower`, `asymptotic_upper`: the local slopes extrapolated to
      infinite size (to step 0). How they approach their limit is not known, so it is done twice,
      with a correction of order `1/(1 + log n)` and of order `n^-1/2` (for steps of order `η^1/2`
      and `η`): the estimate is their mean, the interval covers both intervals.
    """

    estimate: float
    lower: float
    upper: float
    level: float
    curvature: float
    straight: bool
    local: tuple[float, ...]
    local_lower: tuple[float, ...]
    local_upper: tuple[float, ...]
    asymptotic: float
    asymptotic_lower: float
    asymptotic_upper: float
    interval: str = "percentile"

    def contains(self, value: float) -> bool:
        """Whether the interval contains `value`."""
        return (self.lower <= value) & (value <= self.upper)

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.upper - self.lower) / 2

    def __repr__(self) -> str:
        estimate, low, high = map(number_text, (self.estimate, self.lower, self.upper))
        bent = ", not straight" if self.straight is False else ""
        return f"Slope({estimate} [{low}, {high}], {100 * self.level:.6g} %{bent})"

    def __str__(self) -> str:
        return f"{self.estimate:+.3f} [{self.lower:+.3f}, {self.upper:+.3f}]"


def fit_slope(
    errors: np.ndarray,
    sizes: np.ndarray,
    axis: int,
    statistic: str,
    level: float = LEVEL,
    method: str = "percentile",
    vanishing: bool = False,
    signed: bool = False,
) -> Slope:
    """Slope of log location(errors) against log sizes along grid axis `axis`.

    `errors` is (R, *grid), replicas first. The other grid axes are pooled: one slope, an intercept
    for each of their points. `vanishing` says that the limit is size 0, as of steps, not infinity.
    Raises `ValueError` for fewer than 4 sizes or errors that are not positive and finite; `signed`
    ones need a location above 0 in every resample.
    """
    if len(sizes) < MIN_SIZES:
        raise ValueError(
            f"a slope needs at least {MIN_SIZES} sizes, got {len(sizes)}: "
            f"{[float(v) for v in sizes]}."
        )
    if not np.all(np.isfinite(errors)) or (np.any(errors <= 0) and not signed):
        raise ValueError("errors must be positive and finite to fit a slope on a log scale.")
    weights = slope_weights(sizes, vanishing)

    def estimate(values: np.ndarray) -> np.ndarray:
        if np.any(values <= 0):
            raise ValueError("an error cannot be told from 0 at some size: take more replicas.")
        return _pooled(values, axis) @ weights.T

    centre, low, high = estimate_interval(errors, statistic, estimate, level, method)
    if level == LEVEL:
        return slope_from(centre, low, high, level, method)
    _, near, far = estimate_interval(errors, statistic, estimate, LEVEL, method)
    return slope_from(centre, low, high, level, method, bend=(near[1], far[1]))


def fit_difference(
    errors: tuple[np.ndarray, np.ndarray],
    sizes: np.ndarray,
    axes: tuple[int, int],
    statistic: str,
    level: float = LEVEL,
    vanishing: bool = False,
    signed: bool = False,
) -> Slope:
    """The slope of the first errors minus that of the second, replicas resampled in pairs.

    As `fit_slope`, whose errors it raises.
    """
    both = [np.moveaxis(e, a + 1, -1) for e, a in zip(errors, axes, strict=True)]
    both = [e.reshape(len(e), -1, e.shape[-1]) for e in both]
    for single, axis in zip(errors, axes, strict=True):
        fit_slope(single, sizes, axis, statistic, level, signed=signed)  # raises
    cut, weights = both[0].shape[1], slope_weights(sizes, vanishing)

    def estimate(values: np.ndarray) -> np.ndarray:
        logs = np.log(values)
        return (logs[:, :cut].mean(1) - logs[:, cut:].mean(1)) @ weights.T

    joined = np.concatenate(both, axis=1)
    centre, low, high = estimate_interval(joined, statistic, estimate, level)
    _, near, far = estimate_interval(joined, statistic, estimate, LEVEL)
    return slope_from(centre, low, high, level, bend=(near[1], far[1]))


def slope_of(values: np.ndarray, sizes: np.ndarray, axis: int) -> float:
    """The pooled slope of errors (*grid) along grid axis `axis`, without an interval."""
    return float(_pooled(values[None], axis)[0] @ slope_weights(sizes)[0])


def _pooled(values: np.ndarray, axis: int) -> np.ndarray:
    """Logarithms of (B, *grid) along one grid axis, averaged over the others."""
    lines = np.moveaxis(np.log(values), axis + 1, -1)
    return lines.reshape(len(lines), -1, lines.shape[-1]).mean(1)


def slope_from(
    centre: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    level: float,
    method: str = "percentile",
    bend: tuple[float, float] | None = None,
) -> Slope:
    """The record from the numbers that `slope_weights` gives, and the ends of their intervals.

    `bend` is the 95 % interval of the curvature, where `level` is another.
    """
    curvature, near, far = float(centre[1]), slice(2, 4), slice(4, None)
    bend = (low[1], high[1]) if bend is None else bend
    return Slope(
        float(centre[0]),
        float(low[0]),
        float(high[0]),
        level,
        curvature,
        bool(bend[0] <= 0 <= bend[1] or abs(curvature) < _STRAIGHT),
        tuple(map(float, centre[far])),
        tuple(map(float, low[far])),
        tuple(map(float, high[far])),
        float(centre[near].mean()),
        float(low[near].min()),
        float(high[near].max()),
        method,
    )


def slope_weights(sizes: Sequence[float] | np.ndarray, vanishing: bool = False) -> np.ndarray:
    """Rows w with w·log(errors) a number: slope, curvature, two limits, then the local slopes."""
    sizes = np.asarray(sizes, float)
    x = np.log(sizes)
    slope = _coefficients(np.stack([np.ones_like(x), x]))[1]
    bend = _coefficients(np.stack([np.ones_like(x), x, x**2]))[2] * 2 * (x.max() - x.min())
    limits = [
        _coefficients(np.stack([np.ones_like(x), x, term]))[1]
        for term in _corrections(sizes, vanishing)
    ]
    local = np.diff(np.eye(len(x)), axis=0) / np.diff(x)[:, None]
    return np.stack([slope, bend, *limits, *local])


def _corrections(sizes: np.ndarray, vanishing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Terms of log error whose local slope vanishes for large sizes, or for small steps."""
    if vanishing:
        return sizes**0.5, sizes
    return np.log1p(np.log(np.maximum(sizes, 1.0))), sizes**-0.5


def _coefficients(terms: np.ndarray) -> np.ndarray:
    """W with W @ y the least-squares coefficients of y on the rows of `terms`."""
    return np.linalg.pinv(terms.T)
