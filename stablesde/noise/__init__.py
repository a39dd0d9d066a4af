"""Lévy processes: stable ones of Type I, II and III and general shape, and others.

The types are those of Wan, Zaidi and Şimşekli (2023), section 2; each is normalised by its
characteristic function, so that in dimension one all three are the scalar law of
`stablesde.stable.sample` (α = 2 is N(0, 2)).

Every number is a pure function of (key, particle, step): the first n particles of a larger system
see the same noise, and so does every block of them, on whatever device it is computed.
"""

from stablesde.noise._base import (
    LevyNoise,
    StableNoise,
)
from stablesde.noise._general import EllipticalStable, SpectralStable
from stablesde.noise._processes import Brownian, CompoundPoisson, LinearImage, SumNoise
from stablesde.noise._skewed import SkewedStable
from stablesde.noise._subordinated import NormalInverseGaussian, TemperedStable, VarianceGamma
from stablesde.noise._types import (
    IndependentStable,
    IsotropicStable,
    OneFactorStable,
    stable_noise,
)

__all__ = [
    "Brownian",
    "CompoundPoisson",
    "EllipticalStable",
    "IndependentStable",
    "IsotropicStable",
    "LevyNoise",
    "LinearImage",
    "NormalInverseGaussian",
    "OneFactorStable",
    "SkewedStable",
    "SpectralStable",
    "StableNoise",
    "SumNoise",
    "TemperedStable",
    "VarianceGamma",
    "stable_noise",
]
