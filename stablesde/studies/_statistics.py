"""Location, bootstrap over replicas, and slopes on log–log axes.

Errors in these studies can have infinite variance, so no interval is "± standard error": all are
percentile intervals of a bootstrap over whole replicas (Efron and Tibshirani 1993, §13.3), which
keeps the dependence between sizes that share noise.
"""

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
NUM_BOOTSTRAP = 1000
TRIM = 0.1
# Below this many replicas a 95 % percentile interval covers in less than 90 % of studies.
MIN_REPLICAS = 8
STATISTICS = ("mean", "median", "trimmed", "geometric")
_SEED = 7


def location(errors: np.ndarray, statistic: str) -> np.ndarray:
    """Mean, median, 10 %-trimmed mean (a tenth off each end) or geometric mean over axis 0."""
    if statistic == "mean":
        return errors.mean(0)
    if statistic == "median":
        return np.median(errors, 0)
    if statistic == "trimmed":
        cut = int(TRIM * errors.shape[0])
        return np.sort(errors, 0)[cut : errors.shape[0] - cut].mean(0)
    if statistic == "geometric":
        with np.errstate(divide="ignore"):  # the geometric mean of numbers with a 0 is 0
            return np.exp(np.log(errors).mean(0))
    raise ValueError(f"statistic must be one of {', '.join(STATISTICS)}, got {statistic!r}.")


def bootstrap(errors: np.ndarray, statistic: str, num: int = NUM_BOOTSTRAP) -> np.ndarray:
    """Locations (num, *grid) of resampled replicas; the same resamples for every grid point."""
    rng = np.random.default_rng(_SEED)
    replicas = errors.shape[0]
    index = rng.integers(0, replicas, (num, replicas))
    return np.stack([location(errors[i], statistic) for i in index])


def interval(samples: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the leading axis."""
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class Slope:
    """A power fitted on log–log axes, with its bootstrap interval.

    - `estimate`, `lower`, `upper`, `level`.
    - `curvature`: change of the local slope from one end of the range to the other, from a
      quadratic fit; `straight`: its interval contains 0, or it is below 0.1 in size.
    - `local`: slopes between neighbouring sizes.
    """

    estimate: float
    lower: float
    upper: float
    level: float
    curvature: float
    straight: bool
    local: tuple[float, ...]

    def contains(self, value: float) -> bool:
        """Whether the interval contains `value`."""
        return self.lower <= value <= self.upper

    def __str__(self) -> str:
        return f"{self.estimate:+.3f} [{self.lower:+.3f}, {self.upper:+.3f}]"


def fit_slope(
    errors: np.ndarray, sizes: np.ndarray, axis: int, statistic: str, level: float = LEVEL
) -> Slope:
    """Slope of log location(errors) against log sizes along grid axis `axis`.

    `errors` is (R, *grid), replicas first. The other grid axes are pooled: one slope, an intercept
    for each of their points. Raises `ValueError` for fewer than 4 sizes or errors that are not
    positive and finite.
    """
    if len(sizes) < 4:
        raise ValueError(
            f"a slope needs at least 4 sizes, got {len(sizes)}: {[float(v) for v in sizes]}."
        )
    if not np.all(np.isfinite(errors)) or np.any(errors <= 0):
        raise ValueError("errors must be positive and finite to fit a slope on a log scale.")
    x = np.log(np.asarray(sizes, float))

    def fit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = np.moveaxis(np.log(values), axis - len(errors.shape[1:]), -1)
        line = _coefficient(x, 1)
        bend = _coefficient(x, 2)
        over = tuple(range(1, y.ndim - 1))
        spread = 2 * (x.max() - x.min())
        return (y @ line).mean(over), (y @ bend).mean(over) * spread

    centre = location(errors, statistic)[None]
    slope, curvature = fit(centre)
    slopes, curvatures = fit(bootstrap(errors, statistic))
    low, high = interval(slopes, level)
    bend_low, bend_high = interval(curvatures, level)
    y = np.moveaxis(np.log(centre[0]), axis, -1)
    local = (np.diff(y, axis=-1) / np.diff(x)).reshape(-1, len(x) - 1).mean(0)
    straight = bool(bend_low <= 0 <= bend_high or abs(curvature[0]) < 0.1)
    return Slope(
        float(slope[0]),
        float(low),
        float(high),
        level,
        float(curvature[0]),
        straight,
        tuple(map(float, local)),
    )


def _coefficient(x: np.ndarray, power: int) -> np.ndarray:
    """w with w·y the leading coefficient of the least-squares polynomial of degree `power`."""
    design = np.vander(x, power + 1, increasing=True)
    return np.linalg.pinv(design)[power]
