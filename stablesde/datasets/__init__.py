"""Data sets of the paper's experiments, an embedded one, and synthetic teachers."""

from stablesde.datasets._load import load
from stablesde.datasets._record import Dataset
from stablesde.datasets._teacher import teacher

__all__ = ["Dataset", "load", "teacher"]
