"""The paper's claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._axis import Axis
from stablesde.studies._compressibility import compressibility, iid_compressibility
from stablesde.studies._design import design
from stablesde.studies._independence import (
    IndependenceStudy,
    independence,
    pair_dependence,
)
from stablesde.studies._probability import (
    ProbabilityStudy,
    compression_probability,
)
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import RateStudy
from stablesde.studies._slopes import Slope
from stablesde.studies._tails import TailStudy, tail_study
from stablesde.studies._weak import weak_error

__all__ = [
    "Axis",
    "IndependenceStudy",
    "ProbabilityStudy",
    "RateStudy",
    "Slope",
    "TailStudy",
    "compressibility",
    "compression_probability",
    "design",
    "iid_compressibility",
    "independence",
    "pair_dependence",
    "propagation_of_chaos",
    "strong_error",
    "tail_study",
    "weak_error",
]
