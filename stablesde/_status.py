"""Where a run stands: what is finished, what is being computed and by whom, what is left.

Reads files only: no device is touched and nothing is changed, so that it is safe beside a run.
"""

import itertools
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from stablesde._locks import holder
from stablesde.studies._format import format_rows
from stablesde.studies._runner import CELL, read_cell

RUN_LOCK = ".run.lock"
_HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "inconclusive"}


def status(directory: Path) -> dict[str, Any]:
    """What is known of the run in a directory of `stablesde check`, or in a study's `run_dir`.

    **Returns:** JSON data: `kind` ("check" or "study"), `run` (size and seed), `at_work` (who
    holds it, or null), `studies` (a row each, see `_study`), `cells_done`, `cells_total` (null if a
    study has not begun), `seconds_left`, `results` (null, or the verdicts in results.json) and
    `problems`, a list of lines. **Raises:** `ValueError` if the directory is no run.
    """
    if not directory.is_dir():
        raise ValueError(f"the directory {directory} is not there.")
    problems: list[str] = []
    run = read_object(directory / "run.json", problems)
    plan = read_object(directory / "progress.json", []) or {}
    is_check = (directory / "run.json").exists() or (directory / "cells").is_dir()
    folders = _study_folders(directory)
    rows = [_study(name, folder, problems) for name, folder in sorted(folders.items())]
    results = _results(directory, problems) if is_check or not folders else None
    if not folders and results is None and not (is_check and run):
        told = f" ({'; '.join(problems)})" if problems else ""
        raise ValueError(
            f"the directory {directory} is no run of a study{told}: give the --out of "
            "`stablesde check` or the run_dir of a study."
        )
    planned = _planned(plan)
    rows += [_not_started(name) for name in planned if name not in folders]
    order = {name: i for i, name in enumerate(planned)}
    rows.sort(key=lambda row: (order.get(row["name"], len(order)), row["name"]))
    lefts = [r["seconds_left"] for r in rows]
    totals = [r["cells_total"] for r in rows]
    return {
        "directory": str(directory),
        "kind": "check" if is_check or results is not None else "study",
        "run": run,
        "at_work": holder(directory / RUN_LOCK),
        "studies": rows,
        "cells_done": sum(r["cells_done"] for r in rows),
        "cells_total": None if None in totals else sum(totals),
        "seconds_left": None if None in lefts else sum(lefts),
        "training_planned": bool(plan.get("training")),
        "results": results,
        "problems": problems,
    }


def _planned(plan: dict[str, Any]) -> list[str]:
    """The names of the studies there are to be."""
    runs = plan.get("runs")
    names = [p.get("name") for p in runs if isinstance(p, dict)] if isinstance(runs, list) else []
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def read_object(path: Path, problems: list[str]) -> dict[str, Any] | None:
    """The JSON object in a file; None, and a line in `problems`, if it holds something else."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path} is unreadable ({' '.join(str(error).split())})")
        return None
    if not isinstance(value, dict):
        problems.append(f"{path} is unreadable (no JSON object)")
        return None
    return value


def _study_folders(directory: Path) -> dict[str, Path]:
    """The folders of studies by name: in cells/NAME/STUDY/, in DIRECTORY/STUDY/, or itself."""
    if _is_study(directory):
        return {directory.name: directory}
    found = {}
    for folder in sorted(directory.glob("*/")):
        if _is_study(folder):
            found[folder.name] = folder
    for folder in sorted(directory.glob("cells/*/*/")):
        if _is_study(folder):
            found[folder.parent.name] = folder
    return found


def _is_study(folder: Path) -> bool:
    """Whether the runner made this folder: it has a configuration, and cells or their list."""
    if (folder / "run.json").exists() or not (folder / "config.json").exists():
        return False
    config = read_object(folder / "config.json", []) or {}
    begun = "model_fingerprint" in config or (folder / "progress.json").exists()
    return begun or any(CELL.fullmatch(p.name) for p in folder.iterdir())


def _study(name: str, folder: Path, problems: list[str]) -> dict[str, Any]:
    """`state` is "finished", "running", "stopped" (resume it) or "damaged"; times in seconds."""
    before = len(problems)
    config = read_object(folder / "config.json", problems)
    labels = _labels(folder / "progress.json", problems)
    names = (
        {p.name for p in folder.iterdir() if CELL.fullmatch(p.name)}
        if labels is None
        else {f"{label}.json" for label in labels}
    )
    good = [folder / n for n in sorted(names) if _is_good(folder / n, config, problems)]
    locks = sorted(folder.glob(".*.lock"))
    held = [(p.name[1:-5], who) for p in locks if (who := holder(p)) is not None]
    total = None if labels is None else len(labels)
    finished = total is not None and len(good) == total
    damaged = len(problems) > before
    started, times = _written(folder / "config.json"), sorted(map(_written, good))
    last = time.time() if held else (times[-1] if times else started)
    state = "running" if held else "damaged" if damaged else "finished" if finished else "stopped"
    return {
        "name": name,
        "study": folder.name,
        "alpha": alpha if isinstance(alpha := (config or {}).get("alpha"), float) else None,
        "cells_done": len(good),
        "cells_total": total,
        "state": state,
        "running": [{"cell": cell} | who for cell, who in held],
        "elapsed": max(last - started, 0.0),
        "seconds_left": _left(started, times, total),
        "last_written": times[-1] if times else None,
    }


def _labels(path: Path, problems: list[str]) -> list[str] | None:
    """The names of the cells there are to be; None if they are not known."""
    progress = read_object(path, problems)
    if progress is None:
        return None
    labels = progress.get("cells")
    named = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not named or not all(CELL.fullmatch(f"{label}.json") for label in labels or ()):
        problems.append(f"{path} is unreadable (no list of cells)")
        return None
    return list(dict.fromkeys(labels or ()))


def _is_good(path: Path, config: dict[str, Any] | None, problems: list[str]) -> bool:
    """Whether a cell is there and whole, as far as that is known without its configuration."""
    if config is None:
        return read_object(path, problems) is not None
    try:
        return read_cell(path, config) is not None
    except ValueError as error:
        problems.append(str(error))
        return False


def _written(path: Path) -> float:
    """When a file was written; now if it has just gone."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return time.time()


