"""Mean-field models: what a drift is, and the networks of the paper as one instance."""

from stablesde.model._base import MeanFieldModel, MeanReversion
from stablesde.model._losses import Loss, loss
from stablesde.model._network import AssumptionConstants, NetworkModel
from stablesde.model._systems import FunctionModel, WeightDecay
from stablesde.model._units import ACTIVATIONS, RidgeUnit, Unit, UserUnit

__all__ = [
    "ACTIVATIONS",
    "AssumptionConstants",
    "FunctionModel",
    "Loss",
    "MeanFieldModel",
    "MeanReversion",
    "NetworkModel",
    "RidgeUnit",
    "Unit",
    "UserUnit",
    "WeightDecay",
    "loss",
]
