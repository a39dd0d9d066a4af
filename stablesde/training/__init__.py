"""Training with heavy-tailed noise, pruning, and the paper's experiments."""

from stablesde.training._network import Network
from stablesde.training._paper import Preset, paper_row, paper_tables, preset
from stablesde.training._train import Measured, TrainResult, fit, format_table, train
from stablesde.training._transform import (
    StableNoiseState,
    add_stable_noise,
    heavy_tailed_sgd,
)

__all__ = [
    "Measured",
    "Network",
    "Preset",
    "StableNoiseState",
    "TrainResult",
    "add_stable_noise",
    "fit",
    "format_table",
    "heavy_tailed_sgd",
    "paper_row",
    "paper_tables",
    "preset",
    "train",
]
