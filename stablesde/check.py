"""The main job: the four studies and a training run on embedded data, as one table and one record.

What passes: a study holds if its bound holds and, where theory says that the exponent is sharp
(chaos, tails, compressibility, the width exponent of a linear drift), if it is not refuted.
"""

import functools
import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablesde import studies, training
from stablesde._version import __version__
from stablesde.datasets import load
from stablesde.model import MeanFieldModel, MeanReversion, NetworkModel
from stablesde.noise import stable_noise
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._records import finite_json, format_rows
from stablesde.studies._runner import write_json

Study = RateStudy | TailStudy
STUDIES = ("strong-error", "propagation-of-chaos", "tails", "compressibility", "training")


@dataclass(frozen=True)
class Size:
    """How large the main job is; `QUICK`, `DEFAULT` and `FULL` are the sizes the command offers."""

    name: str
    strong_replicas: int
    strong_steps: tuple[int, ...]
    fine_steps: int
    linear_replicas: int
    linear_widths: tuple[int, ...]
    chaos_replicas: int
    chaos_widths: tuple[int, ...]
    tail_columns: int
    compression_replicas: int
    compression_widths: tuple[int, ...]
    training_seeds: int
    training_width: int
    alphas: dict[str, tuple[float, ...]]


def _powers(low: int, high: int, factor: int = 2) -> tuple[int, ...]:
    sizes = [low]
    while sizes[-1] * factor <= high:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


QUICK = Size(
    name="quick",
    strong_replicas=16,
    strong_steps=(4, 8, 16, 32),
    fine_steps=512,
    linear_replicas=64,
    linear_widths=(10, 32, 100, 316),
    chaos_replicas=64,
    chaos_widths=_powers(16, 512),
    tail_columns=2**19,
    compression_replicas=16,
    compression_widths=(300, 1000, 3000, 10000),
    training_seeds=1,
    training_width=500,
    alphas={"strong-error": (1.5,), "tails": (1.5,), "compressibility": (1.5,)},
)
DEFAULT = Size(
    name="default",
    strong_replicas=32,
    strong_steps=(8, 16, 32, 64, 128),
    fine_steps=2048,
    linear_replicas=256,
    linear_widths=(10, 32, 100, 316, 1000, 3162),
    chaos_replicas=256,
    chaos_widths=_powers(16, 2048),
    tail_columns=2**22,
    compression_replicas=64,
    compression_widths=(1000, 3162, 10000, 31623, 100000),
    training_seeds=3,
    training_width=2000,
    alphas={
        "strong-error": (1.5, 1.8),
        "tails": (1.5, 1.8),
        "compressibility": (1.2, 1.5, 1.75),
    },
)
FULL = Size(
    name="full",
    strong_replicas=128,
    strong_steps=_powers(8, 1024),
    fine_steps=32768,
    linear_replicas=1024,
    linear_widths=(10, 32, 100, 316, 1000, 3162, 10000),
    chaos_replicas=2048,
    chaos_widths=_powers(16, 4096),
    tail_columns=2**24,
    compression_replicas=256,
    compression_widths=(1000, 3162, 10000, 31623, 100000, 316228),
    training_seeds=5,
    training_width=2000,
    alphas={
        "strong-error": (1.2, 1.5, 1.8),
        "tails": (1.2, 1.5, 1.8),
        "compressibility": (1.2, 1.5, 1.75, 1.9),
    },
)
SIZES = {size.name: size for size in (QUICK, DEFAULT, FULL)}


@dataclass(frozen=True)
class Job:
    """One study of the main job. `sharp`: the axis whose exponent theory says is attained."""

    group: str
    label: str
    run: Callable[..., Study]
    sharp: str | None


@dataclass(frozen=True)
class Outcome:
    """A finished job."""

    job: Job
    study: Study

    @property
    def holds(self) -> bool:
        """Whether the bound holds (or has no number) and a sharp exponent is not refuted.

        Infinite variance must be shown: an interval that reaches 2 is not enough.
        """
        study = self.study
        if isinstance(study, TailStudy):
            return study.bound_holds is True and study.exponent_attained is not False
        exponent = self.job.sharp is None or study.attained(self.job.sharp) is not False
        return study.bound_holds is not False and exponent


def theory_model() -> NetworkModel:
    """The network of the studies: tanh units, logistic loss, 16 points of the teacher data set."""
    data = load("teacher")
    return NetworkModel("tanh", "logistic", data.x_train[:16], data.y_train[:16])


def jobs(size: Size, seed: int, only: Sequence[str] = STUDIES) -> list[Job]:
    """The studies of the main job in order, without the training run."""
    key = jax.random.key(seed)
    network = theory_model()
    chosen: list[Job] = []

    def add(
        study: Any, model: MeanFieldModel, alpha: float, sharp: str | None, **rest: Any
    ) -> None:
        group = _GROUPS[study]
        if group not in only:
            return
        tag = "linear drift" if isinstance(model, MeanReversion) else "tanh network"
        noise = stable_noise("I", alpha, model.dim)
        run = functools.partial(study, model, noise, key, t1=1.0, **rest)
        chosen.append(Job(group, f"{tag}, α = {alpha:g}", run, sharp))

    for alpha in size.alphas["strong-error"]:
        add(
            studies.strong_error, network, alpha, None, widths=(10, 32, 100, 316, 1000),
            num_steps=size.strong_steps, fine_steps=size.fine_steps,
            replicas=size.strong_replicas,
        )  # fmt: skip
    add(
        studies.strong_error, MeanReversion(2), 1.5, "width", widths=size.linear_widths,
        num_steps=(4, 8, 16, 32), fine_steps=512, replicas=size.linear_replicas, batch=64,
    )  # fmt: skip
    add(
        studies.propagation_of_chaos, network, 1.5, "width", widths=size.chaos_widths,
        num_steps=32, replicas=size.chaos_replicas,
    )  # fmt: skip
    for alpha in size.alphas["tails"]:
        add(studies.tail_study, network, alpha, "norm", num_columns=size.tail_columns, num_steps=16)
    for alpha in size.alphas["compressibility"]:
        add(
            studies.compressibility, network, alpha, "width", widths=size.compression_widths,
            kappas=(0.1, 0.3), num_steps=16, replicas=size.compression_replicas,
        )  # fmt: skip
    return chosen


