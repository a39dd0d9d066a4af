"""The command `stablesde`."""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from stablesde import _table_command
from stablesde._compilation import use_compilation_cache
from stablesde._extras import MissingExtraError
from stablesde._version import __version__

STUDY_NAMES = (
    "strong-error",
    "propagation-of-chaos",
    "tails",
    "compressibility",
    "sharpness",
    "training",
)


SEED = click.IntRange(0, 2**32 - 1)  # jax.random.key keeps 32 bits
_LONGEST_MESSAGE = 500


def _one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Bad input, and sizes that do not fit, end in one clear line and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Exception as error:
            message = _message(error)
            if message is None:
                raise
            click.echo(f"stablesde: {message}", err=True)
            raise SystemExit(2) from error

    return wrapped


def _message(error: Exception) -> str | None:
    """One line for an error that the user's input can cause; None for a fault of the program."""
    words = " ".join(str(error).split())[:_LONGEST_MESSAGE]
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    if isinstance(error, (ValueError, OSError, MissingExtraError)):
        return text
    if isinstance(error, OverflowError):
        return f"a number is too large: {text}"
    if isinstance(error, MemoryError):
        return f"out of memory, take smaller sizes: {text}"
    from jax.errors import JaxRuntimeError

    if isinstance(error, JaxRuntimeError):
        return f"the computation failed on the device (smaller sizes need less memory): {text}"
    return None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stablesde")
def main() -> None:
    """Heavy-tailed stochastic dynamics: check the theory, train and prune networks."""
    use_compilation_cache()


