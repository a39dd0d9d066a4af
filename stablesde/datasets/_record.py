"""The record that every loader returns."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """A classification data set, ready for training.

    - `x_train` (N, d), `x_test` (M, d): float32 inputs, flattened and normalised.
    - `y_train` (N,), `y_test` (M,): int32 class numbers from 0.
    - `num_classes`; `name`; `source`: where the numbers came from.

    **Raises:** `ValueError` for inputs and labels of different length or non-finite inputs.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    source: str = ""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if len(x) != len(y):
                raise ValueError(
                    f"{self.name}: x_{part} and y_{part} have different lengths, "
                    f"{len(x)} and {len(y)}."
                )
            if not np.all(np.isfinite(x)):
                raise ValueError(f"{self.name}: x_{part} holds NaN or infinite values.")

    @property
    def dim(self) -> int:
        """Length d of one input."""
        return int(self.x_train.shape[1])

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name}: {len(self.x_train)} training and {len(self.x_test)} test "
            f"inputs of length {self.dim}, {self.num_classes} classes)"
        )
