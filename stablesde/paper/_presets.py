"""The paper's printed results (Tables 1–6, 10–20) and hyperparameters (Tables 7–9)."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from stablesde._arguments import as_choice, as_number
from stablesde.training._checks import NOISES, as_text, check_count, check_rate, check_sigma

# The paper's smallest network, from which other widths are extrapolated.
_WIDTH = 2000


@functools.cache
def paper_tables() -> dict[str, Any]:
    """The numbers as printed, misprints included: `{"tables": …, "hyperparameters": …}`."""
    text = resources.files("stablesde.paper").joinpath("paper_tables.json").read_text()
    return json.loads(text)


def paper_row(dataset: str, noise: str, width: int, alpha: float) -> dict[str, Any] | None:
    """The paper's row for a setting.

    **Arguments:** as `train`; `noise` is "I", "II", "III" or "none" (then `alpha` does not matter).
    **Returns:** the printed numbers by name, with the table's number under "table"; None if the
    paper has no such row. **Raises:** `ValueError` for arguments that can't be a setting.
    """
    as_text("dataset", dataset)
    as_choice("noise", noise, NOISES)
    check_count("width", width)
    alpha = as_number("alpha", alpha)
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
    - `until_accuracy`: stop when the training accuracy, looked at every 100 steps, reaches this.

    **Raises:** `ValueError` for a value out of range.
    """

    learning_rate: float
    sigma: float
    steps: int
    batch_size: int | None = None
    until_accuracy: float | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "learning_rate": check_rate(self.learning_rate),
            "sigma": check_sigma(self.sigma),
            "steps": check_count("steps", self.steps),
        }
        if self.batch_size is not None:
            checked["batch_size"] = check_count("batch_size", self.batch_size)
        if self.until_accuracy is not None:
            checked["until_accuracy"] = as_number("until_accuracy", self.until_accuracy, 0, 1, "(]")
        for name, value in checked.items():  # numbers of Python, which JSON has
            object.__setattr__(self, name, value)


def preset(dataset: str, width: int, noise: str) -> Preset:
    """The paper's hyperparameters for a data set, width and noise type.

    - ecg5000: Table 7 (Types I, III, none) and 8 (Type II). Other widths follow the rule behind
      them, η ∝ 1/n and steps ∝ n from n = 2000 (ηn = 0.6; the paper has 0.5 to 0.6).
    - mnist: Table 9, which is for Type I; the other types get its σ. Other widths: η ∝ 1/n.
    - cifar10: the paper prints neither η nor the σ of Table 6. η as for mnist; σ = 10⁻⁵, the
      smallest of Table 20.
    - others (digits, teacher, your own): ours, ηn = 40 and σ = 0.02, chosen once by hand so that
      digits train and pruning shows.

    **Returns:** a `Preset`.
    **Raises:** `ValueError` for a width that is not a positive integer, or an unknown noise.
    """
    as_text("dataset", dataset)
    as_choice("noise", noise, NOISES)
    width = check_count("width", width)
    scale = _WIDTH / width
    if dataset == "ecg5000":
        table = "8" if noise == "II" else "7"
        rows = paper_tables()["hyperparameters"][table]["rows"]
        if str(width) in rows:
            row = rows[str(width)]
            return Preset(row["step_size"], row["sigma"], row["epochs"])
        row = rows[str(_WIDTH)]
        steps = max(1, round(row["epochs"] / scale))
        return Preset(row["step_size"] * scale, row["sigma"], steps)
    if dataset in ("mnist", "cifar10"):
        rows = paper_tables()["hyperparameters"]["9"]["rows"]
        row = rows.get(str(width), rows[str(_WIDTH)])
        rate = row["step_size"] if str(width) in rows else row["step_size"] * scale
        sigma = row["sigma"] if dataset == "mnist" else 1e-5
        return Preset(rate, sigma, 20_000, row["batch_size"], 0.95)
    return Preset(0.02 * scale, 0.02, max(1, round(150 / scale)))
