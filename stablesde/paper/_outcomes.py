"""What the main job found: outcomes with joint verdicts, as a table and as results.json, and back.

What passes: a study holds if its bound holds (if that has a number) and, where theory says that the
exponent is sharp (chaos, tails, compressibility, the width exponent of a linear drift), if it is
attained within the tolerance. What the data do not decide does not pass.
"""

import dataclasses
import functools
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablesde._version import __version__
from stablesde.paper._jobs import SIZES, STUDIES, Job, Size, Study, jobs
from stablesde.paper._train import TrainResult
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._constants import Ratio
from stablesde.studies._format import format_rows, three_valued_and
from stablesde.studies._statistics import LEVEL, simultaneous_level


def versions() -> dict[str, str]:
    """What a number was computed with."""
    return {
        "stablesde": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "backend": jax.default_backend(),
    }


@dataclass(frozen=True)
class Outcome:
    """A finished job. `level`: of the intervals that its verdicts use; see `joint_level`."""

    job: Job
    study: Study
    level: float = LEVEL
    versions: dict[str, str] = field(default_factory=versions)

    @functools.cached_property
    def joint(self) -> Study:
        """The study with the intervals that hold together with those of all others."""
        return self.study.at_level(self.level)

    @property
    def holds(self) -> bool | None:
        """Whether the study supports the theory: None (inconclusive) if the data do not decide.

        The bound must hold, for which its whole interval must be on the right side, and a sharp
        exponent must be attained: its whole interval within the tolerance. Neither passes if it is
        inconclusive. True for a study that explores what no theorem claims.
        """
        if not self.job.judged:
            return True
        bound, exponent = self.joint.bound_holds, self._exponent
        if not self.study.has_bound:
            return exponent
        return three_valued_and([bound, exponent])

    @property
    def _exponent(self) -> bool | None:
        """Whether the sharp exponent is attained; True if none is claimed to be."""
        if isinstance(self.joint, TailStudy):
            return self.joint.exponent_attained
        return True if self.job.sharp is None else self.joint.attained(self.job.sharp)


def jointly(found: Sequence[Outcome]) -> list[Outcome]:
    """With intervals of a level at which all verdicts together hold at 95 %."""
    exponents = [
        1 if isinstance(o.study, TailStudy) else sum(map(o.study.has_rate, o.study.axes))
        for o in found
        if o.job.judged
    ]
    level = simultaneous_level(LEVEL, max(1, sum(exponents)))
    return [dataclasses.replace(o, level=level) for o in found]


def results(
    size: Size, seed: int, outcomes: Sequence[Outcome], trained: TrainResult | None
) -> dict[str, Any]:
    """The record `results.json`; its fields are described in the documentation ("The main job").

    A study with several runs has all of them under `runs`, joint verdicts, and the `cells` and the
    `exponent` of the first.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for outcome in outcomes:
        record = _judged(outcome)
        groups.setdefault(outcome.job.group.replace("-", "_"), []).append(record)
    return {
        "version": __version__,
        "config": {"size": size.name, "seed": seed},
        "studies": {name: _joined(runs) for name, runs in groups.items()},
        "training": None if trained is None else trained.to_dict() | {"versions": versions()},
    }


def read_results(path: Path) -> tuple[Size, int, list[Outcome], TrainResult | None]:
    """What a `results.json` was made of: size, seed, outcomes, training.

    **Raises:** `ValueError` for a file that is none, `FileNotFoundError` where there is none.
    """
    try:
        record = json.loads(path.read_bytes())
        size, seed = SIZES[record["config"]["size"]], record["config"]["seed"]
        of_label = {(j.group.replace("-", "_"), j.label): j for j in jobs(size, seed, STUDIES)}
        kinds = {kind.__name__: kind for kind in (RateStudy, TailStudy)}
        found = [
            Outcome(
                of_label[name, run["label"]],
                kinds[run["record"]].from_dict(run),
                run["joint_level"],
                run["versions"],
            )
            for name, group in record["studies"].items()
            for run in group["runs"]
        ]
        trained = record["training"]
        return size, seed, found, trained and TrainResult.from_dict(trained)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        why = " ".join(repr(error).split())
        raise ValueError(f"{path} is no record of `stablesde check` ({why}): delete it.") from error


def _judged(outcome: Outcome) -> dict[str, Any]:
    """The record of a study, its intervals at 95 % and its verdicts at the joint level."""
    record, joint = outcome.study.to_dict(), outcome.joint
    record |= {"label": outcome.job.label, "judged": outcome.job.judged, "holds": outcome.holds}
    record |= {"joint_level": outcome.level, "verdict": joint.verdict}
    record |= {"versions": outcome.versions}
    record |= {"bound_holds": joint.bound_holds, "exponent_attained": joint.exponent_attained}
    if isinstance(joint, RateStudy):
        for axis, exponent in record["exponents"].items():
            exponent["attained"] = joint.attained(axis)
    return record


def _joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One study from its runs. A run that has no bound does not count for `bound_holds`."""
    bounds = [r["bound_holds"] for r in runs if r["has_bound"]]
    return {
        "cells": runs[0]["cells"],
        "exponent": runs[0]["exponent"],
        "bound_holds": three_valued_and(bounds) if bounds else None,
        "exponent_attained": three_valued_and([r["exponent_attained"] for r in runs]),
        "holds": three_valued_and([r["holds"] for r in runs]),
        "verdict": " | ".join(f"{r['label']}: {r['verdict']}" for r in runs),
        "versions": runs[0]["versions"],
        "runs": runs,
    }


