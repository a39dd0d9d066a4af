"""Training with heavy-tailed noise, and pruning whole units, of any network."""

from stablesde.training._curve import PruningCurve, pruning_curve
from stablesde.training._network import Network
from stablesde.training._removal import (
    UnitAxis,
    UnitGroup,
    prune_tree,
    remove_units,
)
from stablesde.training._transform import (
    add_stable_noise,
    heavy_tailed_sgd,
)

__all__ = [
    "Network",
    "PruningCurve",
    "UnitAxis",
    "UnitGroup",
    "add_stable_noise",
    "heavy_tailed_sgd",
    "prune_tree",
    "pruning_curve",
    "remove_units",
]
