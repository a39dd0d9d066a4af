"""The paper's claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._axis import Axis
from stablesde.studies._compressibility import compressibility, iid_compressibility
from stablesde.studies._constants import Ratio
from stablesde.studies._design import StudyDesign, design
from stablesde.studies._independence import (
    IndependenceStudy,
    PairDependence,
    independence,
    pair_dependence,
)
from stablesde.studies._probability import (
    ProbabilityStudy,
    clopper_pearson,
    compression_probability,
)
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import RateStudy
from stablesde.studies._slopes import Slope
from stablesde.studies._statistics import simultaneous_level
from stablesde.studies._tails import TailStudy, tail_study
from stablesde.studies._weak import weak_error

__all__ = [
    "Axis",
    "IndependenceStudy",
    "PairDependence",
    "ProbabilityStudy",
    "RateStudy",
    "Ratio",
    "Slope",
    "StudyDesign",
    "TailStudy",
    "clopper_pearson",
    "compressibility",
    "compression_probability",
    "design",
    "iid_compressibility",
    "independence",
    "pair_dependence",
    "propagation_of_chaos",
    "simultaneous_level",
    "strong_error",
    "tail_study",
    "weak_error",
]