_GROUPS: dict[Any, str] = {
    studies.strong_error: "strong-error",
    studies.propagation_of_chaos: "propagation-of-chaos",
    studies.tail_study: "tails",
    studies.compressibility: "compressibility",
}


def file_name(job: Job) -> str:
    """A name for the files of a job."""
    return f"{job.group}-{job.label}".replace(", α = ", "-").replace(" ", "-")


def run_training(size: Size, seed: int) -> training.TrainResult:
    """The training run of the main job: scikit-learn's digits, Type I noise, α = 1.75."""
    return training.train(
        "digits",
        width=size.training_width,
        noise="I",
        alpha=1.75,
        seeds=size.training_seeds,
        seed=seed,
    )


def results(
    size: Size, seed: int, outcomes: Sequence[Outcome], trained: training.TrainResult | None
) -> dict[str, Any]:
    """The record `results.json`: each study's first run on top, all of them under `runs`."""
    groups: dict[str, Any] = {}
    for outcome in outcomes:
        record = outcome.study.to_dict()
        record |= {"label": outcome.job.label, "holds": outcome.holds}
        name = outcome.job.group.replace("-", "_")
        if name not in groups:
            groups[name] = {
                k: record[k] for k in ("cells", "exponent", "exponent_attained", "verdict")
            } | {"bound_holds": True, "runs": []}
        groups[name]["bound_holds"] &= record["bound_holds"] is not False
        groups[name]["runs"].append(record)
    return finite_json(
        {
            "version": __version__,
            "config": {
                "size": size.name,
                "seed": seed,
                "jax": jax.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                "backend": jax.default_backend(),
            },
            "studies": groups,
            "training": None if trained is None else trained.to_dict(),
        }
    )


def keep_earlier(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """`record`, with the studies and the training it lacks from an earlier one of its settings."""
    try:
        old = json.loads(path.read_text())
        if old["config"] != record["config"] or old["version"] != record["version"]:
            return record
        both = old["studies"] | record["studies"]
        kept = {n: both[n] for n in (s.replace("-", "_") for s in STUDIES) if n in both}
        return record | {"studies": kept, "training": record["training"] or old["training"]}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return record


_WORDS = {True: "yes", False: "no", None: "—"}
_ATTAINED = {True: "yes", False: "no", None: "inconclusive"}


def table(outcomes: Sequence[Outcome]) -> str:
    """The table the command prints: a row for each exponent."""
    rows = [["study", "case", "exponent of", "theory", "measured", "95 % interval", "bound holds",
             "exponent attained"]]  # fmt: skip
    for outcome in outcomes:
        study = outcome.study
        head = [outcome.job.group, outcome.job.label]
        bound = _WORDS[study.bound_holds]
        if isinstance(study, TailStudy):
            rows.append(
                [*head, "tail index", f"{study.alpha:g}", f"{study.estimate:.3f}",
                 f"[{study.lower:.3f}, {study.upper:.3f}]", bound,
                 _ATTAINED[study.exponent_attained]]
            )  # fmt: skip
            continue
        for axis in study.axes:
            if axis.theory is None:
                continue
            slope = study.slope(axis.name)
            rows.append(
                [*head, axis.name, f"{axis.theory:+.3f}", f"{slope.estimate:+.3f}",
                 f"[{slope.lower:+.3f}, {slope.upper:+.3f}]", bound,
                 _ATTAINED[study.attained(axis.name)]]
            )  # fmt: skip
    return format_rows(rows)


def run(
    size: Size, out: Path, seed: int, only: Sequence[str], echo: Callable[[str], None]
) -> tuple[dict[str, Any], bool]:
    """Runs the main job into `out` and returns its record and whether everything holds.

    Writes `results.json`, a figure (PNG) for each study under `figures/`, and the cells, from
    which an interrupted run resumes, under `cells/`.
    """
    from stablesde import plotting  # matplotlib is loaded only where a figure is drawn

    outcomes = []
    for job in jobs(size, seed, only):
        echo(f"{job.group}: {job.label}")
        study = job.run(run_dir=out / "cells" / file_name(job))
        plotting.plot(study, out / "figures" / f"{file_name(job)}.png")
        outcomes.append(Outcome(job, study))
    trained = None
    if "training" in only:
        echo("training: digits, Type I noise, α = 1.75")
        trained = run_training(size, seed)
    record = keep_earlier(out / "results.json", results(size, seed, outcomes, trained))
    write_json(out / "results.json", record)
    if outcomes:
        echo("\n" + table(outcomes))
    if trained is not None:
        echo("\n" + training.format_table(trained))
    failed = [f"{o.job.group} ({o.job.label}): {o.study.verdict}" for o in outcomes if not o.holds]
    for line in failed:
        print(f"DOES NOT HOLD  {line}", file=sys.stderr)
    return record, not failed
