"""The paper's tables: ours beside the printed numbers."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stablesde._arguments import as_count, as_flag
from stablesde.datasets import Dataset, load
from stablesde.paper._prediction import PredictedRatio, predicted_ratio
from stablesde.paper._presets import Preset, paper_tables, preset
from stablesde.paper._suite import Cell, Setting, check_places, compute, is_control, stored
from stablesde.paper._train import MEASURED, Measured, format_measured
from stablesde.store import as_path
from stablesde.training._checks import check_count, check_data, choose_seeds

# Sizes of the full CIFAR-10; what is shipped is a tenth.
_CIFAR_INPUTS = [50_000, 10_000]
_INPUT_DIM = {"ecg5000": 140, "mnist": 784, "cifar10": 3072}
# Where ours is marked: accuracies, ratios whose paper's spread is not printed, and the spread.
_ACCURACY, _RATIO, _SPREADS = 0.01, 0.4, 2.0


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A row: the paper's `printed` numbers, and `ours` for the same quantities, seed by seed.

    `ratio` is the fraction of units at which a noiseless network is pruned (Tables 17–19).
    `seeds` are those that `ours` has, `missing` those it has not, `diverged` those whose weights
    did not stay finite; `steps_taken` and `inputs` (numbers of training and test inputs) belong to
    the cells. `predicted`, where asked for, is the law of the ratio of start and noise alone
    (see `predicted_ratio`).
    """

    label: str
    setting: Setting
    printed: dict[str, Any]
    ratio: float | None = None
    ours: dict[str, Measured] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    diverged: tuple[int, ...] = ()
    steps_taken: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()
    dtype: str | None = None
    predicted: PredictedRatio | None = None

    def __repr__(self) -> str:
        ratio = "" if self.ratio is None else f", {100 * self.ratio:g} % pruned"
        return f"TableRow({self.label!r}, {self.setting.name}{ratio}, {len(self.seeds)} seeds)"

    def differs(self, name: str) -> bool | None:
        """Whether our mean is off the paper's; None where one of the two is missing.

        Accuracies: by more than 0.01. Pruning ratios: by more than two of the paper's standard
        deviations, or 0.4 where none is printed.
        """
        if name not in self.ours or name not in self.printed:
            return None
        paper, allowed = self.printed[name], _ACCURACY
        if name == "pruning_ratio":
            spread = paper.get("std")
            allowed = _RATIO if spread is None else _SPREADS * spread
        return abs(self.ours[name].mean - paper["mean"]) > allowed + 1e-9

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "label": self.label,
            "config": self.setting.config() | {"fractions": None},
            "pruned_fraction": self.ratio,
            "paper": self.printed,
            "ours": {k: v.to_dict() for k, v in self.ours.items()},
            "differs": {k: self.differs(k) for k in self.ours},
            "seeds": list(self.seeds),
            "missing": list(self.missing),
            "diverged": list(self.diverged),
            "steps_taken": list(self.steps_taken),
            "inputs": list(self.inputs),
            "dtype": self.dtype,
            "predicted": None if self.predicted is None else self.predicted.to_dict(),
        }


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of the paper, `number`, with what a run directory holds for its rows.

    `overrides` are the settings that are not the paper's.
    """

    number: int
    dataset: str
    width: int
    noise: str
    rows: tuple[TableRow, ...]
    overrides: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every seed of every row is there."""
        return not any(row.missing for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "table": self.number,
            "dataset": self.dataset,
            "width": self.width,
            "noise": self.noise,
            "overrides": self.overrides,
            "complete": self.complete,
            "rows": [row.to_dict() for row in self.rows],
        }

    def __repr__(self) -> str:
        labels = ", ".join(row.label for row in self.rows)
        state = "complete" if self.complete else "not complete"
        return f"PaperTable({_headline(self)}; rows {labels}; {state})"

    def __str__(self) -> str:
        """Ours above the paper's, row by row; what is off is marked, what is missing is said."""
        return _text(self)


