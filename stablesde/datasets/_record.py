"""The record that every loader returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """A classification data set, ready for training.

    - `x_train` (N, d), `x_test` (M, d): inputs, flattened and normalised; kept as float32.
    - `y_train` (N,), `y_test` (M,): whole class numbers 0, …, num_classes - 1; kept as int32.
    - `num_classes`; `name`; `source`: where the numbers came from.

    **Raises:** `ValueError` for other shapes, an empty part, inputs and labels of different length,
    test inputs of another length than the training inputs, non-finite inputs, or labels that are
    not integers from 0 to `num_classes` - 1.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str = ""

    def __post_init__(self) -> None:
        classes = self.num_classes
        if not isinstance(classes, (int, np.integer)) or isinstance(classes, bool) or classes < 1:
            raise ValueError(
                f"{self.name}: num_classes must be a positive integer, got {classes!r}."
            )
        for part in ("train", "test"):
            x = self._inputs(f"x_{part}")
            y = self._labels(f"y_{part}")
            if len(x) != len(y):
                raise ValueError(
                    f"{self.name}: x_{part} and y_{part} have different lengths, "
                    f"{len(x)} and {len(y)}."
                )
            object.__setattr__(self, f"x_{part}", x)
            object.__setattr__(self, f"y_{part}", y)
        if self.x_test.shape[1] != self.dim:
            raise ValueError(
                f"{self.name}: inputs of x_test have length {self.x_test.shape[1]}, those of "
                f"x_train {self.dim}."
            )

    def _inputs(self, name: str) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):  # what passes float32 is reported below
                x = np.asarray(getattr(self, name), np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{self.name}: {name} must be an array of numbers ({error})."
            ) from None
        if x.ndim != 2 or x.size == 0:
            raise ValueError(
                f"{self.name}: {name} must have shape (N, d) with N, d ≥ 1, got {x.shape}; flatten "
                "inputs with x.reshape(len(x), -1)."
            )
        if not np.all(np.isfinite(x)):
            raise ValueError(f"{self.name}: {name} holds NaN or infinite values.")
        return x

    def _labels(self, name: str) -> np.ndarray:
        y = np.asarray(getattr(self, name))
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise ValueError(
                f"{self.name}: {name} must hold integer labels, shape (N,), got {y.dtype} of shape "
                f"{y.shape}; convert whole numbers with y.astype(int)."
            )
        if y.size and not 0 <= y.min() <= y.max() < self.num_classes:
            raise ValueError(
                f"{self.name}: labels in {name} must lie in 0, …, {self.num_classes - 1} "
                f"(num_classes={self.num_classes}), got {y.min()} to {y.max()}."
            )
        return y.astype(np.int32)

    @property
    def dim(self) -> int:
        """Length d of one input."""
        return int(self.x_train.shape[1])

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name}: {len(self.x_train)} training and {len(self.x_test)} test "
            f"inputs of length {self.dim}, {self.num_classes} classes)"
        )
