"""How the record of a study leaves the library: as JSON data, and as a pandas frame."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablesde._frames import data_frame
from stablesde._storage import as_path, write_json
from stablesde.studies._format import finite_json
from stablesde.studies._tidy import summary_rows, tidy_rows

if TYPE_CHECKING:
    from pandas import DataFrame


class JsonRecord:
    """A record that is JSON data."""

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON data."""
        raise NotImplementedError

    def to_json(self, path: str | Path) -> None:
        """Writes `to_dict()` to a file, atomically.

        **Raises:** `ValueError` for a `path` that is none, `OSError` where it cannot be written.
        """
        write_json(as_path("path", path), finite_json(self.to_dict()))


class TidyRecord(JsonRecord):
    """A record of errors, or norms, on a grid: the columns of `tidy_rows`."""

    def to_frame(self, summary: bool = False) -> "DataFrame":
        """The record as a long table: `ssd.studies.tidy_rows`, or with `summary` `summary_rows`.

        **Returns:** a pandas `DataFrame`, whose columns docs/running.md describes. **Raises:**
        `ImportError` without pandas, an extra (`pip install "stablesde[pandas]"`).
        """
        rows = summary_rows if summary else tidy_rows
        return data_frame(rows(self.to_dict()))


class CellRecord(JsonRecord):
    """A record whose summaries are not locations of an error, so that it has columns of its own."""

    def to_frame(self) -> "DataFrame":
        """The grid points of the record, one row each: the `cells` of `to_dict()`.

        **Returns:** a pandas `DataFrame`. **Raises:** `ImportError` without pandas, an extra
        (`pip install "stablesde[pandas]"`).
        """
        return data_frame(self.to_dict()["cells"])
