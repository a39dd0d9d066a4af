"""The axes of the grid of a study."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One axis of the grid of a study: its name, its values, and the exponent theory gives.

    `theory` is None where no power is claimed. `direction` says which slopes are at least as good
    as theory's: +1 if larger ones are (an error that falls with the step), -1 if smaller ones are.
    """

    name: str
    values: tuple[float, ...]
    theory: float | None = None
    direction: int = -1
    tolerance: float = 0.05
