"""Where runs stand: cells done of how many, who is at work, how long it will take.

Reads files only: no device is touched, so that it is safe beside a run.
"""

import itertools
import json
import os
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stablesde.store import holder
from stablesde.studies._format import format_rows
from stablesde.studies._runner import PLAN

# How far below the directory a study may be: SIZE/cells/CASE/STUDY/ in the --out of `check`.
_DEPTH = 4


def status(directory: Path) -> dict[str, Any]:
    """The studies and trainings below a directory: a `run_dir`, or the `--out` of a command.

    **Returns:** JSON data: `studies`, a row each (`cells_total` and `seconds_left` are null where
    they are not known), and their sums. **Raises:** `ValueError` if there is none.
    """
    found = [p for depth in range(_DEPTH + 1) for p in directory.glob("*/" * depth + PLAN)]
    rows = [_row(directory, plan) for plan in sorted(found)]
    if not rows:
        raise ValueError(
            f"the directory {directory} holds no run: give the --out of `stablesde check` or the "
            "run_dir of a study."
        )
    totals, lefts = [r["cells_total"] for r in rows], [r["seconds_left"] for r in rows]
    return {
        "directory": str(directory),
        "studies": rows,
        "cells_done": sum(r["cells_done"] for r in rows),
        "cells_total": None if None in totals else sum(totals),
        "seconds_left": None if None in lefts else sum(lefts),
    }


def _row(directory: Path, plan: Path) -> dict[str, Any]:
    folder, cells = plan.parent, None
    with suppress(OSError, ValueError, RecursionError):
        cells = json.loads(plan.read_bytes())
    if not isinstance(cells, list) or not all(isinstance(c, str) for c in cells):
        cells = None
    files = folder.glob("*.npz") if cells is None else (folder / f"{c}.npz" for c in cells)
    times = sorted(t for t in map(_written, files) if t is not None)
    total = None if cells is None else len(cells)
    running = []
    with suppress(OSError):  # a folder that we may only read
        names = [p.name[1 : -len(".who")] for p in sorted(folder.glob(".*.who"))]
        running = [{"cell": n} | who for n in names if (who := holder(folder, n)) is not None]
    state = "finished" if len(times) == total else "running" if running else "stopped"
    return {
        "name": str(folder.relative_to(directory)) if folder != directory else folder.name,
        "cells_done": len(times),
        "cells_total": total,
        "state": state,
        "running": running,
        "seconds_left": _left(_written(folder / "config.json"), times, total),
    }


def _written(path: Path) -> float | None:
    """When a file was written; None if it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def _left(started: float | None, times: list[float], total: int | None) -> float | None:
    """Seconds left at the median pace of the finished cells; None if that is not known.

    The median of the times between cells, not their mean: a run that was stopped for a night has
    one long time among them. The first is left out if there are others: it holds the compilation.
    """
    if total is not None and len(times) >= total:
        return 0.0
    if total is None or not times:
        return None
    gaps = [b - a for a, b in itertools.pairwise(times)] or [times[0] - (started or times[0])]
    return max(statistics.median(gaps), 0.0) * (total - len(times))


def as_text(state: dict[str, Any]) -> str:
    """The status as people read it."""
    table = [["study", "cells", "state", "left", "at work"]]
    for row in state["studies"]:
        left = row["seconds_left"]
        table.append(
            [
                row["name"],
                f"{row['cells_done']}/{_known(row['cells_total'])}",
                row["state"],
                "?" if left is None else duration(left) if left else "—",
                "; ".join(f"{who['cell']}: {_person(who)}" for who in row["running"]),
            ]
        )
    left = state["seconds_left"]
    told = "the time left is not known" if left is None else f"about {duration(left)} left"
    done = f"{state['cells_done']} of {_known(state['cells_total'])} cells"
    return f"{format_rows(table)}\n\n{done}, {told if left != 0 else 'all are finished'}"


def _known(total: int | None) -> str:
    return "?" if total is None else str(total)


def _person(who: dict[str, Any]) -> str:
    since = who.get("since")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)) if since else "?"
    return f"process {who.get('pid', '?')} on {who.get('host', '?')} since {when}"


def duration(seconds: float) -> str:
    """Two units at most: 7 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
