"""The paper's four claims as studies: each returns a record of errors, slopes and verdicts."""

from stablesde.studies._columns import TailStudy, compressibility, tail_study
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import Axis, RateStudy
from stablesde.studies._statistics import Slope
from stablesde.studies._tidy import summary_rows, tidy_rows, write_csv

__all__ = [
    "Axis",
    "RateStudy",
    "Slope",
    "TailStudy",
    "compressibility",
    "propagation_of_chaos",
    "strong_error",
    "summary_rows",
    "tail_study",
    "tidy_rows",
    "write_csv",
]
