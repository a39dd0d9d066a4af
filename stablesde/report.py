"""One page on a run of `stablesde check`: verdicts, figures, tables, and how to repeat it.

Made from the files of the run alone, whole or partial; it needs no network and no device.
"""

import importlib.resources
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stablesde import _html as html
from stablesde._status import as_text, read_object, run_name, runs_of, status
from stablesde._storage import as_path, write_atomically

_TITLES = {
    "strong_error": "Strong error of the Euler scheme",
    "propagation_of_chaos": "Propagation of chaos",
    "tails": "Heavy tails",
    "compressibility": "Compressibility",
}


def write_report(directory: str | Path, path: str | Path | None = None) -> Path:
    """Writes the report of a run, to `report.html` in its directory if no `path` is given.

    **Returns:** where it is. **Raises:** `ValueError` if the directory is no run; `OSError` if the
    page cannot be written.
    """
    directory = as_path("directory", directory)
    target = directory / "report.html" if path is None else as_path("path", path)
    write_atomically(target, report(directory).encode("utf-8", "replace"))
    return target


def report(directory: str | Path) -> str:
    """The page on a run. What a partial or damaged run lacks is said on it.

    **Arguments:** `directory`, of the run. **Returns:** the page as HTML text.
    **Raises:** `ValueError` if the directory is no run.
    """
    directory = as_path("directory", directory)
    state = status(directory)
    record = read_object(directory / "results.json", []) or {}
    try:
        runs = _titled(runs_of(record))
    except (KeyError, TypeError, AttributeError):
        runs, record = [], {}
    name = directory.resolve().name
    light = len(runs) > _MOST_DRAWINGS
    sections = [_study(directory, study, run, light) for study, run in runs]
    style = importlib.resources.files("stablesde").joinpath("report.css").read_text("utf-8")
    return html.page(
        f"{name}: stablesde",
        style,
        html.tag("h1", f"Report of the run {name}"),
        html.tag("p", _part(_lead, record, state), class_="lead"),
        _missing(state, record),
        html.tag("h2", "Verdicts", class_="first"),
        _verdicts(runs) if runs else html.tag("p", "None yet."),
        html.tag("p", _LEGEND, class_="small") if runs else "",
        *sections,
        _part(_training, record.get("training")),
        html.tag("h2", "Where the run stands"),
        html.tag("pre", as_text(state)),
        html.tag("h2", "How to repeat it"),
        _part(_repeat, record, state, runs),
    )


def _part(make: Callable[..., Any], *arguments: Any) -> Any:
    """A part of the page, or why there is none: whatever a file holds, there is a page."""
    try:
        return make(*arguments)
    except Exception as error:
        return f"This part of the record is unreadable: {error!r}."


# More figures than these are pixels, or the page would have tens of megabytes.
_MOST_DRAWINGS = 16
_LEGEND = (
    "Bound holds: the whole interval of the mean error is below the paper's bound at every size, "
    "or, for a claim without a constant, the slope is as claimed. Attained: the interval of the "
    "measured exponent is narrow and contains theory's. An upper bound that holds is not a rate "
    "that is reached; inconclusive does not pass. Intervals shown are at 95 % each; the "
    "verdicts of a run of several studies rest on wider ones, which hold together at 95 %."
)


def _lead(record: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    config = record.get("config") or state["run"] or {}
    parts = []
    if record.get("version"):
        parts.append(f"stablesde {record['version']}")
    if "size" in config:
        parts.append(f"size {config['size']}, seed {config.get('seed')}")
    if state["results"] is not None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state["results"]["written"]))
        parts.append(f"results written {when}")
    return "; ".join(parts)


def _missing(state: Mapping[str, Any], record: Mapping[str, Any]) -> Any:
    """What is not there, and what is wrong; nothing if the run is whole."""
    lines = list(state["problems"])
    results = state["results"]
    if results is None:
        lines.append("There is no results.json yet: no verdicts, tables and training.")
    told = {run_name(v["study"], v["label"]) for v in results["verdicts"]} if results else set()
    for row in state["studies"]:
        total = "an unknown number of" if row["cells_total"] is None else row["cells_total"]
        if row["state"] not in ("finished", "not started") and row["cells_done"] != total:
            lines.append(f"{row['name']}: {row['cells_done']} of {total} cells, {row['state']}.")
        elif results is not None and row["name"] not in told and state["kind"] == "check":
            lines.append(f"{row['name']}: not in results.json.")
        elif row["state"] == "not started":
            lines.append(f"{row['name']}: not started.")
    if state["training_planned"] and record and record.get("training") is None:
        lines.append("The training run is not in results.json.")
    if not lines:
        return ""
    items = [html.tag("li", line) for line in lines]
    return html.tag(
        "div", html.tag("p", html.tag("b", "This run is not complete.")),
        html.tag("ul", *items), class_="missing",
    )  # fmt: skip


