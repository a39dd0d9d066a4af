"""The error budget of a rate study: what each source of error does to a measured slope.

Monte-Carlo error is the interval of the slope. All others are systematic: the errors are corrected
for a source by its model, and what that moves the slope by is its share of the budget.
"""

from dataclasses import dataclass

import numpy as np
from jax import numpy as jnp

from stablesde.stable._domain import number_text


@dataclass(frozen=True)
class ErrorSource:
    """One systematic source of error of a study.

    - `name`; `note`: how it was estimated.
    - `relative`: its largest share in a measured error, over all grid points.
    - `factor`: (grid) what the measured errors are multiplied by to correct for it.
    - `in_prediction`: whether a predicted error has it, too, so that a ratio needs no correction.
    """

    name: str
    note: str
    relative: float
    factor: np.ndarray
    in_prediction: bool = False

    def __repr__(self) -> str:
        return f"ErrorSource({self.name}: at most {number_text(self.relative, 2)} of an error)"


def law_flow_source(factor: np.ndarray, width: int, law_particles: int) -> ErrorSource:
    """The flow's error: independent of the fluctuation of n particles, and of the same law.

    Both are means of independent copies of one statistic, so their ratio needs no estimate (see
    `_fluctuation`). All replicas share the flow, so that more of them do not average it out.
    """
    note = f"{law_particles} particles against {width}"
    return ErrorSource("law flow", note, float(1 / factor.min() - 1), factor)


def reference_source(
    steps: tuple[int, ...], fine_steps: int, power: float, grid: tuple[int, ...]
) -> ErrorSource:
    """The reference's own error, for a scheme whose error is `C η^power`.

    The reference errs in the same direction as a coarse scheme, so the distance measured is
    `C (η^power - h^power)`: too small by the part (h/η)^power.
    """
    share = (np.asarray(steps, float) / fine_steps) ** max(power, 0.1)
    note = (
        f"reference step {fine_steps // max(steps)} times finer than the finest, order {power:.2f}"
    )
    factor = np.broadcast_to(1 / (1 - share), grid)
    return ErrorSource("reference step", note, float(share.max()), factor, in_prediction=True)


def rounding_source(
    centre: np.ndarray, dtype: str, num_steps: int, displacement: float
) -> ErrorSource:
    """Rounding of the displacement D, which is summed over `num_steps`: a random walk of roundings.

    Each is at most eps/2 of D, whose bound is `displacement`; independent of the error, so added in
    squares.
    """
    size = float(jnp.finfo(dtype).eps) / 2 * displacement * np.sqrt(num_steps)
    share = np.minimum(size / centre, 0.999)
    note = f"{dtype}, |D| ≤ {displacement:.3g}, {num_steps} steps"
    factor = np.sqrt(1 - share**2)
    return ErrorSource("rounding", note, float(1 / factor.min() - 1), factor)
