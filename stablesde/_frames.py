"""pandas data frames of results. pandas is an extra, and is imported when a frame is asked for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stablesde._extras import MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame


def data_frame(rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> "DataFrame":
    """A frame of columns, or of rows with the same keys. Raises `ImportError` without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("a data frame", "pandas", "pandas") from error
    return pandas.DataFrame(rows)


def long_columns(values: dict[str, Any], **axes: Any) -> dict[str, np.ndarray]:
    """Columns with one row for each entry of the arrays `values`, whose axes have these labels.

    Raises `ValueError` for arrays with other axes, as the results of `vmap` have.
    """
    arrays = {name: np.asarray(value) for name, value in values.items()}
    labels = {name: np.asarray(label) for name, label in axes.items()}
    expected = tuple(len(label) for label in labels.values()) if _flat(labels) else None
    for array in arrays.values():
        if array.shape != expected:
            raise ValueError(
                f"a frame is of one run, and this is an array of shape {array.shape}: take one run "
                "of the batch first, as in jax.tree.map(lambda a: a[0], result)."
            )
    grid = np.meshgrid(*labels.values(), indexing="ij")
    columns = {name: g.reshape(-1) for name, g in zip(labels, grid, strict=True)}
    return columns | {name: array.reshape(-1) for name, array in arrays.items()}


def _flat(labels: dict[str, np.ndarray]) -> bool:
    return all(label.ndim == 1 for label in labels.values())


__all__ = ["data_frame", "long_columns"]
