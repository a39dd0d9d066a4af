"""Location of heavy-tailed errors, and bootstrap intervals over replicas.

Errors in these studies can have infinite variance, so no interval is "± standard error": all
resample whole replicas, which keeps the dependence between sizes that share noise. Two intervals
are offered (Efron and Tibshirani 1993, §13.3 and §14.3):

- "percentile", expanded for the number of replicas: quantiles at `Φ(±√(R/(R-1)) t_{R-1})` in place
  of the nominal ones, since percentiles alone are too narrow by √((R-1)/R) and ignore that the
  spread is estimated (Hesterberg 2015, §4.2);
- "bca": bias-corrected and accelerated, for skewed estimates.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy

from stablesde._arguments import as_choice, as_count, as_number
from stablesde.stable._domain import number_text

LEVEL = 0.95
TRIM = 0.1
# Below this many replicas a 95 % percentile interval covers in less than 90 % of studies.
MIN_REPLICAS = 8
STATISTICS = ("mean", "median", "trimmed", "geometric")
INTERVALS = ("percentile", "bca")
_SEED = 7
# So many resamples lie beyond either end of an interval that its end is not one of the extremes.
_BEYOND = 20
_HIGHEST = 1 - 1e-5  # takes four million
# Counts of resamples held at a time: 64 MB.
_BLOCK = 2**23
# Those of a few studies are kept if they take no more than this many bytes.
_KEPT = 2**26


def location(errors: np.ndarray, statistic: str) -> np.ndarray:
    """Mean, median, 10 %-trimmed mean (a tenth off each end) or geometric mean over axis 0."""
    whole = np.ones((1, errors.shape[0]))
    return resampled(errors, statistic, whole)[0]


def resampled(errors: np.ndarray, statistic: str, counts: np.ndarray) -> np.ndarray:
    """Locations (B, *grid) of samples that hold replica r `counts[b, r]` times; equal totals."""
    as_choice("statistic", statistic, STATISTICS)
    grid, total = errors.shape[1:], int(counts[0].sum())
    flat = np.asarray(errors, float).reshape(len(errors), -1)
    if statistic == "mean":
        found = counts @ flat / total
    elif statistic == "geometric":
        with np.errstate(divide="ignore", invalid="ignore"):  # the mean of numbers with a 0 is 0
            logs = np.log(flat)
            drawn = counts @ np.where(np.isneginf(logs), 0.0, logs) / total
            found = np.where(counts @ np.isneginf(logs) > 0, 0.0, np.exp(drawn))
    else:
        cut = (total - 1) // 2 if statistic == "median" else int(TRIM * total)
        found = np.stack([_middle(c, counts, cut, total) for c in flat.T], -1)
    return found.reshape(len(counts), *grid)


def _middle(column: np.ndarray, counts: np.ndarray, cut: int, total: int) -> np.ndarray:
    """Mean of each sample without its `cut` smallest and largest members."""
    order = np.argsort(column, kind="stable")
    ends = np.cumsum(counts[:, order], 1)
    starts = ends - counts[:, order]
    kept = np.minimum(ends, total - cut) - np.maximum(starts, cut)
    return np.maximum(kept, 0) @ column[order] / (total - 2 * cut)


def resamples(level: float = LEVEL) -> int:
    """How many resamples an interval of this level takes. Raises `ValueError` for too many."""
    if level > _HIGHEST:
        raise ValueError(f"level must be at most {_HIGHEST} for a bootstrap, got {level!r}.")
    return max(2000, math.ceil(2 * _BEYOND / (1 - level)))


def bootstrap_counts(replicas: int, level: float = LEVEL) -> Iterator[np.ndarray]:
    """How often each resample holds each replica, blocks (b, R): the same for every study of R."""
    number = resamples(level)
    drawn = _drawn(replicas, number) if number * replicas <= _KEPT else _draw(replicas, number)
    for counts in drawn:
        yield counts.astype(float)  # for products with errors


def _draw(replicas: int, number: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(_SEED)
    each, block = np.full(replicas, 1 / replicas), max(1, _BLOCK // replicas)
    for first in range(0, number, block):
        # A replica is drawn once on average: more than 255 times never happens.
        yield rng.multinomial(replicas, each, min(block, number - first)).astype(np.uint8)


@functools.lru_cache(maxsize=4)
def _drawn(replicas: int, number: int) -> tuple[np.ndarray, ...]:
    return tuple(_draw(replicas, number))


def bootstrap(errors: np.ndarray, statistic: str, level: float = LEVEL) -> np.ndarray:
    """Locations (B, *grid) of resampled replicas; the same resamples for every grid point."""
    blocks = bootstrap_counts(len(errors), level)
    return np.concatenate([resampled(errors, statistic, counts) for counts in blocks])


def jackknife(errors: np.ndarray, statistic: str) -> np.ndarray:
    """Locations (R, *grid) without one replica each."""
    replicas = len(errors)
    blocks = np.array_split(np.arange(replicas), max(1, replicas**2 // _BLOCK))
    found = []
    for rows in blocks:
        counts = np.ones((len(rows), replicas))
        counts[np.arange(len(rows)), rows] = 0
        found.append(resampled(errors, statistic, counts))
    return np.concatenate(found)


def interval(
    samples: np.ndarray, level: float = LEVEL, replicas: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the leading axis, expanded if the number of replicas is given."""
    tail = (1 - level) / 2
    if replicas is not None and replicas > 1:
        t = scipy.special.stdtrit(replicas - 1, tail)
        tail = float(scipy.special.ndtr(t * math.sqrt(replicas / (replicas - 1))))
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return low, high