def _left(started: float, times: list[float], total: int | None) -> float | None:
    """Seconds left at the median pace of the finished cells; None if that is not known.

    The median of the times between cells, not their mean: a run that was stopped for a night has
    one long time among them. The first is left out if there are others: it holds the compilation.
    """
    if total is None:
        return None
    if len(times) >= total:
        return 0.0
    if not times:
        return None
    gaps = [b - a for a, b in itertools.pairwise(times)] or [times[0] - started]
    return max(statistics.median(gaps), 0.0) * (total - len(times))


def _not_started(name: str) -> dict[str, Any]:
    return {
        "name": name, "study": None, "alpha": None, "cells_done": 0, "cells_total": None,
        "state": "not started", "running": [], "elapsed": 0.0, "seconds_left": None,
        "last_written": None,
    }  # fmt: skip


def _results(directory: Path, problems: list[str]) -> dict[str, Any] | None:
    """The verdicts in results.json."""
    path = directory / "results.json"
    record = read_object(path, problems)
    if record is None:
        return None
    try:
        verdicts = [
            {
                "study": name,
                "label": str(run.get("label", "")),
                "holds": h if (h := run.get("holds", "")) in (True, False, None) else "",
                "verdict": str(run["verdict"]),
            }
            for name, run in runs_of(record)
        ]
        trained = record.get("training") is not None
    except (KeyError, TypeError, AttributeError):
        problems.append(f"{path} is no record of `stablesde check`")
        return None
    return {"written": path.stat().st_mtime, "verdicts": verdicts, "training": trained}


def runs_of(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(study, its record) of all runs in a results.json, or of the record of a single study.

    Raises `KeyError`, `TypeError` or `AttributeError` if it is neither.
    """
    if "studies" not in record:
        return [(str(record["name"]), record)]
    return [
        (name, {"versions": group.get("versions"), **run})
        for name, group in record["studies"].items()
        for run in group["runs"]
    ]


def run_name(study: str, label: str) -> str:
    """The name of the files of one case of a study, as `stablesde check` calls them."""
    name = f"{study}-{label}".replace("_", "-").replace(", α = ", "-").replace(", ", "-")
    return name.replace("ö", "oe").replace(" ", "-").replace("/", "-")


def as_text(state: dict[str, Any]) -> str:
    """The status as people read it."""
    run = state["run"] or {}
    settings = ", ".join(f"{k} {v}" for k, v in run.items())
    who = state["at_work"]
    lines = [f"{state['directory']}: {state['kind']}{f' ({settings})' if settings else ''}"]
    if who is not None:
        lines[0] += f"; at work: {_person(who)}"
    if state["studies"]:
        lines += ["", _table(state["studies"]), "", _total(state)]
    results = state["results"]
    if results is not None:
        lines += ["", f"results.json, written {_ago(results['written'])}:"]
        for v in results["verdicts"]:
            head = ", ".join(part for part in (v["study"].replace("_", " "), v["label"]) if part)
            holds = f"{_HOLDS[v['holds']]} — " if v["holds"] in _HOLDS else ""
            lines.append(f"  {head}: {holds}{v['verdict']}")
        if results["training"] or state["training_planned"]:
            lines.append(f"  training: {'there' if results['training'] else 'not there yet'}")
        newest = max((r["last_written"] or 0 for r in state["studies"]), default=0)
        if newest > results["written"]:
            lines.append("  There are newer cells: it will be written again when they are done.")
    elif state["kind"] == "check":
        lines += ["", "results.json is not there yet: it is written when all studies are done."]
    lines += [f"PROBLEM  {problem}" for problem in state["problems"]]
    # What JSON can hold, half of a surrogate pair, no terminal and no file can.
    return "\n".join(lines).encode("utf-8", "replace").decode()


def _table(rows: list[dict[str, Any]]) -> str:
    table = [["study", "cells", "state", "elapsed", "left", "running now"]]
    for row in rows:
        total = "?" if row["cells_total"] is None else row["cells_total"]
        left = row["seconds_left"]
        running = "; ".join(f"{r['cell']}: {_person(r)}" for r in row["running"])
        table.append([
            row["name"], f"{row['cells_done']}/{total}", row["state"],
            duration(row["elapsed"]) if row["elapsed"] else "—",
            "?" if left is None else duration(left) if left else "—", running,
        ])  # fmt: skip
    return format_rows(table)


def _total(state: dict[str, Any]) -> str:
    total, left = state["cells_total"], state["seconds_left"]
    cells = f"{state['cells_done']} of {'?' if total is None else total} cells"
    if left == 0:
        return f"{cells}: all are finished"
    if left is not None:
        return f"{cells}, about {duration(left)} left"
    known = sum(r["seconds_left"] or 0 for r in state["studies"])
    if not known:
        return f"{cells}, the time left is not known yet"
    return f"{cells}, about {duration(known)} left in the studies whose pace is known"


def _person(who: dict[str, Any]) -> str:
    if "pid" not in who:
        return "a process"
    return f"process {who['pid']} on {who.get('host', '?')}, since {_ago(who.get('since'))}"


def _ago(when: Any) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def duration(seconds: float) -> str:
    """Two units at most: 7 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
