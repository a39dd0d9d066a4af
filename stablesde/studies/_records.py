"""What a rate study returns: raw errors, summaries, slopes, bounds and two verdicts, all data."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stablesde._arguments import as_choice
from stablesde.studies._axis import Axis
from stablesde.studies._budget import ErrorSource
from stablesde.studies._constants import Ratio, near_the_limit, ratio
from stablesde.studies._format import format_rows, three_valued_and, verdict_text
from stablesde.studies._slopes import MIN_SIZES, Slope, fit_difference, fit_slope, slope_of
from stablesde.studies._statistics import (
    INTERVALS,
    LEVEL,
    MIN_REPLICAS,
    STATISTICS,
    TailDiagnosis,
    check_level,
    estimate_interval,
    location,
    simultaneous_level,
    tail_diagnosis,
)
from stablesde.studies._tidy import TidyRecord
from stablesde.studies._verdicts import all_below, below, equivalent

_PREDICTED = ("predicted", "predicted_lower", "predicted_upper")


class Curve(NamedTuple):
    """Errors against one axis of a study of K sizes; a column for each point of the other axis.

    `sizes` (K,); `estimate`, its interval `lower` and `upper`, and the fitted power `fit`, NaN
    where there is none: (K, L), L = 1 without another axis. `predicted` (3, K, L): the predicted
    errors and their Monte-Carlo interval, NaN where there are none; None for a study without.
    """

    sizes: np.ndarray
    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    fit: np.ndarray
    predicted: np.ndarray | None = None


def along(values: np.ndarray, position: int) -> np.ndarray:
    """An array on the grid as (K, L): the axis at `position` first, the others in one."""
    return np.moveaxis(values, position, 0).reshape(values.shape[position], -1)


@dataclass(frozen=True)
class RateStudy(TidyRecord):
    """Errors over a grid of sizes, and what follows from them.

    - `name`, `config`: what was run (with precision and key).
    - `axes`: one or two `Axis`; `errors[measure]` has shape (R, *grid), R replicas.
    - `bounds[label]` has the grid's shape: upper bounds on the expectation of `bounded_measure`,
      all of them valid. "trivial" is what a bounded drift gives, 2cT: another bound says something
      only where it is below, and is *vacuous* elsewhere.
    - `rate_measure`, `rate_statistic`: what the headline slopes are fitted to.
    - `rate_axis`: the axis whose exponent is the headline.
    - `signed`: errors are differences of either sign, and their mean over replicas is the error.
    - `claims_rate`: the claim is a rate without a constant, so "bound holds" judges the rate alone.
    - `blocked`: a reason that forbids any verdict (a law flow that is not accurate enough).
    - `sources`: the systematic sources of error; see `budget`.
    - `predicted[measure]`: errors (P, *grid) that theory predicts without a fit, independent draws
      (P = 1: exact); see `constant`.
    - `level`, `interval`: of all intervals and verdicts, "percentile" or "bca". To judge
      several exponents together, `study.at_level(1 - 0.05 / number)`.
    """

    name: str
    config: dict[str, Any]
    axes: tuple[Axis, ...]
    errors: dict[str, np.ndarray]
    rate_measure: str
    rate_statistic: str
    rate_axis: str
    bounds: dict[str, np.ndarray] = field(default_factory=dict)
    bounded_measure: str = "sup"
    signed: bool = False
    claims_rate: bool = False
    blocked: str = ""
    claim: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[ErrorSource, ...] = ()
    predicted: dict[str, np.ndarray] = field(default_factory=dict)
    level: float = LEVEL
    interval: str = "percentile"
    _found: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def axis(self, name: str) -> Axis:
        """The axis of that name. **Raises:** `ValueError` if the study has none of this `name`."""
        names = [axis.name for axis in self.axes]
        return self.axes[names.index(as_choice("axis, by its name,", name, names))]

    def _measure(self, measure: str | None) -> str:
        return self.rate_measure if measure is None else as_choice("measure", measure, self.errors)

    def slope(
        self,
        axis: str | None = None,
        *,
        measure: str | None = None,
        statistic: str | None = None,
        level: float | None = None,
        interval: str | None = None,
    ) -> Slope:
        """The power of the error along one axis, pooled over the other, with its interval.

        **Arguments:** `axis` by name (default: the headline one); `measure`, a key of `errors`;
        `statistic`, "mean", "median", "trimmed" or "geometric"; `level` and `interval` of the
        bootstrap (default: the record's).

        **Raises:** `ValueError` for unknown names or fewer than 4 sizes on the axis.
        """
        chosen = self.axis(self.rate_axis if axis is None else axis)
        settings = (
            chosen,
            self._measure(measure),
            self.rate_statistic if statistic is None else statistic,
            check_level(self.level if level is None else level),
            self.interval if interval is None else interval,
        )
        as_choice("statistic", settings[2], STATISTICS)
        as_choice("interval", settings[4], INTERVALS)
        if settings not in self._found:
            self._found[settings] = fit_slope(
                self.errors[settings[1]],
                np.asarray(chosen.values),
                self.axes.index(chosen),
                *settings[2:],
                vanishing=chosen.direction > 0,
                signed=self.signed,
            )
        return self._found[settings]

    def at_level(self, level: float) -> "RateStudy":
        """The record with intervals of another level. **Raises:** `ValueError` outside (0, 1)."""
        other = dataclasses.replace(self, level=check_level(level))
        object.__setattr__(other, "_found", self._found)  # computed once for all copies
        return other

    def slope_difference(self, other: "RateStudy", axis: str | None = None) -> Slope:
        """This study's slope along an axis minus that of `other`, with the interval of a pair.

        Replica r of one study is resampled together with replica r of the other, so that noise they
        share (two systems, schemes or dimensions under one key) cancels. Curvature and local slopes
        are differences, too.

        **Arguments:** `other`, with as many replicas and the same sizes; `axis` by name (default:
        the headline one). **Raises:** `ValueError` for other sizes, replicas or statistics.
        """
        name = self.rate_axis if axis is None else axis
        mine, theirs = self.axis(name), other.axis(name)
        first, second = self.errors[self.rate_measure], other.errors[other.rate_measure]
        if mine.values != theirs.values or len(first) != len(second):
            raise ValueError("other must have the same sizes and as many replicas.")
        same = ("rate_measure", "rate_statistic", "signed")
        if any(getattr(self, f) != getattr(other, f) for f in same):
            raise ValueError("other must be fitted to the same measure, by the same statistic.")
        return fit_difference(
            (first, second),
            np.asarray(mine.values),
            (self.axes.index(mine), other.axes.index(theirs)),
            self.rate_statistic,
            self.level,
            vanishing=mine.direction > 0,
            signed=self.signed,
        )

    def curve(self, axis: str | None = None) -> "Curve":
        """The headline errors against one axis, for figures of one's own.

        **Arguments:** `axis` by name (default: the headline one). **Raises:** `ValueError` if the
        study has none of this name.
        """
        chosen = self.axis(self.rate_axis if axis is None else axis)
        position = self.axes.index(chosen)
        estimate, lower, upper = (along(v, position) for v in self.location_interval())
        sizes, (slope, _) = np.asarray(chosen.values, float), self.fitted(chosen.name)
        fit = np.full_like(estimate, np.nan)
        if slope is not None:
            x = np.log(sizes)[:, None]
            fit = np.exp(np.mean(np.log(estimate), 0) + slope.estimate * (x - np.mean(x)))
        predicted = self.predicted_interval()
        if predicted is not None:
            predicted = np.stack([along(v, position) for v in predicted])
        return Curve(sizes, estimate, lower, upper, fit, predicted)

    def location_interval(
        self,
        measure: str | None = None,
        statistic: str | None = None,
        level: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Location over replicas at each grid point, and the two ends of its interval.

        **Raises:** `ValueError` for an unknown `measure` or `statistic`, or a `level` outside
        (0, 1).
        """
        settings = (
            self._measure(measure),
            self.rate_statistic if statistic is None else statistic,
            check_level(self.level if level is None else level),
            self.interval,
        )
        as_choice("statistic", settings[1], STATISTICS)
        if settings not in self._found:
            errors, (statistic, level, interval) = self.errors[settings[0]], settings[1:]
            found = estimate_interval(errors, statistic, lambda v: v, level, interval)
            for array in found:  # shared from now on
                array.flags.writeable = False
            self._found[settings] = found
        return self._found[settings]

    def tail_diagnosis(self, measure: str | None = None) -> list[TailDiagnosis]:
        """Of each grid point in row-major order: does the mean over replicas have a variance?

        **Raises:** `ValueError` for an unknown `measure`.
        """
        errors = self.errors[self._measure(measure)]
        errors = np.abs(errors) if self.signed else errors
        return [tail_diagnosis(column) for column in errors.reshape(len(errors), -1).T]

    def budget(self, axis: str | None = None) -> dict[str, float]:
        """What each source of error may do to a slope: its half-width, and systematic shifts.

        "Monte Carlo" is the half-width of the slope's interval. Each systematic source (see
        `sources`) is what correcting for it would add to the slope.

        **Raises:** `ValueError` for an unknown `axis`, or one without a slope.
        """
        chosen = self.axis(self.rate_axis if axis is None else axis)
        slope = self.slope(chosen.name)
        shifts = {"Monte Carlo": slope.half_width}
        position = self.axes.index(chosen)
        for source in self.sources:
            corrected = location(
                self.errors[self.rate_measure] * source.factor, self.rate_statistic
            )
            moved = slope_of(corrected, np.asarray(chosen.values), position)
            shifts[source.name] = moved - slope.estimate
        return shifts

    def systematic(self, axis: str | None = None) -> float:
        """The systematic shifts of a slope, added up in size. **Raises:** as `budget`."""
        return sum(abs(s) for name, s in self.budget(axis).items() if name != "Monte Carlo")

    def over_budget(self, axis: str) -> str:
        """Which shifts exceed half the tolerance together; or "". **Raises:** as `budget`."""
        if self.systematic(axis) <= self.axis(axis).tolerance / 2:
            return ""
        shifts = self.budget(axis)
        shifts.pop("Monte Carlo")
        return ", ".join(f"{name} may move it by {shift:+.3f}" for name, shift in shifts.items())

    def fitted(self, axis: str, measure: str | None = None) -> tuple[Slope | None, str]:
        """The slope along an `axis`, or None and why there is none.

        **Raises:** `ValueError` for an unknown `axis` or `measure`.
        """
        self.axis(axis), self._measure(measure)
        try:
            return self.slope(axis, measure=measure), ""
        except ValueError as error:
            return None, str(error)

    @property
    def inconclusive(self) -> str:
        """Why no verdict can be given, whatever the numbers say; empty if one can."""
        replicas = len(next(iter(self.errors.values())))
        if replicas < MIN_REPLICAS:
            return f"{replicas} replicas, fewer than the {MIN_REPLICAS} an interval needs"
        return self.blocked

    @property
    def least_bound(self) -> np.ndarray | None:
        """The smallest of the bounds at each grid point; None if none has a number."""
        if not self.bounds:
            return None
        least = np.min([np.asarray(b, float) for b in self.bounds.values()], axis=0)
        return least if np.all(np.isfinite(least)) else None

    @property
    def vacuous(self) -> dict[str, np.ndarray]:
        """Where each bound is no less than the trivial one, 2cT, and so says nothing."""
        if "trivial" not in self.bounds:
            return {}
        limit = self.bounds["trivial"]
        return {k: np.asarray(b >= limit) for k, b in self.bounds.items() if k != "trivial"}

    @property
    def bound_holds(self) -> bool | None:
        """Whether the measured error is below the smallest bound, at a rate no worse than theory's.

        Compared at every grid point with the interval of the mean: True if all of it lies below the
        smallest of the valid bounds there, False if all of it lies above at some point (intervals
        that hold together) or the rate is refuted as worse than claimed, None between. None also if
        no bound has a number (Assumption 1 fails), or `inconclusive` gives a reason. Where the
        claim is a rate alone (`claims_rate`), True takes a slope that is no worse than claimed
        within the tolerance, and below 0.
        """
        if self.inconclusive:
            return None
        rates = [self.rate_holds(a.name) for a in self.axes if self.has_rate(a)]
        if self.claims_rate:
            return three_valued_and(rates) if rates else None
        least = self.least_bound
        if least is None:
            return None
        if False in rates:
            return False
        _, _, high = self.location_interval(self.bounded_measure, "mean")
        together = simultaneous_level(self.level, least.size)
        _, low, _ = self.location_interval(self.bounded_measure, "mean", together)
        return all_below(high, low, least)

    def has_rate(self, axis: Axis) -> bool:
        """Whether theory claims a power along the axis, and it has the sizes a slope needs."""
        return axis.theory is not None and len(axis.values) >= MIN_SIZES

    def rate_holds(self, axis: str) -> bool | None:
        """Whether the slope is at least as good as theory's, within the tolerance.

        True or False if the whole interval is on one side of the limit, None if it straddles it or
        no slope can be fitted. A claim that errors vanish (`claims_rate`) also needs a slope below
        0; at exponent 0 nothing is claimed. **Raises:** `ValueError` where theory gives no exponent
        along the `axis`.
        """
        chosen = self.axis(axis)
        if chosen.theory is None:
            raise ValueError(f"theory gives no exponent along {axis!r}.")
        slope, _ = self.fitted(axis)
        if slope is None or (self.claims_rate and chosen.theory == 0):
            return None
        limit = chosen.theory - chosen.direction * chosen.tolerance
        if self.claims_rate:
            limit = min(limit, 0.0)
        low, high = slope.lower, slope.upper
        if chosen.direction > 0:
            low, high, limit = -high, -low, -limit
        return below(low, high, limit)

    def attained(self, axis: str | None = None, measure: str | None = None) -> bool | None:
        """Whether theory's exponent is the measured one, within the axis' tolerance.

        The interval is the slope's, widened by the systematic shifts (see `budget`). True if it
        lies inside theory ± tolerance and the line is straight. False if it lies outside, and the
        line is straight or every local slope lies on that side, too. None (inconclusive) otherwise,
        or if the systematic shifts exceed half the tolerance. Each wrong answer has a probability
        of at most (1 - level)/2. **Raises:** `ValueError` for an unknown `axis` or `measure`.
        """
        chosen = self.axis(self.rate_axis if axis is None else axis)
        if self.inconclusive or not self.has_rate(chosen) or chosen.theory is None:
            return None
        slope, _ = self.fitted(chosen.name, measure)
        if slope is None or self.over_budget(chosen.name):
            return None
        shift = self.systematic(chosen.name)
        found = equivalent(
            slope.lower - shift, slope.upper + shift, chosen.theory, chosen.tolerance
        )
        if found is None or slope.straight:
            return found
        offsets = np.sign(np.asarray(slope.local) - chosen.theory)
        one_side = np.all(offsets == np.sign(slope.estimate - chosen.theory))
        return False if found is False and one_side else None

    def constant(self, measure: str | None = None) -> Ratio | None:
        """Measured over predicted error, corrected for the systematic sources; None without one.

        Pooled over the half of each axis that is nearest to the limit: predictions are of first
        order in the step, or in n^-1/2. **Raises:** `ValueError` for an unknown `measure`.
        """
        measure = self._measure(measure)
        if measure not in self.predicted or np.any(self.errors[measure] <= 0):
            return None
        predicted = self.predicted[measure]
        sides = tuple((a.values, None if a.theory is None else -a.direction) for a in self.axes)
        points = near_the_limit(sides) & np.all(np.isfinite(predicted), axis=0)
        if not np.any(points):
            return None
        factor = np.ones(self.errors[measure].shape[1:])
        for source in self.sources:
            if not source.in_prediction:
                factor = factor * source.factor
        return ratio(self.errors[measure], predicted, factor, points, self.rate_statistic, LEVEL)

    @property
    def constant_attained(self) -> bool | None:
        """Whether theory's constant is the measured one, within 10 %; see `constant`."""
        found = None if self.inconclusive else self.constant()
        return None if found is None else found.attained

    @property
    def exponent_attained(self) -> bool | None:
        """`attained` along the headline axis."""
        return self.attained()

    @property
    def verdict(self) -> str:
        """One line: does the bound hold, is the exponent attained, and if neither, why not."""
        parts = [f"INCONCLUSIVE: {self.inconclusive}" if self.inconclusive else self._bound_text()]
        parts += [self._exponent_text(a) for a in self.axes if a.theory is not None]
        found = self.constant()
        if found is not None:
            word = {True: "attained", False: "not attained", None: "inconclusive"}[found.attained]
            parts.append(f"constant {word} (measured/predicted {found})")
        return "; ".join(parts)

    def _exponent_text(self, axis: Axis) -> str:
        slope, reason = self.fitted(axis.name)
        if slope is None:
            return f"{axis.name} exponent {axis.theory:+.3f} not fitted: {reason.rstrip('.')}"
        words = {True: "attained", False: "not attained", None: "inconclusive"}
        bent = "" if slope.straight else ", not straight"
        word = words[self.attained(axis.name)]
        over = self.over_budget(axis.name)
        why = f"; error budget exceeded: {over}" if over else ""
        return f"{axis.name} exponent {axis.theory:+.3f} {word} (measured {slope}{bent}{why})"

    @property
    def has_bound(self) -> bool:
        """Whether there is a claim that `bound_holds` can judge."""
        return self.claims_rate or self.least_bound is not None

    def _bound_text(self) -> str:
        if not self.has_bound:
            return "no bound with a number"
        what = "claimed rate" if self.claims_rate else "bound"
        words = {True: f"{what} holds", False: f"{what.upper()} VIOLATED"}
        told = words.get(self.bound_holds, f"{what} inconclusive")  # type: ignore[arg-type]
        nothing = [k for k, where in self.vacuous.items() if np.all(where)]
        return told + (f" (vacuous, above 2cT: {', '.join(nothing)})" if nothing else "")

    def cells(self) -> list[dict[str, Any]]:
        """A row for each grid point and measure: locations, interval, bounds, how many replicas."""
        rows: list[dict[str, Any]] = []
        for measure, errors in self.errors.items():
            _, low, high = self.location_interval(measure)
            tails, predicted = self.tail_diagnosis(measure), self.predicted_interval(measure)
            summaries = {s: location(errors, s) for s in STATISTICS}
            for number, point in enumerate(np.ndindex(errors.shape[1:])):
                row: dict[str, Any] = {"measure": measure}
                row |= {a.name: a.values[i] for a, i in zip(self.axes, point, strict=True)}
                row |= {s: float(v[point]) for s, v in summaries.items()}
                row |= {"lower": float(low[point]), "upper": float(high[point])}
                row |= {"interval_of": self.rate_statistic, "level": self.level}
                row |= {"tail": dataclasses.asdict(tails[number])}
                if predicted is not None and np.isfinite(predicted[(0, *point)]):
                    found = predicted[(slice(None), *point)].tolist()
                    row |= dict(zip(_PREDICTED, found, strict=True))
                if measure == self.bounded_measure:
                    row |= {f"{k}_bound": float(v[point]) for k, v in self.bounds.items()}
                row["replicas"] = len(errors)
                rows.append(row)
        return rows

    def predicted_interval(self, measure: str | None = None) -> np.ndarray | None:
        """Predicted errors and the ends of their 95 % Monte-Carlo interval, (3, *grid).

        NaN where nothing is predicted; None without a prediction. **Raises:** `ValueError` for an
        unknown `measure`.
        """
        measure = self._measure(measure)
        if measure not in self.predicted:
            return None
        values = np.where(np.isfinite(self.predicted[measure]), self.predicted[measure], 0.0)
        known = np.all(np.isfinite(self.predicted[measure]), axis=0)
        centre = low = high = location(values, self.rate_statistic)
        if len(values) > 1:
            _, low, high = estimate_interval(values, self.rate_statistic, lambda v: v, LEVEL)
        return np.where(known, np.stack([centre, low, high]), np.nan)

    def summary(self) -> dict[str, Any]:
        """Cells, slopes, verdicts. An axis without a slope has its reason in `not_fitted`."""
        slopes, reasons = {}, {}
        for axis in self.axes:
            slope, reason = self.fitted(axis.name)
            if slope is None:
                reasons[axis.name] = reason
                continue
            slopes[axis.name] = dataclasses.asdict(slope) | {
                "theory": axis.theory,
                "tolerance": axis.tolerance,
                "attained": self.attained(axis.name),
                "budget": self.budget(axis.name),
            }
        return {
            "cells": self.cells(),
            "exponent": slopes.get(self.rate_axis),
            "exponents": slopes,
            "other_measures": self._other_exponents(set(slopes)),
            "not_fitted": reasons,
            "has_bound": self.has_bound,
            "vacuous": {k: float(np.mean(where)) for k, where in self.vacuous.items()},
            "bound_holds": self.bound_holds,
            "exponent_attained": self.exponent_attained,
            "constant": self._constants(),
            "constant_attained": self.constant_attained,
            "inconclusive": self.inconclusive,
            "verdict": self.verdict,
        }

    def _constants(self) -> dict[str, dict[str, Any]]:
        """Measured over predicted of each measure that has a prediction."""
        found = {m: self.constant(m) for m in self.predicted}
        return {
            m: dataclasses.asdict(r) | {"attained": r.attained}
            for m, r in found.items()
            if r is not None
        }

    def _other_exponents(self, axes: set[str]) -> dict[str, dict[str, Any]]:
        """The slopes of the measures that are not the headline, on the axes where that has one."""
        others = [m for m, e in self.errors.items() if m != self.rate_measure and np.all(e > 0)]
        return {
            m: {a: dataclasses.asdict(self.slope(a, measure=m)) for a in sorted(axes)}
            for m in others
        }

    def table(self) -> str:
        """A text table of the summaries."""
        names = [a.name for a in self.axes]
        head = [*names, self.rate_statistic, f"{100 * self.level:.4g} % interval"]
        head += ["predicted"] * bool(self.predicted) + [f"{k} bound" for k in self.bounds]
        rows = []
        for cell in self.cells():
            if cell["measure"] != self.rate_measure:
                continue
            row = [f"{cell[n]:.6g}" for n in names] + [f"{cell[self.rate_statistic]:.4g}"]
            row.append(f"[{cell['lower']:.4g}, {cell['upper']:.4g}]")
            if self.predicted:
                row.append(f"{cell['predicted']:.4g}" if "predicted" in cell else "")
            row += [self._bound_cell(cell, k) for k in self.bounds]
            rows.append(row)
        return format_rows([head, *rows])

    @staticmethod
    def _bound_cell(cell: dict[str, Any], label: str) -> str:
        """A bound as text; one that is no less than the trivial bound is marked."""
        value = cell.get(f"{label}_bound")
        if value is None:
            return ""
        vacuous = label != "trivial" and value >= cell.get("trivial_bound", np.inf)
        return f"{value:.3g}{' vacuous' if vacuous else ''}"

    def __repr__(self) -> str:
        grid = " x ".join(f"{len(a.values)} {a.name}s" for a in self.axes)
        replicas = next(iter(self.errors.values())).shape[0]
        return f"RateStudy({self.name}: {grid}, {replicas} replicas; {verdict_text(self)})"
