"""The main job: the four studies and a training run on embedded data, as one table and one record.

What passes: a study holds if its bound holds (if that has a number) and, where theory says that the
exponent is sharp (chaos, tails, compressibility, the width exponent of a linear drift), if it is
attained within the tolerance. What the data do not decide does not pass.
"""

import contextlib
import dataclasses
import functools
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablesde import studies, training
from stablesde._jobs import Job, Study, file_name, jobs
from stablesde._sizes import DEFAULT, FULL, QUICK, SIZES, Size
from stablesde._storage import check_writable, write_json
from stablesde._version import __version__
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._format import finite_json, format_rows, three_valued_and
from stablesde.studies._statistics import LEVEL, simultaneous_level

CLAIMS = ("strong-error", "propagation-of-chaos", "tails", "compressibility")
STUDIES = (*CLAIMS, "sharpness", "training")


@dataclass(frozen=True)
class Outcome:
    """A finished job. `level`: of the intervals that its verdicts use; see `joint_level`."""

    job: Job
    study: Study
    level: float = LEVEL

    @functools.cached_property
    def joint(self) -> Study:
        """The study with the intervals that hold together with those of all others."""
        return at_level(self.study, self.level)

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


def at_level(study: Study, level: float) -> Study:
    """The record with intervals of another level."""
    if isinstance(study, RateStudy):
        return dataclasses.replace(study, level=level)
    return study.at_level(level)


def joint_level(chosen: Sequence[Job], studied: Sequence[Study]) -> float:
    """The level of each interval for which all verdicts of a run hold together at 95 %."""
    exponents = [
        1 if isinstance(study, TailStudy) else sum(map(study.has_rate, study.axes))
        for job, study in zip(chosen, studied, strict=True)
        if job.judged
    ]
    return simultaneous_level(LEVEL, max(1, sum(exponents)))


# What a study writes into its folder of cells, and `check` beside run.json.
CELL_FILES = ("config.json", "progress.json", "replicas-?????.json", "columns-?????.json",
              ".replicas-?????.lock", ".columns-?????.lock")  # fmt: skip
RECORDS = ("results.json", "progress.json", "results.csv", "summary.csv", "report.html")


def run_training(size: Size, seed: int) -> training.TrainResult:
    """The training run of the main job: scikit-learn's digits, Type I noise, α = 1.75."""
    return training.train("digits", noise="I", alpha=1.75, seed=seed, **size.training)


def own_files(out: Path, groups: Sequence[str] = STUDIES) -> list[Path]:
    """The files in `out` that the main job, of any size, writes for these studies.

    Cells and figures are known by the names of the jobs; a file of another name is not ours.
    """
    names = {(j.group, file_name(j)) for size in SIZES.values() for j in jobs(size, 0, groups)}
    found = [out / "figures" / f"{name}.png" for _, name in names]
    for group, name in names:
        folder = out / "cells" / name / group.replace("-", "_")
        for pattern in CELL_FILES:
            found += folder.glob(pattern)
    return sorted(path for path in found if path.is_file())


def check_places(out: Path, size: str, groups: Sequence[str]) -> None:
    """Raises `OSError` before hours of computing if something could not be written after them."""
    check_writable(out / "results.json")
    names = [(j.group.replace("-", "_"), file_name(j)) for j in jobs(SIZES[size], 0, groups)]
    files = [out / name for name in ("run.json", *RECORDS)]
    files += [out / "figures" / f"{name}.png" for _, name in names]
    folders = [out / "figures", *(out / "cells" / name / group for group, name in names)]
    # The folders themselves are not made: another process may be about to.
    nearest = {next(p for p in (f, *f.parents) if os.path.lexists(p)) for f in folders}
    for path in (*filter(Path.is_dir, files), *(folder / "config.json" for folder in nearest)):
        check_writable(path)


def remove_own(out: Path, groups: Sequence[str] = STUDIES) -> None:
    """Deletes `own_files`, and the folders that are empty then."""
    for path in own_files(out, groups):
        path.unlink()
        for folder in path.parents:
            if folder == out or any(folder.iterdir()):
                break
            folder.rmdir()


