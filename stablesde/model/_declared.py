"""Suprema that the author of a model declares, as those of a network are computed."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from stablesde._arguments import as_parameter
from stablesde.model._network import AssumptionConstants
from stablesde.stable._domain import number_text


@dataclass(frozen=True)
class DriftBounds:
    """Suprema of a drift b(θ, m) and its statistic φ(θ), over all θ and all means m of φ.

    A model that has them, as a field or property `bounds`, gets the theorems' bounds in its
    studies, and its tail study the claim: `FunctionModel(…, bounds=DriftBounds(…))`. They are yours
    to prove: nothing checks them. The theorems are on drifts that do not depend on t.

    - `drift`: sup ‖b‖. `drift_theta`, `drift_mean`: sup ‖∂b/∂θ‖, sup ‖∂b/∂m‖, in the spectral norm.
    - `statistic`, `statistic_theta`: sup ‖φ‖ and sup ‖∂φ/∂θ‖; 0 for a model without interaction.

    **Raises:** `ValueError` unless all are finite and not negative.
    """

    drift: float
    drift_theta: float
    drift_mean: float = 0.0
    statistic: float = 0.0
    statistic_theta: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            number = as_parameter(field.name, getattr(self, field.name), 0.0)
            object.__setattr__(self, field.name, float(number))

    def __repr__(self) -> str:
        shown = (f"{f.name}={number_text(getattr(self, f.name))}" for f in dataclasses.fields(self))
        return f"DriftBounds({', '.join(shown)})"

    def assumption_constants(self) -> AssumptionConstants:
        """What the bounds of `ssd.theory` take.

        The Lipschitz constant in μ is `drift_mean · statistic_theta`, the fluctuation
        `drift_mean · statistic`. `B` is the least number from which the paper's forms follow with
        Ψ, Φ left out: B ≥ sup ‖b‖, B(1 + B) ≥ both Lipschitz constants together. The bound of
        order one needs more derivatives, and is infinite.
        """
        mean, fluctuation = self.drift_mean * self.statistic_theta, self.drift_mean * self.statistic
        rate = self.drift_theta + mean
        B = max(self.drift, (math.sqrt(1 + 4 * rate) - 1) / 2)
        psi = np.array([fluctuation / B if B else 0.0])
        return AssumptionConstants(
            psi=psi,
            phi=0.0,
            B=B,
            drift_bound=self.drift,
            lipschitz_theta=self.drift_theta,
            lipschitz_mean=mean,
            fluctuation=fluctuation,
            unit=np.array([[self.statistic, self.statistic_theta, math.inf, math.inf]]),
            loss=np.full(3, math.inf),
            holds=True,
            reason="",
        )


def declared(bounds: object) -> "DriftBounds | None":
    """`bounds` if they are some. Raises `ValueError` for anything else but None."""
    if bounds is not None and not isinstance(bounds, DriftBounds):
        raise ValueError(
            "bounds must be a stablesde.model.DriftBounds(drift, drift_theta, drift_mean, "
            f"statistic, statistic_theta) or None, got {bounds!r}."
        )
    return bounds


__all__ = ["DriftBounds", "declared"]
