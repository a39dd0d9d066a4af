"""The α-stable law on the line."""

from stablesde.stable._sampling import sample

__all__ = ["sample"]
