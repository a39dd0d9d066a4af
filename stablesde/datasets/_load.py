"""`load`: a data set by name, normalised as the paper does."""

from pathlib import Path

import numpy as np

from stablesde._arguments import as_count
from stablesde._storage import as_path
from stablesde.datasets._files import arrays
from stablesde.datasets._record import Dataset
from stablesde.datasets._teacher import teacher

NAMES = ("ecg5000", "mnist", "cifar10", "digits", "teacher")
# Per-channel statistics of the full training sets, pixels in [0, 1].
_MNIST_SCALE = (0.1307, 0.3081)
_CIFAR_SCALE = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_DIGITS_TRAIN = 1200


def load(name: str, root: str | Path | None = None, *, classes: int = 2) -> Dataset:
    """Loads a data set.

    | name | what | inputs |
    |---|---|---|
    | `"ecg5000"` | 500 training and 4500 test heartbeats | 140 z-normalised samples |
    | `"mnist"` | 60000 / 10000 digits | 784 pixels, mean 0.1307, std 0.3081 taken out |
    | `"cifar10"` | 10000 / 1000 images (`cifar10_10k.npz`; all by download) | 3072 |
    | `"digits"` | scikit-learn's digits, 1200 / 597; no file needed | 64 pixels, mean 0, std 1 |
    | `"teacher"` | a synthetic network's labels, see `teacher`; needs no file | 2 numbers |

    **Arguments:** `name`; `root`, a directory that holds the archive (default: `$STABLESDE_DATA`,
    then `../shared/data`, then a checksummed download into the user's cache); `classes`, for
    ecg5000: 2 (normal or not, as in the paper) or 5.

    **Returns:** a `Dataset`: float32 inputs (N, d), integer labels from 0.

    **Raises:** `ValueError` for an unknown name or a damaged file, `FileNotFoundError` where the
    data cannot be had; both say what to do.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"name: unknown data set {name!r}; known are {', '.join(NAMES)}.")
    classes = as_count("classes", classes)
    root = None if root is None else as_path("root", root)
    if name == "teacher":
        return teacher()
    if name == "digits":
        return _digits()
    raw, source = arrays(name, root)
    if name == "ecg5000":
        return _ecg5000(raw, source, classes)
    mean, std = np.asarray(_MNIST_SCALE if name == "mnist" else _CIFAR_SCALE, np.float32)
    scaled = {
        part: _flat((raw[f"x_{part}"] / np.float32(255) - mean) / std) for part in ("train", "test")
    }
    return Dataset(
        name=name,
        x_train=scaled["train"],
        y_train=raw["y_train"].astype(np.int32),
        x_test=scaled["test"],
        y_test=raw["y_test"].astype(np.int32),
        num_classes=10,
        source=source,
    )


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float32)


def _ecg5000(raw: dict[str, np.ndarray], source: str, classes: int) -> Dataset:
    if classes not in (2, 5):
        raise ValueError(f"classes must be 2 or 5 for ecg5000, got {classes!r}.")
    labels = {
        part: (raw[f"y_{part}"] > 0 if classes == 2 else raw[f"y_{part}"]).astype(np.int32)
        for part in ("train", "test")
    }
    return Dataset(
        name="ecg5000",
        x_train=_flat(raw["x_train"]),
        y_train=labels["train"],
        x_test=_flat(raw["x_test"]),
        y_test=labels["test"],
        num_classes=classes,
        source=source,
    )


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    # The file is in no particular order of writers; a fixed shuffle makes the split fair.
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order] / 16, y[order].astype(np.int32)
    mean, std = x[:_DIGITS_TRAIN].mean(), x[:_DIGITS_TRAIN].std()
    x = ((x - mean) / std).astype(np.float32)
    return Dataset(
        name="digits",
        x_train=x[:_DIGITS_TRAIN],
        y_train=y[:_DIGITS_TRAIN],
        x_test=x[_DIGITS_TRAIN:],
        y_test=y[_DIGITS_TRAIN:],
        num_classes=10,
        source="scikit-learn",
    )
