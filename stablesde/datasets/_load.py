"""`load`: a data set by name, normalised as the paper does."""

from pathlib import Path

import numpy as np

from stablesde._arguments import as_count
from stablesde.datasets._files import arrays
from stablesde.datasets._record import Dataset
from stablesde.datasets._teacher import teacher
from stablesde.store import as_path

NAMES = ("ecg5000", "mnist", "cifar10", "digits", "teacher")
# Per-channel statistics of the full training sets, pixels in [0, 1].
_MNIST_SCALE = (0.1307, 0.3081)
_CIFAR_SCALE = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_DIGITS_TRAIN = 1200


def load(name: str, root: str | Path | None = None, *, num_classes: int = 2) -> Dataset:
    """Loads a data set.

    | name | what | inputs |
    |---|---|---|
    | `"ecg5000"` | 500 training and 4500 test heartbeats | 140 z-normalised samples |
    | `"mnist"` | 60000 / 10000 digits | 784 pixels, mean 0.1307, std 0.3081 taken out |
    | `"cifar10"` | 10000 / 1000 images (`cifar10_10k.npz`; all by download) | 3072 |
    | `"digits"` | scikit-learn's digits, 1200 / 597; no file needed | 64 pixels, mean 0, std 1 |
    | `"teacher"` | a synthetic network's labels, see `teacher`; needs no file | 2 numbers |

    **Arguments:** `name`; `root`, a directory that holds the archive (default: `$STABLESDE_DATA`,
    then `../shared/data`, then a checksummed download into the user's cache); `num_classes`,
    for ecg5000: 2 (normal or not, as in the paper) or 5.

    **Returns:** a `Dataset`: float32 inputs (N, d), integer labels from 0.

    **Raises:** `ValueError` for an unknown name, or for a file that is damaged or cannot be read;
    `FileNotFoundError` where the data cannot be had; `ImportError` if they would have to be
    downloaded and the extra `data` is not installed. All say what to do.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"name: unknown data set {name!r}; known are {', '.join(NAMES)}.")
    num_classes = as_count("num_classes", num_classes)
    root = None if root is None else as_path("root", root)
    if name == "teacher":
        return teacher()
    if name == "digits":
        return _digits()
    if name == "ecg5000" and num_classes not in (2, 5):
        raise ValueError(f"num_classes must be 2 or 5 for ecg5000, got {num_classes!r}.")
    raw, source = arrays(name, root)
    try:
        return _normalised(name, raw, source, num_classes)
    except (KeyError, ValueError, TypeError) as error:
        missing = f"it has no array {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{source}: {missing} Replace this file.") from error


def _normalised(name: str, raw: dict[str, np.ndarray], source: str, num_classes: int) -> Dataset:
    x = {part: _inputs(raw, f"x_{part}") for part in ("train", "test")}
    y = {part: _labels(raw, f"y_{part}") for part in ("train", "test")}
    if name == "ecg5000":
        # All five classes are checked before they are joined.
        five = _dataset(name, {p: _flat(v) for p, v in x.items()}, y, 5, source)
        if num_classes == 5:
            return five
        y = {part: (v > 0).astype(np.int32) for part, v in y.items()}
        return _dataset(name, {"train": five.x_train, "test": five.x_test}, y, 2, source)
    mean, std = np.asarray(_MNIST_SCALE if name == "mnist" else _CIFAR_SCALE, np.float32)
    scaled = {part: _flat((v / np.float32(255) - mean) / std) for part, v in x.items()}
    return _dataset(name, scaled, y, 10, source)


def _dataset(
    name: str, x: dict[str, np.ndarray], y: dict[str, np.ndarray], classes: int, source: str
) -> Dataset:
    return Dataset(
        name=name,
        x_train=x["train"],
        y_train=y["train"],
        x_test=x["test"],
        y_test=y["test"],
        num_classes=classes,
        source=source,
    )


def _inputs(raw: dict[str, np.ndarray], key: str) -> np.ndarray:
    x = raw[key]
    if x.dtype.kind not in "fiu" or x.ndim < 2 or x.size == 0:
        raise ValueError(f"{key} holds {x.dtype} of shape {x.shape}, not numbers, an input a row.")
    return x


def _labels(raw: dict[str, np.ndarray], key: str) -> np.ndarray:
    y = raw[key]
    if y.dtype.kind not in "iu":
        raise ValueError(f"{key} holds {y.dtype}, not integer labels.")
    return y.astype(np.int64)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


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