def versions() -> dict[str, str]:
    """What a number was computed with."""
    return {
        "stablesde": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "backend": jax.default_backend(),
    }


def results(
    size: Size, seed: int, outcomes: Sequence[Outcome], trained: training.TrainResult | None
) -> dict[str, Any]:
    """The record `results.json`; its fields are described in the documentation ("The main job").

    A study with several runs has all of them under `runs`, joint verdicts, and the `cells` and the
    `exponent` of the first.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for outcome in outcomes:
        record = _judged(outcome)
        groups.setdefault(outcome.job.group.replace("-", "_"), []).append(record)
    return finite_json(
        {
            "version": __version__,
            "config": {"size": size.name, "seed": seed},
            "studies": {name: _joined(runs) for name, runs in groups.items()},
            "training": None if trained is None else trained.to_dict() | {"versions": versions()},
        }
    )


def _judged(outcome: Outcome) -> dict[str, Any]:
    """The record of a study, its intervals at 95 % and its verdicts at the joint level."""
    record, joint = outcome.study.to_dict(), outcome.joint
    record |= {"label": outcome.job.label, "judged": outcome.job.judged, "holds": outcome.holds}
    record |= {"joint_level": outcome.level, "verdict": joint.verdict}
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
        "versions": versions(),
        "runs": runs,
    }


def keep_earlier(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """`record`, with the studies and the training it lacks from an earlier one of its settings.

    A file that is no such record is moved aside, to `results.unreadable.json`.
    """
    if not path.exists():
        return record
    try:
        old = json.loads(path.read_bytes())
        json.dumps(old, allow_nan=False)
        studies.tidy_rows(old), studies.summary_rows(old)
        if any(old["config"][k] != record["config"][k] for k in ("size", "seed")):
            return record
        both = old["studies"] | record["studies"]
        kept = {n: both[n] for n in (s.replace("-", "_") for s in STUDIES) if n in both}
        return record | {"studies": kept, "training": record["training"] or old["training"]}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        _move_aside(path)
        return record


def _move_aside(path: Path) -> None:
    aside, number = path.with_suffix(".unreadable.json"), 1
    while aside.exists():
        number += 1
        aside = path.with_suffix(f".unreadable-{number}.json")
    path.rename(aside)
    print(f"{path} is not a record of this command: it is now {aside.name}.", file=sys.stderr)


_ATTAINED = {True: "yes", False: "no", None: "inconclusive"}


def table(outcomes: Sequence[Outcome]) -> str:
    """The table the command prints: a row for each exponent.

    Intervals are of 95 % each; the verdicts use wider ones that hold together at 95 %.
    """
    rows = [["study", "case", "exponent of", "theory", "measured", "95 % interval", "bound holds",
             "exponent attained"]]  # fmt: skip
    for outcome in outcomes:
        study, joint = outcome.study, outcome.joint
        bound = _ATTAINED[joint.bound_holds] if study.has_bound else "—"
        for name, theory, estimate, attained in _exponents(study, joint):
            measured = ["not fitted", "—"]
            if estimate is not None:
                value, low, high = estimate
                sign = "" if name == "tail index" else "+"
                measured = [f"{value:{sign}.3f}", f"[{low:{sign}.3f}, {high:{sign}.3f}]"]
            rows.append(
                [outcome.job.group, outcome.job.label, name, theory, *measured, bound,
                 _ATTAINED[attained]]
            )  # fmt: skip
    level = max((o.level for o in outcomes), default=LEVEL)
    below = f"\n\nVerdicts: intervals of {100 * level:.4g} % each, which hold together at 95 %."
    return format_rows(rows) + (below if level > LEVEL else "")


def _exponents(study: Study, joint: Study) -> list[tuple[str, str, Any, bool | None]]:
    """Name, theory's value, (estimate, lower, upper) or None, and the verdict, of each exponent."""
    if isinstance(study, TailStudy):
        estimate = (study.estimate, study.lower, study.upper)
        return [("tail index", f"{study.alpha:g}", estimate, joint.exponent_attained)]
    assert isinstance(joint, RateStudy)
    rows: list[tuple[str, str, Any, bool | None]] = []
    for axis in study.axes:
        if axis.theory is not None:
            slope, _ = study.fitted(axis.name)
            ends = None if slope is None else (slope.estimate, slope.lower, slope.upper)
            rows.append((axis.name, f"{axis.theory:+.3f}", ends, joint.attained(axis.name)))
    return rows