def _titled(runs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Runs with labels that are text."""
    return [(study, {**run, "label": str(run.get("label", ""))}) for study, run in runs]


def _verdicts(runs: list[tuple[str, Any]]) -> html.Html:
    head = ["study", "case", "exponent of", "theory", "measured", "95 % interval", "bound holds",
            "attained", "passes"]  # fmt: skip
    rows: list[list[Any]] = []
    for study, run in runs:
        title = study.replace("_", " ")
        try:
            rows += _verdict_rows(title, run)
        except Exception as error:
            rows.append([title, run.get("label", ""), f"unreadable ({error!r})", *[""] * 6])
    return html.table(head, rows)


def _verdict_rows(title: str, run: Mapping[str, Any]) -> list[list[Any]]:
    bound = html.word(run["bound_holds"]) if run["has_bound"] else "—"
    passes = html.word(run["holds"]) if "holds" in run else "—"
    single = {"tail index": {**(run["exponent"] or {}), "attained": run["exponent_attained"]}}
    exponents = run.get("exponents", single)
    sign = "+" if "exponents" in run else ""
    label = run.get("label", "")
    rows = [
        [title, label, axis, f"{e['theory']:{sign}.3f}", f"{e['estimate']:{sign}.3f}",
         f"[{e['lower']:{sign}.3f}, {e['upper']:{sign}.3f}]", bound, html.word(e["attained"]),
         passes]
        for axis, e in exponents.items()
        if e["theory"] is not None
    ]  # fmt: skip
    for axis, reason in run.get("not_fitted", {}).items():
        if f"{axis} exponent" in run["verdict"]:  # one that theory claims
            rows.append([title, label, axis, "", f"not fitted: {reason}", "", bound, "—", passes])
    return rows


def _study(directory: Path, study: str, run: Mapping[str, Any], light: bool) -> html.Html:
    label = run.get("label", "")
    title = _TITLES.get(study, study.replace("_", " "))
    head = html.tag("h2", f"{title}: {label}" if label else title)
    try:
        notes = [html.tag("li", note) for note in run.get("notes", [])]
        return html.join(
            [
                head,
                html.tag("p", run.get("claim", "")),
                html.tag("p", html.tag("b", "Verdict. "), run["verdict"]),
                _figure(directory, study, run, light),
                html.tag("ul", *notes) if notes else "",
                html.tag("h3", "Measured"),
                _cells(run),
                html.tag("h3", "Configuration"),
                html.pairs((k, _value(v)) for k, v in run["config"].items()),
                _versions(run),
            ]
        )
    except Exception as error:
        return html.join(
            [head, html.tag("p", f"This part of results.json is unreadable: {error!r}.")]
        )


def _figure(directory: Path, study: str, run: Mapping[str, Any], light: bool) -> html.Html:
    """The figure drawn from the record; where that has too little, as the run has drawn it."""
    from stablesde import plotting
    from stablesde.plotting._style import image, small_png, style

    saved = directory / "figures" / f"{run_name(study, run.get('label', ''))}.png"
    title = f"Figure: {study.replace('_', ' ')}, {run.get('label', '')}"
    try:
        words = plotting.caption(run)
    except Exception:
        words = ""
    try:
        figure = plotting.plot(run)
        with style():
            if light:
                picture = html.image(small_png(figure), "image/png", title)
            else:
                picture = html.image(image(figure, "svg"), "image/svg+xml", title)
    except Exception as error:
        try:
            picture = html.image(saved.read_bytes(), "image/png", title)
        except OSError:
            why = " ".join(str(error).split())
            return html.tag("p", f"No figure: {why} ({saved.name} is not there).", class_="small")
    return html.tag("figure", picture, html.tag("figcaption", words))


def _cells(run: Mapping[str, Any]) -> html.Html:
    """A row for each grid point, without the replicas."""
    cells = run["cells"]
    if not cells:
        return html.tag("p", "Nothing.")
    wanted = [
        k for k in dict.fromkeys(k for c in cells for k in c)
        if k not in ("replicas", "interval_of", "level")
    ]  # fmt: skip
    rows = [[_value(cell.get(k, "")) for k in wanted] for cell in cells]
    said = {(c["interval_of"], c["level"]) for c in cells if "interval_of" in c}
    note = "".join(f"lower, upper: {100 * level:g} % interval of the {of}." for of, level in said)
    head = [k.replace("_", " ") for k in wanted]
    return html.join([html.table(head, rows), html.tag("p", note, class_="small") if note else ""])


def _versions(run: Mapping[str, Any]) -> Any:
    versions = run.get("versions")
    if not isinstance(versions, Mapping):
        return ""
    return html.tag("p", "Computed with " + _named(versions) + ".", class_="small")


def _named(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in versions.items())


def _value(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value)
    return str(value)


def _training(trained: Any) -> Any:
    """The training run: reported, it has no pass mark."""
    if not isinstance(trained, Mapping):
        return ""
    rows = []
    for name, value in trained.items():
        if name == "versions" and isinstance(value, Mapping):
            rows.append((name, _named(value)))
        elif isinstance(value, Mapping) and "mean" in value:
            over = len(value.get("values") or [])
            spread = f" ± {_value(value.get('std'))} (sd of {over} seeds)" if over > 1 else ""
            rows.append((name, _value(value["mean"]) + spread))
        else:
            rows.append((name, _value(value)))
    return html.join([
        html.tag("h2", "Training run"),
        html.pairs((name.replace("_", " "), value) for name, value in rows),
    ])  # fmt: skip


def _repeat(
    record: Mapping[str, Any], state: Mapping[str, Any], runs: list[tuple[str, Any]]
) -> html.Html:
    config = record.get("config") or state["run"] or {}
    if "size" not in config:
        return html.tag(
            "p", "Call the study with the configuration above; with the same run_dir it goes on "
            "from the finished cells."
        )  # fmt: skip
    studies = list(dict.fromkeys(study.replace("_", "-") for study, _ in runs))
    if record.get("training") is not None:
        studies.append("training")
    size = "" if config["size"] == "default" else f" --{config['size']}"
    command = f"stablesde check {' '.join(studies)}{size} --seed {config.get('seed', 0)}"
    command, place = " ".join(command.split()), shlex.quote(state["directory"])
    return html.join([
        html.tag("p", f"With stablesde {record.get('version', '')} and the versions above; the "
                 "numbers are functions of the seed, equal up to rounding on other devices."),
        html.tag("pre", f"{command} --out again\n{command} --resume --out {place}"),
        html.tag("p", "The second line goes on from the finished cells."),
    ])  # fmt: skip


__all__ = ["report", "write_report"]
