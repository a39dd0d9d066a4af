"""The α-stable law on the line: sampling, density, distribution, constants and estimation."""

from stablesde.stable._bootstrap import bootstrap_test
from stablesde.stable._constants import absolute_moment, characteristic_function, tail_constant
from stablesde.stable._density import cdf, logpdf, pdf, sf
from stablesde.stable._draw import sample, sample_positive
from stablesde.stable._ecf import goodness_of_fit
from stablesde.stable._estimate import TailIndex, block_tail_index, tail_index
from stablesde.stable._fit import LawFit, fit
from stablesde.stable._maximum import expected_maximum
from stablesde.stable._quantile import isf, ppf
from stablesde.stable._subordinator import (
    positive_cdf,
    positive_logpdf,
    positive_pdf,
    positive_sf,
)

__all__ = [
    "LawFit",
    "TailIndex",
    "absolute_moment",
    "block_tail_index",
    "bootstrap_test",
    "cdf",
    "characteristic_function",
    "expected_maximum",
    "fit",
    "goodness_of_fit",
    "isf",
    "logpdf",
    "pdf",
    "positive_cdf",
    "positive_logpdf",
    "positive_pdf",
    "positive_sf",
    "ppf",
    "sample",
    "sample_positive",
    "sf",
    "tail_constant",
    "tail_index",
]