def training_table(result: training.TrainResult) -> str:
    """The table of a training run, without the paper's column if the paper has no such row."""
    text = training.format_table(result)
    if training.paper_row(result.dataset, result.noise, result.width, result.alpha or 0.0):
        return text
    head, *rows = text.splitlines()
    cut = rows[0].index("ours") + len("ours")
    return "\n".join([f"{head}; the paper has no such run", *(r[:cut].rstrip() for r in rows)])


def run(
    size: Size, out: Path, seed: int, only: Sequence[str], echo: Callable[[str], None]
) -> tuple[dict[str, Any], bool]:
    """Runs the main job into `out` and returns its record and whether everything holds.

    Writes `results.json` (before the training run, and again after it) and its tables as CSV, a
    figure (PNG) for each study under `figures/`, and the cells, from which an interrupted run
    resumes, under `cells/`.
    """
    from stablesde import plotting  # matplotlib is loaded only where a figure is drawn

    def save(trained: training.TrainResult | None) -> dict[str, Any]:
        path = out / "results.json"
        record = keep_earlier(path, results(size, seed, outcomes, trained))
        write_json(path, record)
        studies.write_csv(out / "results.csv", studies.tidy_rows(record))
        studies.write_csv(out / "summary.csv", studies.summary_rows(record))
        return record

    chosen, studied = jobs(size, seed, only), []
    if not chosen and "training" not in only:
        raise ValueError(f"the size {size.name!r} has no studies {', '.join(only)}: use --full.")
    plan = [{"name": file_name(j), "study": j.group, "label": j.label} for j in chosen]
    write_json(out / "progress.json", {"runs": plan, "training": "training" in only})
    for job in chosen:
        echo(f"{job.group}: {job.label}")
        with jax.enable_x64(True) if job.float64 else contextlib.nullcontext():
            study = job.run(run_dir=out / "cells" / file_name(job))
        plotting.plot(study, out / "figures" / f"{file_name(job)}.png")
        studied.append(study)
        # Each study compiles its own programs. Linux allows a process 65 530 memory maps, which the
        # programs of some forty studies exceed: the next compilation then fails.
        jax.clear_caches()
    level = joint_level(chosen, studied)
    outcomes = [Outcome(j, s, level) for j, s in zip(chosen, studied, strict=True)]
    if outcomes:
        record = save(None)
        echo("\n" + table(outcomes))
    if "training" in only:
        echo("\ntraining: digits, Type I noise, α = 1.75 (reported; no pass mark)")
        trained = run_training(size, seed)
        record = save(trained)
        echo(training_table(trained))
    return record, _told(outcomes)


def _told(outcomes: Sequence[Outcome]) -> bool:
    """Says on stderr what does not hold and what is open; True if there is neither."""
    for outcome in outcomes:
        if outcome.holds is not True:
            word = "INCONCLUSIVE" if outcome.holds is None else "DOES NOT HOLD"
            line = f"{outcome.job.group} ({outcome.job.label}): {outcome.study.verdict}"
            print(f"{word}  {line}", file=sys.stderr)
    return all(outcome.holds is True for outcome in outcomes)


__all__ = [
    "DEFAULT",
    "FULL",
    "QUICK",
    "SIZES",
    "STUDIES",
    "Job",
    "Outcome",
    "Size",
    "file_name",
    "jobs",
    "keep_earlier",
    "own_files",
    "remove_own",
    "results",
    "run",
    "table",
    "training_table",
]