def bca_interval(
    samples: np.ndarray, centre: np.ndarray, left_out: np.ndarray, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """BCa interval from resampled estimates (B, *shape), the estimate, and the jackknife's."""
    shape = np.shape(centre)
    samples, left_out = (a.reshape(len(a), -1) for a in (samples, left_out))
    centre = np.reshape(centre, -1)
    below = ((samples < centre).mean(0) + (samples <= centre).mean(0)) / 2
    edge = 0.5 / len(samples)
    bias = scipy.special.ndtri(np.clip(below, edge, 1 - edge))
    away = left_out.mean(0) - left_out
    spread = np.sum(away**2, 0) ** 1.5
    skew = np.sum(away**3, 0) / np.where(spread > 0, 6 * spread, np.inf)
    ends = []
    for z in scipy.special.ndtri([(1 - level) / 2, (1 + level) / 2]):
        at = scipy.special.ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
        ends.append([np.quantile(s, p) for s, p in zip(samples.T, at, strict=True)])
    low, high = (np.reshape(e, shape) for e in ends)
    return low, high


def estimate_interval(
    errors: np.ndarray,
    statistic: str,
    estimate: Callable[[np.ndarray], np.ndarray],
    level: float = LEVEL,
    method: str = "percentile",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An estimate from locations, (B, *grid) → (B, *shape), and the ends of its interval.

    Raises `ValueError` for an unknown method or a level outside (0, 1).
    """
    as_choice("interval", method, INTERVALS)
    level = check_level(level)
    replicas = len(errors)
    centre = estimate(location(errors, statistic)[None])[0]
    samples = estimate(bootstrap(errors, statistic, level))
    if method == "percentile":
        return (centre, *interval(samples, level, replicas))
    left_out = estimate(jackknife(errors, statistic))
    return (centre, *bca_interval(samples, centre, left_out, level))


def check_level(level: float) -> float:
    """`level` as a float. Raises `ValueError` unless 0 < level < 1."""
    try:
        return as_number("level", level, 0, 1, "()")
    except ValueError:
        raise ValueError(f"level must lie in (0, 1), got {level!r}.") from None


def simultaneous_level(level: float, count: int) -> float:
    """The level of each of `count` intervals that hold together with probability ≥ `level`.

    Bonferroni's: they need not be independent.

    **Returns:** `1 - (1 - level) / count`. **Raises:** `ValueError` for a `level` outside (0, 1) or
    `count` < 1.
    """
    level, count = check_level(level), as_count("count", count)
    # Dividing integers first, of any size.
    return 1 - (1 - level) / count


@dataclass(frozen=True)
class TailDiagnosis:
    """Whether the mean over replicas can be trusted at one grid point.

    - `index`: Hill's estimate of the tail index of the errors, with its 95 % upper and lower end.
    - `largest_share`: of the largest replica in the sum of all.
    - `finite_variance`: True if the index is above 2 with its whole interval, False if below,
      None if the replicas do not decide, as always with fewer than 50.
    """

    index: float
    lower: float
    upper: float
    largest_share: float
    finite_variance: bool | None

    def __repr__(self) -> str:
        index, low, high = map(number_text, (self.index, self.lower, self.upper))
        share = number_text(self.largest_share, 3)
        return (
            f"TailDiagnosis(index {index} [{low}, {high}], largest share {share}, "
            f"finite_variance={self.finite_variance})"
        )


def tail_diagnosis(errors: np.ndarray) -> TailDiagnosis:
    """The tail of positive errors (R,), from Hill's estimate on the top 2 √R of them."""
    ordered = np.sort(np.asarray(errors, float))[::-1]
    total = float(ordered.sum())
    share = float(ordered[0]) / total if total > 0 else math.nan
    k = round(2 * math.sqrt(len(ordered)))
    if len(ordered) < 50 or ordered[k] <= 0:
        return TailDiagnosis(math.nan, math.nan, math.nan, share, None)
    gap = float(np.mean(np.log(ordered[:k])) - np.log(ordered[k]))
    if gap <= 0:
        return TailDiagnosis(math.inf, math.inf, math.inf, share, True)
    # k · gap · index is gamma distributed with shape k for an exact power.
    low, high = (float(scipy.special.gammaincinv(k, p)) / (k * gap) for p in (0.025, 0.975))
    finite = True if low > 2 else (False if high < 2 else None)
    return TailDiagnosis(1 / gap, low, high, share, finite)
