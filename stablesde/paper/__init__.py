"""What repeats one paper: its experiments and tables, and the main job that checks its claims."""

from stablesde.paper._mean_field import MeanFieldResult, train_mean_field
from stablesde.paper._prediction import PredictedRatio, predicted_ratio
from stablesde.paper._presets import Preset, paper_row, preset
from stablesde.paper._tables import PaperTable, paper_table
from stablesde.paper._train import Measured, TrainResult, fit, train

__all__ = [
    "MeanFieldResult",
    "Measured",
    "PaperTable",
    "PredictedRatio",
    "Preset",
    "TrainResult",
    "fit",
    "paper_row",
    "paper_table",
    "predicted_ratio",
    "preset",
    "train",
    "train_mean_field",
]
