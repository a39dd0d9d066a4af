"""Stable vectors of Type I, II and III, and the increments of the Lévy processes they generate.

The types are those of Wan, Zaidi and Şimşekli (2023), section 2; each is normalised by its
characteristic function, so that in dimension one all three are the scalar law of
`stablesde.stable.sample` (α = 2 is N(0, 2)).

Every number is a pure function of (key, particle, step): the first n particles of a larger system
see the same noise, and so does every block of them, on whatever device it is computed.
"""

from stablesde.noise._base import (
    StableNoise,
    scalar_tail_constant,
)
from stablesde.noise._general import EllipticalStable, SpectralStable
from stablesde.noise._types import (
    IndependentStable,
    IsotropicStable,
    OneFactorStable,
    stable_noise,
)

__all__ = [
    "EllipticalStable",
    "IndependentStable",
    "IsotropicStable",
    "OneFactorStable",
    "SpectralStable",
    "StableNoise",
    "scalar_tail_constant",
    "stable_noise",
]
