"""The paper's four claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._columns import TailStudy, compressibility, tail_study
from stablesde.studies._design import StudyDesign, design
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import Axis, RateStudy
from stablesde.studies._slopes import Slope

__all__ = [
    "Axis",
    "RateStudy",
    "Slope",
    "StudyDesign",
    "TailStudy",
    "compressibility",
    "design",
    "propagation_of_chaos",
    "strong_error",
    "tail_study",
]
