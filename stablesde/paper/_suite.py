"""Settings of the paper's tables, and their seeds as cells of a run directory.

A folder per setting, a cell per seed: tables that share a setting (the noiseless rows, the vanilla
controls) share its cells.
"""

import dataclasses
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from stablesde._fingerprint import fingerprint
from stablesde._version import __version__
from stablesde.datasets import Dataset
from stablesde.paper._presets import Preset, paper_tables
from stablesde.paper._train import DivergedError, fit, measured
from stablesde.store import Store, check_writable
from stablesde.studies._runner import run_cells
from stablesde.training._curve import FRACTIONS, pruning_curve

Cell = dict[str, np.ndarray]
# Where long trainings keep their state while their cell is computed.
_UNFINISHED = "unfinished"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What one cell needs but for its seed. `alpha` is None without noise."""

    dataset: str
    width: int
    noise: str
    alpha: float | None
    preset: Preset

    @property
    def name(self) -> str:
        """A folder name with every number in it: other settings, another folder."""
        p = self.preset
        parts = [self.dataset, f"n{self.width}", self.noise]
        if self.noise != "none":
            parts += [f"a{self.alpha!r}", f"s{p.sigma!r}"]
        parts += [f"e{p.learning_rate!r}", f"k{p.steps}"]
        if p.batch_size is not None:
            parts.append(f"b{p.batch_size}")
        if p.until_accuracy is not None:
            parts.append(f"t{p.until_accuracy!r}")
        return "-".join(parts)

    @property
    def fractions(self) -> tuple[float, ...]:
        """Where the pruning curve is evaluated: every percent, and the ratios of Tables 17–19."""
        return tuple(sorted({*FRACTIONS, *control_ratios(self.dataset)}))

    def config(self) -> dict[str, Any]:
        """All that the numbers depend on but for the data and the dtype."""
        fields = dataclasses.asdict(self.preset)
        if self.noise == "none":
            fields["sigma"] = 0.0
        return {
            "kind": "training",
            "version": __version__,
            "dataset": self.dataset,
            "width": self.width,
            "noise": self.noise,
            "alpha": self.alpha,
            "fractions": list(self.fractions),
            **fields,
        }


def control_ratios(dataset: str) -> tuple[float, ...]:
    """The fractions at which the paper prunes noiseless networks (its Tables 17–19)."""
    tables = [t for t in paper_tables()["tables"].values() if is_control(t)]
    return tuple(float(r) / 100 for t in tables if t["dataset"] == dataset for r in t["rows"])


def is_control(table: dict[str, Any]) -> bool:
    """Whether a table's rows are pruning ratios of noiseless networks."""
    return table["noise"] == "none"


def compute(setting: Setting, seeds: Sequence[int], data: Dataset, out: Path) -> list[Cell]:
    """The cells of a setting, one per seed: read back, or computed and written.

    A seed that diverges is a cell, too: it holds `diverged` alone.

    **Raises:** `ValueError` if the folder was written with other data or by another version.
    """
    config = setting.config() | {
        "data": fingerprint((data.x_train, data.y_train, data.x_test, data.y_test)),
        "inputs": [len(data.x_train), len(data.x_test)],
        "dtype": str(jnp.zeros(0).dtype),
    }

    def cell(seed: int) -> Cell:
        folder = out / _UNFINISHED / setting.name / label(seed)
        found = _measure(setting, seed, data, folder)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # others' trainings are in there
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
        return found

    cells = [(label(s), lambda s=s: cell(s)) for s in seeds]
    return run_cells(setting.name, config, cells, out)


def check_places(settings: Sequence[Setting], seeds: Sequence[int], out: Path) -> None:
    """Raises `OSError` before hours of training if a cell that is missing could not be written."""
    for folder in (out / setting.name for setting in settings):
        cells = [folder / f"{label(seed)}.npz" for seed in seeds]
        for path in [cell for cell in cells if not os.path.lexists(cell)][:1]:
            check_writable(path)


def label(seed: int) -> str:
    """The name of a seed's cell."""
    return f"seed-{seed:05d}"


def _measure(setting: Setting, seed: int, data: Dataset, folder: Path) -> Cell:
    try:
        network, steps = fit(
            data,
            setting.width,
            setting.noise,
            setting.alpha or 2.0,
            setting.preset,
            seed,
            run_dir=folder,
        )
    except DivergedError as error:
        warnings.warn(str(error), stacklevel=2)
        return {"diverged": np.ones(())}
    curve = pruning_curve(network, data, setting.fractions)
    numbers = measured(network, data) | {"steps_taken": float(steps)}
    return {k: np.asarray(v) for k, v in numbers.items()} | {
        "curve_train_accuracy": np.asarray(curve.train_accuracy),
        "curve_test_accuracy": np.asarray(curve.test_accuracy),
        "curve_error": np.asarray(curve.error),
    }


def stored(
    setting: Setting, seeds: Sequence[int], out: Path
) -> tuple[dict[int, Cell], dict[str, Any]]:
    """The cells that are there, by seed, and the configuration they were computed with.

    **Raises:** `ValueError` if they are damaged, or were computed with other settings.
    """
    folder = out / setting.name
    try:
        store = Store.opened(folder, "trainings", "delete it and compute the table (--run)")
    except FileNotFoundError:
        return {}, {}
    expected = json.loads(json.dumps(setting.config()))
    other = sorted(k for k, v in expected.items() if store.config.get(k) != v)
    if other:
        raise ValueError(
            f"{folder} was computed with other settings (different: {', '.join(other)}): delete it "
            "to compute it anew, or choose another --out."
        )
    found = {seed: store.get(label(seed)) for seed in seeds}
    return {seed: cell for seed, cell in found.items() if cell is not None}, store.config
