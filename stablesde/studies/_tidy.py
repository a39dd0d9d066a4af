"""Records as long tables, one measured number a row, which data-frame libraries read."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stablesde._storage import as_path, write_atomically

# The columns that tell which run and which grid point a row is of: the same in both tables.
POINT_COLUMNS = ("study", "case", "model", "noise", "alpha", "dim", "t1", "sigma", "dtype",
                 "measure", "width", "step", "kappa", "exceedance")  # fmt: skip
TIDY_COLUMNS = (*POINT_COLUMNS, "replica", "value")
SUMMARY_COLUMNS = (
    *POINT_COLUMNS, "replicas", "mean", "median", "trimmed", "geometric", "interval_of", "level",
    "lower", "upper", "paper_bound", "gronwall_bound", "jump_bound", "trivial_bound",
)  # fmt: skip
_SETTINGS = ("model", "noise", "alpha", "dim", "t1", "sigma", "dtype")

Row = dict[str, Any]


def tidy_rows(record: Mapping[str, Any]) -> list[Row]:
    """One row for each study, case, measure, grid point and replica: the long format.

    **Arguments:** `record`, of a study (`study.to_dict()`, or what `to_json` wrote) or of
    `stablesde check` (results.json).

    **Returns:** dictionaries with the keys `TIDY_COLUMNS`; None where a column does not apply.
    `value` is the error of the replica. For a tail study, which has no replicas, it is the norm
    that the fraction `exceedance` of all columns exceeds. `case` is the label in results.json.
    **Raises:** `ValueError` if that is no such record.
    """
    rows = []
    for point, cell in _points(record):
        if "replicas" in cell:
            rows += [
                point | {"replica": i, "value": value} for i, value in enumerate(cell["replicas"])
            ]
        else:
            rows.append(point | {"replica": None, "value": cell.get("norm")})
    return [{column: row.get(column) for column in TIDY_COLUMNS} for row in rows]


def summary_rows(record: Mapping[str, Any]) -> list[Row]:
    """One row for each study, case, measure and grid point: locations, interval and bounds.

    Arguments as for `tidy_rows`. `lower` and `upper` are the interval of the location
    `interval_of`. A tail study has its norm under `median`.

    **Returns:** dictionaries with the keys `SUMMARY_COLUMNS`. **Raises:** as `tidy_rows`.
    """
    rows = []
    for point, cell in _points(record):
        replicas = cell.get("replicas")
        summary = {k: cell[k] for k in SUMMARY_COLUMNS if k in cell and k != "replicas"}
        if replicas is None:
            summary = {"median": cell.get("norm")}
        count = None if replicas is None else len(replicas)
        row = point | summary | {"replicas": count}
        rows.append({column: row.get(column) for column in SUMMARY_COLUMNS})
    return rows


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with the same keys as CSV, atomically: UTF-8, floats exact, None empty.

    **Raises:** `ValueError` for a `path` that is none or rows with different keys; `OSError` where
    the file cannot be written; it names the folder of a full disk.
    """
    path = as_path("path", path)
    if not _same_keys(rows):
        raise ValueError("rows must be a list of dictionaries that have the same keys, all text.")
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(rows[0]) if rows else list(TIDY_COLUMNS), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8", "replace"))


def _same_keys(rows: Any) -> bool:
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, Mapping) for row in rows):
        return False
    return all(
        row.keys() == rows[0].keys() and all(isinstance(k, str) for k in row) for row in rows
    )


def _points(record: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """(the columns that a grid point has, its cell) of all studies in a record."""
    for run in _runs(record):
        try:
            config, name, cells = run["config"], run["name"], run["cells"]
            head = {"study": name, "case": run.get("label")}
            head |= {k: config.get(k) for k in _SETTINGS}
            for cell in cells:
                if not isinstance(cell.get("replicas", []), (list, tuple)):
                    raise TypeError(f"replicas {cell['replicas']!r}")
                point = {k: cell[k] for k in POINT_COLUMNS if k in cell}
                yield {"measure": "norm"} | head | point, cell
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no record of a study (missing or wrong: {error}).") from None


def _runs(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not isinstance(record, Mapping):
        raise ValueError(f"a record is a dictionary, got {type(record).__name__}.")
    if "studies" not in record:
        return [record]
    try:
        return [run for group in record["studies"].values() for run in group["runs"]]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("this is no record of `stablesde check`: no runs in `studies`.") from None


__all__ = ["SUMMARY_COLUMNS", "TIDY_COLUMNS", "summary_rows", "tidy_rows", "write_csv"]