def paper_table(
    number: int,
    out: str | Path,
    *,
    run: bool = False,
    seeds: int | Sequence[int] = 5,
    only: Sequence[str] = (),
    data: Dataset | str | Path | None = None,
    width: int | None = None,
    sigma: float | None = None,
    learning_rate: float | None = None,
    steps: int | None = None,
    predict: int = 0,
) -> PaperTable:
    """Table `number` of the paper: ours, as far as `out` holds it, beside the printed numbers.

    Every seed of every row is a cell of the run directory `out`, written as it is done. Killed at
    any time, the same call goes on; a training that was under way goes on from its checkpoint. The
    numbers end up the same. Several processes may share `out`. Rows with the same settings share
    their cells, also those of other tables.

    **Arguments:**

    - `number`: 1–6 or 10–20. Tables 17–19 are the vanilla controls: noiseless networks pruned at
      the printed ratios. For Tables 6 and 20 (CIFAR-10) see `inputs` in the rows: what is shipped
      is a tenth of the data.
    - `run`: compute the cells that are missing; else only those that are there are shown.
    - `seeds`: how many, from 0 on, or which. `only`: labels of the rows to show and compute.
    - `data`: where the data are, the `root` of `stablesde.datasets.load`; or the data themselves,
      with the name of the table's data set.
    - `width`, `sigma`, `learning_rate`, `steps`: instead of the paper's (see `preset`).
      A width that does not fit raises `MemoryError`.
    - `predict`: beside each row, the pruning ratio of so many networks of start and noise alone
      (see `predicted_ratio`); a row that trains to an accuracy needs a cell, for its steps.

    **Returns:** a `PaperTable`; `print` shows it.

    **Raises:** `ValueError` for another table, a label that it has not, settings out of range, or
    an `out` that holds cells of other data or damaged ones; `OSError` where the data cannot be had
    (`FileNotFoundError`) or `out` cannot be written; both before anything is computed.
    """
    table, out, run = _table(number), as_path("out", out), as_flag("run", run)
    only = _labels(only)
    width = None if width is None else check_count("width", width)
    given: dict[str, Any] = {"sigma": sigma, "learning_rate": learning_rate, "steps": steps}
    given = {k: v for k, v in given.items() if v is not None}
    rows = [r for r in _rows(table, width, given) if not only or r.label in only]
    unknown = sorted(set(only) - set(table["rows"]))
    if unknown:
        raise ValueError(
            f"only: Table {number} has no row {', '.join(unknown)}; it has "
            f"{', '.join(table['rows'])}."
        )
    chosen, predict = choose_seeds(seeds), check_count("predict", predict, 0)
    if not (data is None or isinstance(data, (str, Path))):
        check_data("data", data)
        if data.name != table["dataset"]:
            raise ValueError(f"data: Table {number} is about {table['dataset']}, not {data.name}.")
    if run:
        data = data if isinstance(data, Dataset) else load(table["dataset"], data)
        settings = list(dict.fromkeys(row.setting for row in rows))
        check_places(settings, chosen, Path(out))
        for setting in settings:
            compute(setting, chosen, data, Path(out))
    filled = tuple(_predicted(_filled(row, chosen, Path(out)), predict) for row in rows)
    overrides = given | ({} if width is None else {"width": width})
    return PaperTable(
        number, table["dataset"], width or table["width"], table["noise"], filled, overrides
    )


def _labels(only: Sequence[str]) -> tuple[str, ...]:
    """Labels of rows. Raises `ValueError` unless they are strings in a list or tuple."""
    if not isinstance(only, (list, tuple)) or not all(isinstance(label, str) for label in only):
        raise ValueError(f"only must be a list of labels of rows, got {only!r}.")
    return tuple(only)


def _table(number: int) -> dict[str, Any]:
    tables = paper_tables()["tables"]
    number = as_count("number, of a table,", number, -(10**9))
    if number in (7, 8, 9):
        raise ValueError(
            f"number: Table {number} of the paper holds hyperparameters (see paper.preset), no "
            "results."
        )
    if str(number) not in tables:
        raise ValueError(f"number: there is no Table {number}; choose 1 to 6 or 10 to 20.")
    return tables[str(number)]


