"""Heavy-tailed stochastic dynamics in JAX: α-stable noise, particle systems and their limit."""

import importlib
from typing import TYPE_CHECKING, Any

from stablesde import datasets, dynamics, model, noise, stable, studies, theory, training
from stablesde._version import __version__
from stablesde.compression import compression_error, prunable, prune, pruning_ratio
from stablesde.dynamics import (
    FokkerPlanck,
    LawFlow,
    Trajectory,
    fokker_planck,
    law_flow,
    simulate,
    simulate_limit,
)
from stablesde.model import (
    FunctionModel,
    KineticModel,
    MeanFieldModel,
    MeanReversion,
    NetworkModel,
    PairwiseModel,
    WeightDecay,
)
from stablesde.noise import (
    Brownian,
    CompoundPoisson,
    EllipticalStable,
    IndependentStable,
    IsotropicStable,
    LevyNoise,
    LinearImage,
    NormalInverseGaussian,
    OneFactorStable,
    SkewedStable,
    SpectralStable,
    StableNoise,
    SumNoise,
    TemperedStable,
    VarianceGamma,
    stable_noise,
)
from stablesde.studies import (
    IndependenceStudy,
    ProbabilityStudy,
    RateStudy,
    TailStudy,
    compressibility,
    compression_probability,
    iid_compressibility,
    independence,
    propagation_of_chaos,
    strong_error,
    tail_study,
    weak_error,
)
from stablesde.system import System
from stablesde.training import UnitAxis, UnitGroup, add_stable_noise, heavy_tailed_sgd, prune_tree

if TYPE_CHECKING:
    from stablesde import paper, plotting

__all__ = [
    "Brownian",
    "CompoundPoisson",
    "EllipticalStable",
    "FokkerPlanck",
    "FunctionModel",
    "IndependenceStudy",
    "IndependentStable",
    "IsotropicStable",
    "KineticModel",
    "LawFlow",
    "LevyNoise",
    "LinearImage",
    "MeanFieldModel",
    "MeanReversion",
    "NetworkModel",
    "NormalInverseGaussian",
    "OneFactorStable",
    "PairwiseModel",
    "ProbabilityStudy",
    "RateStudy",
    "SkewedStable",
    "SpectralStable",
    "StableNoise",
    "SumNoise",
    "System",
    "TailStudy",
    "TemperedStable",
    "Trajectory",
    "UnitAxis",
    "UnitGroup",
    "VarianceGamma",
    "WeightDecay",
    "__version__",
    "add_stable_noise",
    "compressibility",
    "compression_error",
    "compression_probability",
    "datasets",
    "dynamics",
    "fokker_planck",
    "heavy_tailed_sgd",
    "iid_compressibility",
    "independence",
    "law_flow",
    "model",
    "noise",
    "paper",
    "plotting",
    "propagation_of_chaos",
    "prunable",
    "prune",
    "prune_tree",
    "pruning_ratio",
    "simulate",
    "simulate_limit",
    "stable",
    "stable_noise",
    "strong_error",
    "studies",
    "tail_study",
    "theory",
    "training",
    "weak_error",
]


def __getattr__(name: str) -> Any:
    # matplotlib is slow to load and needed only by those who plot; the paper by few.
    if name in ("paper", "plotting"):
        return importlib.import_module(f"stablesde.{name}")
    raise AttributeError(f"module 'stablesde' has no attribute {name!r}")
