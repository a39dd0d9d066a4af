"""Theorems 4.1 and 4.2 with numbers: the bounds of the paper, and smaller ones.

References: Wan, Zaidi and Şimşekli (2023), with the corrections listed in the documentation
("Theory").
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from stablesde._arguments import as_count, as_number
from stablesde.model import AssumptionConstants
from stablesde.noise import StableNoise
from stablesde.stable._domain import number_text
from stablesde.theory._jump import jump_bound
from stablesde.theory._maximum import maximum_moment

_LOG_MAX = 709.0  # e to it is nearly the largest float


@dataclass(frozen=True)
class Bound:
    """Upper bounds on one expectation, all valid; infinite where Assumption 1 fails.

    - `paper`: the paper's form, in its single constant B of Assumption 1, corrected.
    - `gronwall`: the same proof with the model's own sup and Lipschitz constants
      (`AssumptionConstants`), term by term.
    - `jump`: of order η (1 + log n) for the strong error, for every α and type; infinite for chaos,
      and where a third derivative of the unit or the loss is.
    - `trivial`: 2cT, as the drift is at most c. Another bound that is no less says nothing: it is
      *vacuous*.
    """

    paper: float
    gronwall: float
    jump: float
    trivial: float

    @property
    def least(self) -> float:
        """The smallest."""
        return min(getattr(self, f.name) for f in dataclasses.fields(self))

    def __repr__(self) -> str:
        values = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        return f"Bound({', '.join(f'{k}={number_text(v)}' for k, v in values)})"


def strong_error_bound(
    constants: AssumptionConstants,
    noise: StableNoise,
    *,
    width: int,
    step_size: float,
    t1: float,
    sigma: float = 1.0,
) -> Bound:
    """Theorem 4.1: bound on `E sup_k sup_i ‖θ^i_{ηk} - θ̂^i_k‖`.

    Paper: `T e^{KT} (KB η/2 + Kα C'/(α+1) η^{1/α})`, `C' = σ E[sup_i ‖L_1^i‖ + ‖L_1‖]`, with
    K = B(1 + B); printed is K = 2B, which Lemma A.1 does not give (its mean enters with B², not B)
    and which is too small ("Theory" has the example).
    Grönwall: with sup ‖b‖ = c and Lipschitz constants ℓ_θ, ℓ_μ of the drift,
    `T e^{(ℓ_θ+ℓ_μ)T} ((ℓ_θ+ℓ_μ) c η/2 + σ (ℓ_θ E sup_i ‖L_1^i‖ + ℓ_μ E‖L_1‖) α/(α+1) η^{1/α})`,
    by Grönwall's inequality, since the drift varies within a step by at most its Lipschitz
    constants times the way of the particle and the mean way of all.
    Jump: `e^{(ℓ_θ+ℓ_μ)T} η (aT/2 + c min(2, (ℓ_θ+ℓ_μ)T) + √(2VT/3 (1+log 2n)) + (2c/3)(1+log 2n))`
    or less: the jumps of the drift are at most 2c however large those of L are, and their mean
    parts cancel. The documentation ("A bound of order one") has a, V and the proof.

    **Arguments:** `constants` from `NetworkModel.assumption_constants()`; `width` n; `step_size` η
    (a time); `t1` T. **Returns:** a `Bound`; `paper` and `gronwall` are infinite for α ≤ 1, where
    E‖L_1‖ is.
    **Raises:** `ValueError` for arguments of another kind, `width` < 1, `step_size` or `t1` that
    are not positive, or a negative `sigma`.
    """
    _check_constants(constants)
    if not isinstance(noise, StableNoise):
        raise ValueError(f"noise must be a stablesde.StableNoise, got {type(noise).__name__}.")
    width = as_count("width", width)
    step_size = as_number("step_size", step_size, 0, ends="(]")
    t1 = as_number("t1", t1, 0, ends="(]")
    sigma = as_number("sigma", sigma, 0)
    if not constants.holds:
        return _NONE
    alpha = float(noise.alpha)
    sup_jump = sigma * maximum_moment(noise, width)
    mean_jump = sigma * maximum_moment(noise, 1)
    power = step_size ** (1 / alpha)
    B = constants.B
    both = B * (1 + B)
    paper = both * B * step_size / 2 + both * alpha / (alpha + 1) * (sup_jump + mean_jump) * power
    lip_theta, lip_mean = constants.lipschitz_theta, constants.lipschitz_mean
    own_way = 0.5 * (lip_theta + lip_mean) * constants.drift_bound * step_size
    jumps = (lip_theta * sup_jump + lip_mean * mean_jump) * alpha / (alpha + 1) * power
    return Bound(
        t1 * _exp(both * t1) * paper,
        t1 * _exp((lip_theta + lip_mean) * t1) * (own_way + jumps),
        jump_bound(constants, noise, width=width, step_size=step_size, t1=t1, sigma=sigma),
        2 * constants.drift_bound * t1,
    )


def chaos_bound(constants: AssumptionConstants, *, width: int, t1: float) -> Bound:
    """Theorem 4.2: bound on `E sup_t sup_i ‖θ^{i,n}_t - θ^{i,∞}_t‖`.

    Paper: `B (EΨ²)^{1/2} T e^{B(1+B)T} / √n`, what Grönwall's inequality gives from its (11) and
    (12); the printed `(1+B)(BT/√n + B²T² exp(BT(1 + EΨ)) / (2√n))` does not follow from them.
    Grönwall: `K T e^{(ℓ_θ+ℓ_μ)T} / √n`, K = `constants.fluctuation`, by Grönwall's inequality; it
    holds for the sup over i and for the Euler schemes of both systems alike.

    **Arguments:** `constants` from `NetworkModel.assumption_constants()`; `width` n; `t1` T.
    **Returns:** a `Bound`.
    **Raises:** `ValueError` for arguments of another kind, `width` < 1, or a `t1` that is not
    positive.
    """
    _check_constants(constants)
    width, t1 = as_count("width", width), as_number("t1", t1, 0, ends="(]")
    if not constants.holds:
        return _NONE
    B, root = constants.B, math.sqrt(width)
    mean_square = math.sqrt(float(np.mean(np.square(constants.psi))))
    rate = constants.lipschitz_theta + constants.lipschitz_mean
    return Bound(
        B * mean_square * t1 * _exp(B * (1 + B) * t1) / root,
        constants.fluctuation * t1 * _exp(rate * t1) / root,
        math.inf,
        2 * constants.drift_bound * t1,
    )


_NONE = Bound(math.inf, math.inf, math.inf, math.inf)


def _check_constants(constants: AssumptionConstants) -> None:
    if not isinstance(constants, AssumptionConstants):
        raise ValueError(
            "constants must be AssumptionConstants, from NetworkModel.assumption_constants(), got "
            f"{type(constants).__name__}."
        )


def _exp(x: float) -> float:
    """e^x, infinite where it passes the largest float."""
    return math.exp(x) if x < _LOG_MAX else math.inf


def euler_order(alpha: float, holder: float = 1.0) -> float:
    """`1/2 + min(β/α, 1/2)`: the proven L_p order of the Euler scheme for a bounded β-Hölder drift.

    Up to an arbitrarily small loss, for every p, `dX = b(X) dt + dL` with a non-degenerate α-stable
    L (not Type I in dimension two or more), without interaction: Butkovsky, Dareiotis and Gerencsér
    (2022). It is 1 for Lipschitz drifts, where Theorem 4.1 gives 1/α.

    **Arguments:** `alpha` in [2/3, 2]; `holder` β in (0, 1], above 1 - α/2 (below, the equation may
    have no unique solution). **Returns:** the order. **Raises:** `ValueError` out of range.
    """
    alpha = as_number("alpha", alpha, 0, 2, "(]")
    if alpha < 2 / 3:
        raise ValueError(f"the rate is proven for alpha in [2/3, 2], got {alpha!r}.")
    holder = as_number("holder", holder)
    if not max(0.0, 1 - alpha / 2) < holder <= 1:
        raise ValueError(
            f"holder must lie in (max(0, 1 - alpha/2), 1] = ({max(0.0, 1 - alpha / 2):g}, 1], got "
            f"{holder!r}."
        )
    return 0.5 + min(holder / alpha, 0.5)
