"""Heavy-tailed stochastic dynamics in JAX."""

from stablesde import stable
from stablesde.noise import (
    IndependentStable,
    IsotropicStable,
    OneFactorStable,
    StableNoise,
    stable_noise,
)

__version__ = "0.1.0"
__all__ = [
    "IndependentStable",
    "IsotropicStable",
    "OneFactorStable",
    "StableNoise",
    "__version__",
    "stable",
    "stable_noise",
]
