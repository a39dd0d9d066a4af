"""The paper's printed results (Tables 1–6, 10–20) and hyperparameters (Tables 7–9)."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any


@functools.cache
def paper_tables() -> dict[str, Any]:
    """The numbers as printed, misprints included: `{"tables": …, "hyperparameters": …}`."""
    text = resources.files("stablesde.training").joinpath("paper_tables.json").read_text()
    return json.loads(text)


def paper_row(dataset: str, noise: str, width: int, alpha: float) -> dict[str, Any] | None:
    """The paper's row for a setting, with its table's number under "table"; None if it has none.

    `noise` is "I", "II", "III" or "none" (then `alpha` does not matter).
    """
    label = "none" if noise == "none" else f"{alpha:g}"
    for number, table in paper_tables()["tables"].items():
        matches = table["dataset"] == dataset and table["width"] == width
        if not matches or "alpha" in table or (noise != "none" and table["noise"] != noise):
            continue
        if label in table["rows"] and "pruning_ratio" in table["rows"][label]:
            return {"table": number, **table["rows"][label]}
    return None


@dataclass(frozen=True)
class Preset:
    """Hyperparameters of a training run.

    - `learning_rate`, `sigma`. `steps`: number of steps, or the most of them if `until_accuracy`.
    - `batch_size`: None for the full batch.
    - `until_accuracy`: stop when the training accuracy reaches this.
    """

    learning_rate: float
    sigma: float
    steps: int
    batch_size: int | None = None
    until_accuracy: float | None = None


def preset(dataset: str, width: int, noise: str) -> Preset:
    """The paper's hyperparameters for a data set, width and noise type.

    Where the paper prints none for a width, the rule of its Table 7 is used: η ∝ 1/n and steps ∝ n,
    from n = 2000. digits and teacher are ours: the step and σ were chosen once, by hand, so that
    training succeeds and pruning shows.
    """
    scale = 2000 / width
    if dataset == "ecg5000":
        table = "8" if noise == "II" else "7"
        rows = paper_tables()["hyperparameters"][table]["rows"]
        if str(width) in rows:
            row = rows[str(width)]
            return Preset(row["step_size"], row["sigma"], row["epochs"])
        return Preset(3e-4 * scale, rows["2000"]["sigma"], max(1, round(600 / scale)))
    if dataset in ("mnist", "cifar10"):
        rows = paper_tables()["hyperparameters"]["9"]["rows"]
        row = rows.get(str(width), rows["2000"])
        rate = row["step_size"] if str(width) in rows else row["step_size"] * scale
        return Preset(rate, row["sigma"], 20_000, 5000, 0.95)
    return Preset(0.01 * scale, 0.03, max(1, round(300 / scale)))
