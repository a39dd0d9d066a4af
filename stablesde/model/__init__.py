"""Mean-field models: what a drift is, and the networks of the paper as one instance."""

from stablesde.model._base import MeanFieldModel, MeanReversion
from stablesde.model._declared import DriftBounds
from stablesde.model._losses import Loss, loss
from stablesde.model._network import AssumptionConstants, NetworkModel
from stablesde.model._systems import FunctionModel, WeightDecay
from stablesde.model._units import Unit

__all__ = [
    "AssumptionConstants",
    "DriftBounds",
    "FunctionModel",
    "Loss",
    "MeanFieldModel",
    "MeanReversion",
    "NetworkModel",
    "Unit",
    "WeightDecay",
    "loss",
]
