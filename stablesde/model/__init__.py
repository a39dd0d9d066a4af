"""Mean-field models: what a drift is, and the networks of the paper as one instance."""

from stablesde.model._base import MeanFieldModel, MeanReversion
from stablesde.model._declared import DriftBounds
from stablesde.model._losses import Loss
from stablesde.model._network import AssumptionConstants, NetworkModel
from stablesde.model._pairwise import PairwiseModel
from stablesde.model._systems import FunctionModel, KineticModel, WeightDecay
from stablesde.model._units import RidgeUnit, Unit, WeightedUnit

__all__ = [
    "AssumptionConstants",
    "DriftBounds",
    "FunctionModel",
    "KineticModel",
    "Loss",
    "MeanFieldModel",
    "MeanReversion",
    "NetworkModel",
    "PairwiseModel",
    "RidgeUnit",
    "Unit",
    "WeightDecay",
    "WeightedUnit",
]
