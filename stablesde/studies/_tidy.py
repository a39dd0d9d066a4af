"""Records as long tables, one measured number a row, which data-frame libraries read."""

import csv
import html
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stablesde._frames import data_frame
from stablesde._records import JsonRecord
from stablesde.store import as_path, write_atomically

if TYPE_CHECKING:
    from pandas import DataFrame

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


class StudyRecord(JsonRecord):
    """What all studies have: a claim, a verdict and a table, which notebooks show."""

    claim: str
    verdict: property
    table: Callable[[], str]

    def _repr_html_(self) -> str:
        claim, verdict, table = map(html.escape, (self.claim, str(self.verdict), self.table()))
        return f"<p><b>{claim}</b></p><p>{verdict}</p><pre>{table}</pre>"


class TidyRecord(StudyRecord):
    """A record of errors, or norms, on a grid: the columns of `tidy_rows`."""

    def to_frame(self, summary: bool = False) -> "DataFrame":
        """The record as a long table: a row for each replica, or with `summary` each grid point.

        **Returns:** a pandas `DataFrame`, whose columns docs/running.md describes. **Raises:**
        `ImportError` without pandas, an extra (`pip install "stablesde[pandas]"`).
        """
        rows = summary_rows if summary else tidy_rows
        return data_frame(rows(self.to_dict()))


class CellRecord(StudyRecord):
    """A record whose summaries are not locations of an error, so that it has columns of its own."""

    def to_frame(self) -> "DataFrame":
        """The grid points of the record, one row each: the `cells` of `to_dict()`.

        **Returns:** a pandas `DataFrame`. **Raises:** `ImportError` without pandas, an extra
        (`pip install "stablesde[pandas]"`).
        """
        return data_frame(self.to_dict()["cells"])


def tidy_rows(record: Mapping[str, Any]) -> list[Row]:
    """One row for each study, case, measure, grid point and replica: the long format.

    **Arguments:** `record`, the data of a study (`study.to_dict()`, or what `save` wrote) or of
    `stablesde check` (results.json).

    **Returns:** dictionaries with the keys `TIDY_COLUMNS`; None where a column does not apply.
    `value` is the error of the replica. For a tail study, which has no replicas, it is the norm
    that the fraction `exceedance` of all columns exceeds. `case` is the label in results.json.
    **Raises:** `ValueError` if that is no such record.
    """
    rows = []
    for point, cell, values in _points(record):
        if values is None:
            rows.append(point | {"replica": None, "value": cell.get("norm")})
        else:
            rows += [point | {"replica": i, "value": v} for i, v in enumerate(values)]
    return [{column: row.get(column) for column in TIDY_COLUMNS} for row in rows]


def summary_rows(record: Mapping[str, Any]) -> list[Row]:
    """One row for each study, case, measure and grid point: locations, interval and bounds.

    Arguments as for `tidy_rows`. `lower` and `upper` are the interval of the location
    `interval_of`. A tail study has its norm under `median`.

    **Returns:** dictionaries with the keys `SUMMARY_COLUMNS`. **Raises:** as `tidy_rows`.
    """
    rows = []
    for point, cell, values in _points(record):
        told = {"median": cell.get("norm"), "replicas": None} if values is None else dict(cell)
        row = told | point
        rows.append({column: row.get(column) for column in SUMMARY_COLUMNS})
    return rows


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with the same keys as CSV, atomically: UTF-8, floats exact, None empty.

    **Raises:** `ValueError` for a `path` that is none or rows with different keys; `OSError` where
    the file cannot be written; it names the folder of a full disk.
    """
    path = as_path("path", path)
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(rows[0]) if rows else list(TIDY_COLUMNS), lineterminator="\n"
    )
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows must have the same keys.")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8", "replace"))


def _points(record: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Any], Any]]:
    """Of each grid point: the columns it has, its cell, its replicas (None of a tail study)."""
    for run in _runs(record):
        try:
            config, cells, errors = run["config"], run["cells"], run.get("errors")
            head = {"study": run["name"], "case": run.get("label"), "measure": "norm"}
            head |= {k: config.get(k) for k in _SETTINGS}
            columns = {
                measure: iter(np.asarray(values, float).reshape(len(values), -1).T.tolist())
                for measure, values in (errors or {}).items()
            }
            for cell in cells:
                point = head | {k: cell[k] for k in POINT_COLUMNS if k in cell}
                yield point, cell, None if errors is None else next(columns[point["measure"]])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no record of a study (missing or wrong: {error}).") from None


def _runs(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    try:
        if "studies" not in record:
            return [{**record}]
        return [run for group in record["studies"].values() for run in group["runs"]]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("this is no record of a study, or of `stablesde check`.") from None


__all__ = ["SUMMARY_COLUMNS", "TIDY_COLUMNS", "summary_rows", "tidy_rows", "write_csv"]