@main.command()
@click.argument("studies", nargs=-1, type=click.Choice(STUDY_NAMES))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where results go; default results/, results-quick/ or results-full/.",
)
@click.option("--quick", is_flag=True, help="About a minute on two cores.")
@click.option("--full", is_flag=True, help="A real study: hours on two cores.")
@click.option("--resume", is_flag=True, help="Go on from the finished cells in --out.")
@click.option(
    "--overwrite", is_flag=True, help="Discard what a run of another size or seed left in --out."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print results.json, not the table.")
@_one_line_errors
def check(
    studies: Sequence[str], out: Path | None, quick: bool, full: bool, resume: bool,
    overwrite: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Run the four studies and a training run on embedded data (or only STUDIES).

    Prints one table, and writes figures and results.json (running some of the studies updates
    their part of it). Exits 0 only if every bound holds and every exponent that theory calls sharp
    is attained; a study that is inconclusive does not pass. The training run is reported beside the
    paper, it has no pass mark.

    A second run computes its studies anew; --resume goes on from the finished cells instead.
    """
    if quick and full:
        raise ValueError("--quick and --full exclude each other: give one of them, or neither.")
    from stablesde import check as main_job

    chosen = main_job.SIZES["quick" if quick else "full" if full else "default"]
    suffix = "" if chosen.name == "default" else f"-{chosen.name}"
    folder = Path(f"results{suffix}") if out is None else out
    only = tuple(studies) or STUDY_NAMES
    config = {"size": chosen.name, "seed": seed}

    def echo(text: str) -> None:
        click.echo(text, err=as_json)

    with prepared(folder, config, only, resume, overwrite):
        record, holds = main_job.run(chosen, folder, seed, only, echo)
    if as_json:
        click.echo(json.dumps(record, indent=1))
    else:
        click.echo(
            f"\nFigures and results.json are in {folder}/ (a page: stablesde report {folder})"
        )
    raise SystemExit(0 if holds else 1)


@contextmanager
def prepared(
    folder: Path, config: dict[str, Any], only: Sequence[str], resume: bool, overwrite: bool
) -> Iterator[None]:
    """`folder`, ready for the studies `only`: a fresh run, or one to go on with or to join.

    Removes nothing but files that an earlier `check` wrote there: all of them if that was another
    size or seed, else those of the studies that are run again; and nothing at all while another
    process is at work there.

    **Raises:** `ValueError` if it holds a run of another size or seed, or of an unknown one, and
    `overwrite` is off, or if another process is at work there and `resume` is off. `OSError` if
    something that the run writes could not be written.
    """
    from stablesde import _locks
    from stablesde._status import RUN_LOCK, read_object
    from stablesde._storage import write_json
    from stablesde.check import check_places, own_files

    check_places(folder, config["size"], only)
    path, problems = folder / "run.json", list[str]()
    lock = _locks.take(folder / RUN_LOCK)
    alone = lock is not None
    if lock is None:
        if not resume:
            who = _locks.holder(folder / RUN_LOCK) or {}
            raise ValueError(
                f"process {who.get('pid', '?')} is at work in {folder}: pass --resume to share its "
                "work, or choose another --out."
            )
        lock = _locks.share(folder / RUN_LOCK)
    try:
        old = read_object(path, problems) or ("an unreadable run.json" if problems else None)
        if old is not None and old != config and not (overwrite and alone):
            hint = "" if overwrite else ", or pass --overwrite to discard it"
            raise ValueError(
                f"{folder} holds a run with {old} (its run.json), not {config}: choose another "
                f"--out{hint}."
            )
        unknown = old is None and bool(own_files(folder) or (folder / "results.json").exists())
        if unknown and not (overwrite and alone):
            raise ValueError(
                f"{path} is missing, beside files of a run: write {json.dumps(config)} into it if "
                "that is what they are of, or choose another --out, or pass --overwrite to discard "
                "them."
            )
        if alone:
            foreign = unknown or (old is not None and old != config)
            _remove_earlier(folder, foreign, only, resume)
        if old != config:
            write_json(path, config)
        lock.share()
        yield
    finally:
        lock.release()


def _remove_earlier(folder: Path, foreign: bool, only: Sequence[str], resume: bool) -> None:
    """Removes what a fresh run replaces: of a `foreign` run everything."""
    from stablesde.check import RECORDS, STUDIES, remove_own

    if foreign:
        remove_own(folder, STUDIES)
        for name in RECORDS:
            (folder / name).unlink(missing_ok=True)
    elif not resume:
        remove_own(folder, only)


_RUN = click.argument("directory", type=click.Path(path_type=Path))


@main.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@_one_line_errors
def status(directory: Path, as_json: bool) -> None:
    """Where a run stands: cells done, who is computing what, time left, verdicts so far.

    DIRECTORY is the --out of `check` or the run_dir of a study. Changes nothing: safe beside a run.
    """
    from stablesde import _status

    found = _status.status(directory)
    click.echo(json.dumps(found, indent=1) if as_json else _status.as_text(found))


@main.command()
@_RUN
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Where the page goes; default report.html in DIRECTORY.",
)
@_one_line_errors
def report(directory: Path, out: Path | None) -> None:
    """Write one self-contained HTML page on a run, whole or partial.

    DIRECTORY is the --out of `check`.
    """
    from stablesde.report import write_report

    click.echo(f"{write_report(directory, out)}")


@main.command()
@click.option("--dataset", default="ecg5000", show_default=True, help="ecg5000, mnist, digits …")
@click.option("--width", type=int, default=2000, show_default=True, help="Hidden units n.")
@click.option(
    "--scaling",
    type=click.Choice(["paper", "mean-field"]),
    default="paper",
    show_default=True,
    help="mean-field: second layer 1/n, gradient times n, tanh; beside its limit.",
)
@click.option("--noise", default="I", show_default=True, help="I, II, III or none.")
@click.option("--alpha", type=float, default=1.75, show_default=True, help="Stability index.")
@click.option("--sigma", type=float, default=None, help="Noise level; default: the paper's.")
@click.option("--learning-rate", type=float, default=None, help="Default: the paper's.")
@click.option("--steps", type=int, default=None, help="Default: the paper's.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Number of seeds.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="The first seed.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data directory.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write the record to this JSON file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record, not the table.")
@_one_line_errors
def train(
    dataset: str, width: int, scaling: str, noise: str, alpha: float, sigma: float | None,
    learning_rate: float | None, steps: int | None, seeds: int, seed: int, data: Path | None,
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a one-hidden-layer network with heavy-tailed SGD, prune it, compare with the paper."""
    from stablesde import training
    from stablesde._storage import check_writable, write_json
    from stablesde.check import training_table
    from stablesde.studies._format import finite_json

    if out is not None:
        check_writable(out)
    settings = {
        "sigma": sigma, "learning_rate": learning_rate, "steps": steps, "seeds": seeds,
        "seed": seed, "root": data,
    }  # fmt: skip
    given: dict[str, Any] = {k: v for k, v in settings.items() if v is not None}
    if scaling == "mean-field":
        limit = training.train_mean_field(dataset, width=width, noise=noise, alpha=alpha, **given)
        record, text = limit.to_dict(), training.format_mean_field(limit)
    else:
        result = training.train(dataset, width=width, noise=noise, alpha=alpha, **given)
        record, text = result.to_dict(), training_table(result)
    record = finite_json(record)
    click.echo(json.dumps(record, indent=1) if as_json else text)
    if out is not None:
        write_json(out, record)


main.command()(_one_line_errors(_table_command.table))
