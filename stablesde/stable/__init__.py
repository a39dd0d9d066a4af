"""The α-stable law on the line: sampling, constants and estimation."""

from stablesde.stable._constants import absolute_moment, characteristic_function, tail_constant
from stablesde.stable._draw import sample, sample_positive
from stablesde.stable._estimate import TailIndex, default_hill_k, tail_index

__all__ = [
    "TailIndex",
    "absolute_moment",
    "characteristic_function",
    "default_hill_k",
    "sample",
    "sample_positive",
    "tail_constant",
    "tail_index",
]
