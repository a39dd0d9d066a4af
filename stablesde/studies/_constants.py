"""Measured against predicted errors: is the constant theory's, too?

A prediction has no fitted parameter (`ssd.theory.predict_strong_error`, `predict_chaos`, the law
of the compression error, the tail constant). Its Monte-Carlo error enters the interval of the
ratio: measured and predicted replicas are independent, and both are resampled.
"""

import functools
from dataclasses import dataclass

import numpy as np

from stablesde.stable._domain import number_text
from stablesde.studies._statistics import bootstrap, interval, location
from stablesde.studies._verdicts import equivalent

# A constant is theory's within this part of it.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Ratio:
    """Measured over predicted, with its interval: 1 if theory's constant is right.

    `attained`: whether the interval lies inside 1 ± 0.1, None if it does not decide.
    """

    estimate: float
    lower: float
    upper: float
    level: float

    @property
    def attained(self) -> bool | None:
        """True if the whole interval lies inside 1 ± 0.1, False if outside, else None."""
        return equivalent(self.lower, self.upper, 1.0, TOLERANCE)

    def __repr__(self) -> str:
        estimate, low, high = map(number_text, (self.estimate, self.lower, self.upper))
        return f"Ratio({estimate} [{low}, {high}], {100 * self.level:.6g} %)"

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


def ratio(
    measured: np.ndarray,
    predicted: np.ndarray,
    correction: np.ndarray,
    points: np.ndarray,
    statistic: str,
    level: float,
) -> Ratio:
    """The geometric mean of measured/predicted over the grid `points` (a mask), and its interval.

    `measured` (R, *grid) and `predicted` (P, *grid) are replicas, `correction` (*grid) is what the
    measured errors are multiplied by for systematic sources. P = 1 is an exact prediction.
    """

    def pooled(values: np.ndarray) -> np.ndarray:
        return np.log(values).reshape(len(values), -1)[:, points.ravel()].mean(1)

    shift = pooled(np.broadcast_to(correction, measured.shape[1:])[None])[0]
    centre = pooled(location(measured, statistic)[None])[0] + shift
    centre -= pooled(location(predicted, statistic)[None])[0]
    samples = pooled(bootstrap(measured, statistic, level)) + shift
    if len(predicted) > 1:
        # Resamples are the same for the same number of replicas: reversed, they are independent.
        samples = samples - pooled(bootstrap(predicted, statistic, level))[::-1]
    else:
        samples = samples - pooled(location(predicted, statistic)[None])[0]
    fewest = min(n for n in (len(measured), len(predicted)) if n > 1)
    low, high = interval(samples, level, fewest)
    estimate, low, high = np.exp([centre, float(low), float(high)])
    return Ratio(float(estimate), float(low), float(high), level)


def near_the_limit(axes: tuple[tuple[tuple[float, ...], int | None], ...]) -> np.ndarray:
    """Of a grid, the half of each axis that is nearest to theory's limit, as a mask.

    An axis is its values and the side of the limit: +1 for large values, -1 for small ones, None
    for an axis that has none.
    """
    chosen = []
    for values, side in axes:
        x = np.asarray(values, float)
        middle = np.median(x)
        inside = {1: x >= middle, -1: x <= middle}.get(side or 0, np.ones(len(x), bool))
        chosen.append(inside)
    return np.asarray(functools.reduce(np.multiply.outer, chosen))
