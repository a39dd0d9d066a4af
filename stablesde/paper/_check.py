"""The main job: the four studies and a training run on embedded data, as one record."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from stablesde._version import __version__
from stablesde.paper._jobs import SIZES, STUDIES, Size, jobs
from stablesde.paper._outcomes import (
    Outcome,
    jointly,
    read_results,
    results,
    table,
)
from stablesde.paper._report import write_page
from stablesde.paper._train import TrainResult, train
from stablesde.store import check_writable, write_json
from stablesde.studies._tidy import summary_rows, tidy_rows, write_csv


def main_job(
    size: Size,
    out: Path,
    seed: int,
    only: Sequence[str],
    echo: Callable[[str], None],
    fresh: bool = False,
) -> tuple[Path, dict[str, Any], bool]:
    """Runs the main job in a folder of its own inside `out`: of this size, seed and version.

    Writes there `results.json` (before the training run, and again after it), its tables as CSV,
    the page `results.md` with a figure for each study, and the cells, from which it goes on when
    it is called again; `fresh` sets the folder aside under another name first.

    **Returns:** the folder, the record, and whether everything in `only` holds.
    **Raises:** `ValueError` for a size without these studies, or a damaged file; `OSError` where a
    file cannot be written.
    """
    from stablesde import plotting  # matplotlib is loaded only where a figure is drawn

    folder = out / f"{size.name}-seed{seed}-{__version__}"
    chosen = jobs(size, seed, only)
    if not chosen and "training" not in only:
        raise ValueError(f"the size {size.name!r} has no studies {', '.join(only)}: use --full.")
    if fresh and folder.exists():
        set_aside(folder)
    check_writable(folder / "results.json")
    path, trained, found = folder / "results.json", None, dict[tuple[str, str], Outcome]()
    with contextlib.suppress(FileNotFoundError):
        _, _, earlier, trained = read_results(path)
        found = {(o.job.group, o.job.label): o for o in earlier}

    def written() -> tuple[list[Outcome], dict[str, Any]]:
        order = [(j.group, j.label) for j in jobs(size, seed, STUDIES)]
        outcomes = jointly([found[name] for name in order if name in found])
        record = results(size, seed, outcomes, trained)
        write_json(path, record)
        write_csv(folder / "results.csv", tidy_rows(record))
        write_csv(folder / "summary.csv", summary_rows(record))
        write_page(folder, size, seed, outcomes, trained)
        names = {(j.group, j.label) for j in chosen}
        return [o for o in outcomes if (o.job.group, o.job.label) in names], record

    for job in chosen:
        echo(f"{job.group}: {job.label}")
        with jax.enable_x64(True) if job.float64 else contextlib.nullcontext():
            study = job.run(run_dir=folder / "cells" / job.file_name)
        plotting.plot(study, folder / "figures" / f"{job.file_name}.png")
        found[job.group, job.label] = Outcome(job, study)
        # Each study compiles its own programs. Linux allows a process 65 530 memory maps, which the
        # programs of some forty studies exceed: the next compilation then fails.
        jax.clear_caches()
    outcomes, record = written()
    if outcomes:
        echo("\n" + table(outcomes))
    if "training" in only:
        echo("\ntraining: digits, Type I noise, α = 1.75 (reported; no pass mark)")
        trained = run_training(size, seed, folder / "training")
        record = written()[1]
        echo(str(trained))
    return folder, record, _passed(outcomes)


def run_training(size: Size, seed: int, run_dir: Path) -> TrainResult:
    """The training run of the main job: scikit-learn's digits, Type I noise, α = 1.75."""
    seeds = range(seed, seed + size.training["seeds"])
    rest = size.training | {"seeds": seeds}
    return train("digits", noise="I", alpha=1.75, run_dir=run_dir, **rest)


def set_aside(folder: Path) -> None:
    """Renames a folder, so that the next run starts over and nothing is lost."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    folder.rename(aside)


def _passed(outcomes: Sequence[Outcome]) -> bool:
    """Says on stderr what does not hold and what is open; True if there is neither."""
    for outcome in outcomes:
        if outcome.holds is not True:
            word = "INCONCLUSIVE" if outcome.holds is None else "DOES NOT HOLD"
            line = f"{outcome.job.group} ({outcome.job.label}): {outcome.study.verdict}"
            print(f"{word}  {line}", file=sys.stderr)
    return all(outcome.holds is True for outcome in outcomes)


__all__ = ["SIZES", "main_job"]