def _rows(table: dict[str, Any], width: int | None, given: dict[str, Any]) -> list[TableRow]:
    """The rows with their settings, nothing filled in."""
    rows, dataset = [], table["dataset"]
    n = table["width"] if width is None else width
    for label, printed in table["rows"].items():
        noise = "none" if label == "none" or is_control(table) else table["noise"]
        settings = dataclasses.replace(preset(dataset, n, noise), **given)
        alpha = None if noise == "none" else float(label)
        if "alpha" in table:  # the rows are noise levels
            if "sigma" in given:
                raise ValueError("the rows of this table are noise levels: sigma is given by them.")
            alpha, settings = table["alpha"], dataclasses.replace(settings, sigma=float(label))
        if noise == "none":
            settings = dataclasses.replace(settings, sigma=0.0)
        ratio = float(label) / 100 if is_control(table) else None
        rows.append(TableRow(label, Setting(dataset, n, noise, alpha, settings), printed, ratio))
    return rows


def _filled(row: TableRow, seeds: tuple[int, ...], out: Path) -> TableRow:
    cells, config = stored(row.setting, seeds, out)
    good = {seed: cell for seed, cell in cells.items() if "diverged" not in cell}
    return dataclasses.replace(
        row,
        ours=_ours(row, list(good.values())),
        seeds=tuple(good),
        missing=tuple(s for s in seeds if s not in cells),
        diverged=tuple(s for s in cells if s not in good),
        steps_taken=tuple(int(c["steps_taken"]) for c in good.values()),
        inputs=tuple(config.get("inputs", ())),
        dtype=config.get("dtype"),
    )


def _predicted(row: TableRow, networks: int) -> TableRow:
    """The row with its ratio as start and noise alone predict it, if they can."""
    setting, chosen = row.setting, row.setting.preset
    until = chosen.until_accuracy is not None
    if not networks or row.ratio is not None or (until and not row.steps_taken):
        return row
    steps = round(sum(row.steps_taken) / len(row.steps_taken)) if until else chosen.steps
    law = predicted_ratio(
        setting.width,
        setting.noise,
        setting.alpha or 2.0,
        sigma=chosen.sigma,
        learning_rate=chosen.learning_rate,
        steps=steps,
        dim=_INPUT_DIM[setting.dataset],
        networks=networks,
    )
    return dataclasses.replace(row, predicted=law)


def _ours(row: TableRow, cells: list[Cell]) -> dict[str, Measured]:
    if not cells:
        return {}
    value: Callable[[Cell, str], float] = lambda cell, name: float(cell[name])  # noqa: E731
    names: Sequence[str] = MEASURED
    if row.ratio is not None:
        place = row.setting.fractions.index(row.ratio)
        names = ("train_accuracy_pruned", "test_accuracy_pruned")
        curves = {n: "curve_" + n.removesuffix("_pruned") for n in names}
        value = lambda cell, name: float(cell[curves[name]][place])  # noqa: E731
    return {n: Measured(tuple(value(c, n) for c in cells)) for n in names}


_HEADS = {
    "train_accuracy": "train acc.",
    "test_accuracy": "test acc.",
    "pruning_ratio": "pruned (%)",
    "train_accuracy_pruned": "train, pruned",
    "test_accuracy_pruned": "test, pruned",
}


