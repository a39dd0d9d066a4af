"""The paper's four claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._budget import ErrorSource
from stablesde.studies._columns import TailStudy, compressibility, tail_study
from stablesde.studies._design import StudyDesign, design
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import Axis, RateStudy
from stablesde.studies._slopes import Slope
from stablesde.studies._statistics import TailDiagnosis, simultaneous_level

__all__ = [
    "Axis",
    "ErrorSource",
    "RateStudy",
    "Slope",
    "StudyDesign",
    "TailDiagnosis",
    "TailStudy",
    "compressibility",
    "design",
    "propagation_of_chaos",
    "simultaneous_level",
    "strong_error",
    "tail_study",
]
