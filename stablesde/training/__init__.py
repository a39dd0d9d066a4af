"""Training with heavy-tailed noise, pruning, and the paper's experiments."""

from stablesde.training._curve import PruningCurve, pruning_curve
from stablesde.training._mean_field import MeanFieldResult, format_mean_field, train_mean_field
from stablesde.training._network import Network
from stablesde.training._paper import Preset, paper_row, paper_tables, preset
from stablesde.training._prediction import PredictedRatio, predicted_ratio
from stablesde.training._removal import (
    PrunedTree,
    UnitAxis,
    UnitGroup,
    prune_tree,
    remove_units,
)
from stablesde.training._suite import Setting
from stablesde.training._tables import PaperTable, TableRow, format_paper_table, paper_table
from stablesde.training._train import Measured, TrainResult, fit, format_table, train
from stablesde.training._transform import (
    StableNoiseState,
    add_stable_noise,
    heavy_tailed_sgd,
)

__all__ = [
    "MeanFieldResult",
    "Measured",
    "Network",
    "PaperTable",
    "PredictedRatio",
    "Preset",
    "PrunedTree",
    "PruningCurve",
    "Setting",
    "StableNoiseState",
    "TableRow",
    "TrainResult",
    "UnitAxis",
    "UnitGroup",
    "add_stable_noise",
    "fit",
    "format_mean_field",
    "format_paper_table",
    "format_table",
    "heavy_tailed_sgd",
    "paper_row",
    "paper_table",
    "paper_tables",
    "predicted_ratio",
    "preset",
    "prune_tree",
    "pruning_curve",
    "remove_units",
    "train",
    "train_mean_field",
]
