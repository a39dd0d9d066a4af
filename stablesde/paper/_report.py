"""`results.md`: a run of `stablesde check` on one page, as sites that host code render it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stablesde.paper._jobs import Size
from stablesde.paper._outcomes import Outcome, note, read_results, rows
from stablesde.paper._train import TrainResult
from stablesde.store import write_atomically

_TITLES = {
    "strong-error": "Strong error of the Euler scheme",
    "propagation-of-chaos": "Propagation of chaos",
    "tails": "Heavy tails",
    "compressibility": "Compressibility",
    "sharpness": "How sharp the exponents are",
}
_LEGEND = (
    "Bound holds: the whole interval of the mean error is below the paper's bound at every size, "
    "or, for a claim without a constant, the slope is as claimed. Attained: the interval of the "
    "measured exponent is narrow and contains theory's. An upper bound that holds is not a rate "
    "that is reached; inconclusive does not pass. Intervals shown are of 95 % each."
)


def write_report(directory: Path) -> Path:
    """Writes `results.md` from the `results.json` in a directory, and the figures that are missing.

    **Returns:** its path. **Raises:** `ValueError` without a record of `stablesde check`; `OSError`
    where the page cannot be written.
    """
    try:
        found = read_results(directory / "results.json")
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"the directory {directory} holds no results.json: give the folder that `stablesde "
            "check` names when it is done."
        ) from None
    return write_page(directory, *found)


def write_page(
    directory: Path,
    size: Size,
    seed: int,
    outcomes: Sequence[Outcome],
    trained: TrainResult | None,
) -> Path:
    """`write_report` of results at hand."""
    version = outcomes[0].versions["stablesde"] if outcomes else ""
    flag = "" if size.name == "default" else f" --{size.name}"
    parts = [
        f"# `stablesde check{flag} --seed {seed}`",
        "" if not version else f"stablesde {version}; the same seed gives the same numbers.",
        _table(rows(outcomes)) if outcomes else "",
        _LEGEND + " " + note(outcomes) if outcomes else "",
    ]
    for outcome in outcomes:
        parts += _study(directory, outcome)
    if trained is not None:
        parts += ["## Training run", f"```text\n{trained}\n```"]
    path = directory / "results.md"
    text = "\n\n".join(part for part in parts if part) + "\n"
    write_atomically(path, text.encode("utf-8", "replace"))
    return path


def _study(directory: Path, outcome: Outcome) -> list[str]:
    from stablesde import plotting

    study, figure = outcome.study, Path("figures", f"{outcome.job.file_name}.png")
    if not (directory / figure).exists():
        plotting.plot(study, directory / figure)
    words = plotting.caption(study)
    settings = study.config | outcome.versions
    return [
        f"## {_TITLES[outcome.job.group]}: {outcome.job.label}",
        study.claim,
        f"**Verdict:** {outcome.joint.verdict}",
        f"![{outcome.job.label}]({figure.as_posix()})",
        f"*{words}*",
        *(f"- {line}" for line in getattr(study, "notes", ())),
        f"<details><summary>Numbers and settings</summary>\n\n```text\n{study.table()}\n```",
        _table([["setting", "value"], *([k, _short(v)] for k, v in settings.items())]),
        "</details>",
    ]


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = (f"| {' | '.join(c.replace('|', '&#124;') for c in row)} |" for row in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rest])


def _short(value: Any) -> str:
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
