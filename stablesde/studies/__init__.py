"""The paper's claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._axis import Axis
from stablesde.studies._compressibility import compressibility, iid_compressibility
from stablesde.studies._design import design
from stablesde.studies._independence import (
    IndependenceStudy,
    independence,
)
from stablesde.studies._probability import (
    ProbabilityStudy,
    compression_probability,
)
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import RateStudy
from stablesde.studies._tails import TailStudy, tail_study
from stablesde.studies._weak import weak_error

__all__ = [
    "Axis",
    "IndependenceStudy",
    "ProbabilityStudy",
    "RateStudy",
    "TailStudy",
    "compressibility",
    "compression_probability",
    "design",
    "iid_compressibility",
    "independence",
    "propagation_of_chaos",
    "strong_error",
    "tail_study",
    "weak_error",
]
