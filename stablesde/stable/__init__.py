"""The α-stable law on the line: sampling, constants and estimation."""

from stablesde.stable._constants import absolute_moment, characteristic_function, tail_constant
from stablesde.stable._estimate import TailIndex, default_hill_k, tail_index
from stablesde.stable._sampling import sample

__all__ = [
    "TailIndex",
    "absolute_moment",
    "characteristic_function",
    "default_hill_k",
    "sample",
    "tail_constant",
    "tail_index",
]