HEAD = [
    "study",
    "case",
    "exponent of",
    "theory",
    "measured",
    "95 % interval",
    "bound holds",
    "exponent attained",
    "measured/predicted",
]
BOUND_NAMES = {
    "paper": "the paper's bound",
    "gronwall": "the Grönwall bound",
    "jump": "the bound of order one",
}
_ATTAINED = {True: "yes", False: "no", None: "inconclusive"}


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each exponent, below a head. Intervals are of 95 % each."""
    found = [HEAD]
    for outcome in outcomes:
        study, joint = outcome.study, outcome.joint
        bound = _ATTAINED[joint.bound_holds] if study.has_bound else "—"
        for name, theory, estimate, attained, constant in _exponents(study, joint):
            measured = ["not fitted", "—"]
            if estimate is not None:
                value, low, high = estimate
                sign = "" if name == "tail index" else "+"
                measured = [f"{value:{sign}.3f}", f"[{low:{sign}.3f}, {high:{sign}.3f}]"]
            case = [outcome.job.group, outcome.job.label, name, theory]
            told = "—" if constant is None else f"{constant}, {_ATTAINED[constant.attained]}"
            found.append([*case, *measured, bound, _ATTAINED[attained], told])
    return found


def note(outcomes: Sequence[Outcome]) -> str:
    """What the verdicts in the table rest on, and which bounds are vacuous."""
    level = max((o.level for o in outcomes), default=LEVEL)
    told = []
    if level > LEVEL:
        told.append(
            f"Verdicts: intervals of {100 * level:.4g} % each, which hold together at 95 %; those "
            "on measured/predicted, within 10 %, of 95 % each."
        )
    empty = {
        (o.job.group, BOUND_NAMES.get(k, k))
        for o in outcomes
        if isinstance(o.study, RateStudy)
        for k, where in o.study.vacuous.items()
        if where.all()
    }
    told += [f"Vacuous (nowhere below 2cT): {word}, {group}." for group, word in sorted(empty)]
    return " ".join(told)


def table(outcomes: Sequence[Outcome]) -> str:
    """The table the command prints."""
    return f"{format_rows(rows(outcomes))}\n\n{note(outcomes)}".rstrip()


Exponent = tuple[str, str, Any, bool | None, Ratio | None]


def _exponents(study: Study, joint: Study) -> list[Exponent]:
    """Name, theory's value, (estimate, lower, upper) or None, verdict, constant, of each exponent.

    Beside the mean over particles of chaos stands the sup, which Theorem 4.2 is about.
    """
    if isinstance(study, TailStudy):
        estimate = (study.estimate, study.lower, study.upper)
        attained = joint.exponent_attained
        return [("tail index", f"{study.alpha:g}", estimate, attained, study.constant)]
    assert isinstance(joint, RateStudy)
    found: list[Exponent] = []
    others = ["sup"] if study.rate_measure == "mean" and "sup" in study.errors else []
    for measure in (study.rate_measure, *others):
        for axis in study.axes:
            if axis.theory is None:
                continue
            slope, _ = study.fitted(axis.name, measure)
            ends = None if slope is None else (slope.estimate, slope.lower, slope.upper)
            name = axis.name if measure == study.rate_measure else f"{axis.name}, {measure}"
            constant = study.constant(measure) if axis.name == study.rate_axis else None
            attained = joint.attained(axis.name, measure)
            found.append((name, f"{axis.theory:+.3f}", ends, attained, constant))
    return found