def _text(table: PaperTable) -> str:
    columns = [n for n in _HEADS if any(n in r.ours or n in r.printed for r in table.rows)]
    lines = [_headline(table), *_configurations(table), ""]
    lines.append(f"{'':8}{'':7}" + "".join(f"{_HEADS[n]:>19}" for n in columns))
    for row in table.rows:
        ours = [_cell(row, n) for n in columns]
        digits = [n == "pruning_ratio" for n in columns]
        paper = [
            format_measured(p.get("mean"), p.get("std"), 2 if d else 4) + " "
            for p, d in zip((row.printed.get(n, {}) for n in columns), digits, strict=True)
        ]
        lines.append(f"{row.label:8}{'ours':7}" + "".join(f"{c:>19}" for c in ours))
        lines.append(f"{'':8}{'paper':7}" + "".join(f"{c:>19}" for c in paper))
        if row.predicted is not None:
            found = format_measured(row.predicted.mean, row.predicted.std, 2) + " "
            cells = "".join(f"{found if n == 'pruning_ratio' else '':>19}" for n in columns)
            what = "start alone" if row.setting.noise == "none" else "noise alone"
            lines.append(f"{'':8}{what:12}{cells.rstrip()[5:]} ")  # longer than the other labels
    if any(row.differs(n) for row in table.rows for n in columns):
        lines.append(
            "* off the paper's by more than 0.01 (accuracies) or two of its standard "
            "deviations (ratio; 0.4 where none is printed)"
        )
    return "\n".join([*lines, *_gaps(table)])


def _cell(row: TableRow, name: str) -> str:
    if name not in row.ours:
        return "- "
    digits = 2 if name == "pruning_ratio" else 4
    found = row.ours[name]
    return format_measured(found.mean, found.std, digits) + ("*" if row.differs(name) else " ")


def _headline(table: PaperTable) -> str:
    what = f"Table {table.number} of the paper: {table.dataset}, n = {table.width}"
    if "width" in table.overrides:
        what += f" (the paper's: {_table(table.number)['width']})"
    if table.noise == "none":
        return f"{what}, networks trained without noise, pruned at the printed ratios"
    return f"{what}, Type {table.noise} noise"


def _configurations(table: PaperTable) -> list[str]:
    """What ours was computed with, a line for each preset."""
    lines = []
    for p in dict.fromkeys(row.setting.preset for row in table.rows):
        rows = [row for row in table.rows if row.setting.preset == p]
        taken = [s for row in rows for s in row.steps_taken]
        lines.append(f"  {', '.join(row.label for row in rows)}: {_preset_text(p, taken)}")
    chosen = "".join(f", {k} = {v:g}" for k, v in table.overrides.items() if k != "width")
    lines.append("  " + ("not the paper's" + chosen if chosen else "as printed by the paper"))
    seeds = sorted({s for row in table.rows for s in row.seeds})
    dtypes = sorted({row.dtype for row in table.rows if row.dtype})
    if seeds:
        lines[-1] += f"; seeds {', '.join(map(str, seeds))}; {', '.join(dtypes)}"
    inputs = sorted({row.inputs for row in table.rows if row.inputs})
    lines += [f"  {i[0]} training and {i[1]} test inputs" for i in inputs]
    if table.dataset == "cifar10":
        partial = any(list(i) != _CIFAR_INPUTS for i in inputs)
        if partial:
            lines[-1] += ", a part of CIFAR-10: these accuracies are not CIFAR-10 accuracies"
        lines.append("  the paper prints no step size for this data set: ours is that of MNIST")
    return lines


def _preset_text(p: Preset, taken: Sequence[int]) -> str:
    noise = "no noise" if p.sigma == 0 else f"σ = {p.sigma:g}"
    batch = "full batch" if p.batch_size is None else f"batches of {p.batch_size}"
    steps = f"{p.steps} steps"
    if p.until_accuracy is not None:
        steps = f"to a training accuracy of {p.until_accuracy:g}, at most {p.steps} steps"
        if taken:
            steps += f" (took {min(taken)} to {max(taken)})"
    return f"{noise}, η = {p.learning_rate:g}, {batch}, {steps}"


def _gaps(table: PaperTable) -> list[str]:
    lines = [
        f"diverged: {row.label}, seed {', '.join(map(str, row.diverged))}"
        for row in table.rows
        if row.diverged
    ]
    for row in table.rows:
        if row.missing:
            lines.append(f"missing: {row.label}, seed {', '.join(map(str, row.missing))}")
    return lines
