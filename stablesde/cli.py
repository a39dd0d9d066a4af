"""The command `stablesde`."""

import codecs
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

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
COUNT = click.IntRange(1)
_LONGEST_MESSAGE = 500
_NETWORKS = 200  # behind `table --predict`
# For consoles whose encoding has no Greek, as that of redirected output on Windows.
_SPELLED = {
    "α": "alpha", "η": "eta", "θ": "theta", "Θ": "Theta", "κ": "kappa", "σ": "sigma", "φ": "phi",
    "ε": "eps", "∞": "inf", "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "‖": "||", "−": "-",
    "–": "-", "—": "-", "…": "...", "·": "*", "∂": "d", "ℓ": "l", "Σ": "Sum", "₀": "0", "⁻": "^-",
    "√": "sqrt", "×": "x", "±": "+-", "½": "1/2", "²": "^2", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream cannot encode."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c, "?") for c in text), error.end


codecs.register_error("stablesde", _spell)


class _Command(click.Group):
    """Its output reaches every console: what the encoding lacks is spelled out."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="stablesde")
        return super().main(*args, **kwargs)


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
    if isinstance(error, UnicodeEncodeError):
        return None
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


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stablesde")
def main() -> None:
    """Heavy-tailed stochastic dynamics: check the theory, train and prune networks."""
    use_compilation_cache()


@main.command()
@click.argument("studies", nargs=-1, type=click.Choice(STUDY_NAMES))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Results go into a folder in it, named by size, seed and version.",
)
@click.option("--quick", is_flag=True, help="About a minute on two cores.")
@click.option("--full", is_flag=True, help="A real study: hours on two cores.")
@click.option("--fresh", is_flag=True, help="Start over; the old folder is kept as ….old-1.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print results.json, not the table.")
@_one_line_errors
def check(
    studies: Sequence[str],
    out: Path,
    quick: bool,
    full: bool,
    fresh: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Run the four studies and a training run on embedded data (or only STUDIES).

    Prints one table, and writes figures, results.json and results.md (running some of the studies
    updates their part). Exits 0 only if every bound holds and every exponent that theory calls
    sharp is attained; a study that is inconclusive does not pass. The training run is reported
    beside the paper, it has no pass mark.

    A run that was killed, or is still running elsewhere, goes on from its finished cells.
    """
    if quick and full:
        raise ValueError("--quick and --full exclude each other: give one of them, or neither.")
    from stablesde.paper._check import SIZES, main_job

    size = SIZES["quick" if quick else "full" if full else "default"]

    def echo(text: str) -> None:
        click.echo(text, err=as_json)

    only = tuple(studies) or STUDY_NAMES
    folder, record, holds = main_job(size, out, seed, only, echo, fresh)
    click.echo(json.dumps(record, indent=1) if as_json else f"\nFigures and tables: {folder}/")
    raise SystemExit(0 if holds else 1)


_RUN = click.argument("directory", type=click.Path(path_type=Path))


@main.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@_one_line_errors
def status(directory: Path, as_json: bool) -> None:
    """Where runs stand: cells done, who is computing what, time left.

    DIRECTORY is the --out of `check` or `table`, or the run_dir of a study. Changes nothing: safe
    beside a run.
    """
    from stablesde import _status

    found = _status.status(directory)
    click.echo(json.dumps(found, indent=1) if as_json else _status.as_text(found))


@main.command()
@_RUN
@_one_line_errors
def report(directory: Path) -> None:
    """Write results.md, a page on a run, from the results.json in DIRECTORY."""
    from stablesde.paper._report import write_report

    click.echo(f"{write_report(directory)}")


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
@click.option("--seeds", type=COUNT, default=3, show_default=True, help="Number of seeds.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="The first seed.")
@click.option(
    "--data", "root", type=click.Path(path_type=Path), default=None, help="Data directory."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Write the record to this JSON file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record, not the table.")
@_one_line_errors
def train(scaling: str, out: Path | None, as_json: bool, **settings: Any) -> None:
    """Train a one-hidden-layer network with heavy-tailed SGD, prune it, compare with the paper."""
    from stablesde import paper
    from stablesde.store import check_writable

    if out is not None:
        check_writable(out)
    first = settings.pop("seed")
    given = {name: value for name, value in settings.items() if value is not None}
    given["seeds"] = range(first, first + given["seeds"])
    run = paper.train_mean_field if scaling == "mean-field" else paper.train
    result = run(**given)
    try:
        if out is not None:
            result.save(out)
    finally:  # what cannot be written is printed
        click.echo(json.dumps(result.to_dict(), indent=1) if as_json else str(result))


@main.command()
@click.argument("number", type=int)
@click.option("--run", is_flag=True, help="Compute what is missing; safe to kill and to repeat.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results-tables"),
    show_default=True,
    help="The run directory, shared by all tables.",
)
@click.option("--seeds", type=int, default=5, show_default=True, help="Number of seeds, from 0.")
@click.option("--only", multiple=True, metavar="ROW", help="Only this row (none, 1.75 …); repeat.")
@click.option("--sigma", type=float, default=None, help="Noise level; default: the printed one.")
@click.option("--learning-rate", type=float, default=None, help="Default: the paper's.")
@click.option("--steps", type=int, default=None, help="Default: the paper's.")
@click.option("--width", type=int, default=None, help="Hidden units; default: the table's.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data directory.")
@click.option(
    "--predict", is_flag=True, help="Beside them, the pruning ratio of start and noise alone."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record, not the table.")
@_one_line_errors
def table(number: int, predict: bool, as_json: bool, **settings: Any) -> None:
    """Show Table NUMBER of the paper (1 to 6, 10 to 20), ours beside the printed numbers.

    Shows what --out holds and says what is missing; --run computes it, a cell for each row and
    seed. A run that is killed goes on with the same command. Tables 17 to 19 are networks trained
    without noise and pruned at the printed ratios.
    """
    from stablesde import paper

    found = paper.paper_table(number, predict=_NETWORKS if predict else 0, **settings)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
        return
    click.echo(found)
    if not found.complete and not settings["run"]:
        click.echo("compute it with the same command and --run")


if __name__ == "__main__":
    main(prog_name="stablesde")
