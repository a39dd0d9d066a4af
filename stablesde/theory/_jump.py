"""The strong error of the Euler scheme is of order η (1 + log n): a bound with its constants.

The proof, line by line, is in the documentation ("A bound of order one"); names are those there.
"""

import math

import jax.numpy as jnp
import numpy as np
import scipy

from stablesde.model import AssumptionConstants
from stablesde.noise import StableNoise

_SMALL = 1e-6


class JumpRates:
    """Integrals over the Lévy measure ν of σL, for which ν{‖z‖ > t} = C σ^α t^-α exactly.

    At α = 2 the Gaussian part stands for it, of covariance rate Σ.
    """

    def __init__(self, noise: StableNoise, sigma: float):
        self._alpha = float(noise.alpha)
        if self._alpha == 2:
            # E‖σL_1‖² = tr Σ, from the characteristic function exp(-⟨u, Σu⟩/2).
            u = jnp.eye(noise.dim) / 2
            values = np.real(np.asarray(noise.characteristic_function(u), complex))
            self._mass = sigma**2 * float(np.sum(-8 * np.log(values)))
        else:
            factor = noise.norm_tail_constant() * sigma**self._alpha
            self._mass = 2 * factor / (2 - self._alpha)

    def generator(self, sup: np.ndarray, second: np.ndarray) -> np.ndarray:
        """∫ min(2 sup, second ‖z‖²/2) ν(dz), of a function with these suprema; gen in the proof."""
        if self._alpha == 2:
            return self._mass / 2 * second
        half = self._alpha / 2
        return self._mass * (2 * sup) ** (1 - half) * (second / 2) ** half

    def bracket(self, sup: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """∫ min(2 sup, slope ‖z‖)² ν(dz): the rate of a function's squared jumps (br)."""
        if self._alpha == 2:
            return self._mass * slope**2
        return self._mass * (2 * sup) ** (2 - self._alpha) * slope**self._alpha


def jump_bound(
    constants: AssumptionConstants,
    noise: StableNoise,
    *,
    width: int,
    step_size: float,
    t1: float,
    sigma: float,
) -> float:
    """Bound on `E sup_k sup_i ‖θ^i_{ηk} - θ̂^i_k‖` of order η (1 + log n), for every α in (0, 2].

    `e^{ℓT} (η (a T/2 + c min(2, ℓT)) + Ψ)`, ℓ = ℓ_θ + ℓ_μ, c = sup ‖b‖, Ψ Bennett's bound on the
    largest of n martingales with jumps of at most 2cη and brackets of at most V T η²/3. Infinite
    where a third derivative of the unit or the loss is.
    """
    if not (constants.holds and np.all(np.isfinite(constants.unit[:, 3]))):
        return math.inf
    if not np.all(np.isfinite(constants.loss)):
        return math.inf
    c, eta = constants.drift_bound, step_size
    rate = constants.lipschitz_theta + constants.lipschitz_mean
    drift, variance = _characteristics(constants, JumpRates(noise, sigma), width)
    path = eta * (drift * t1 / 2 + c * min(2.0, rate * t1))
    jump = 0.0 if float(noise.alpha) == 2 else 2 * c * eta
    largest = bennett(1 + math.log(2 * width), variance * t1 * eta**2 / 3, jump)
    return math.exp(min(rate * t1, 709.0)) * (path + largest)


def _characteristics(
    constants: AssumptionConstants, rates: JumpRates, width: int
) -> tuple[float, float]:
    """a and V of the proof: the drift of b along the scheme, and the rate of its squared jumps."""
    s, d, k, third = constants.unit.T
    slope, curvature, loss_third = constants.loss
    c = constants.drift_bound
    lip_theta, lip_mean = constants.lipschitz_theta, constants.lipschitz_mean
    statistic = rates.bracket(s, d)  # squared jumps of h_x(θ)
    pair = np.sqrt(rates.bracket(d, k) * statistic)
    a = (lip_theta + lip_mean) * c
    a += float(rates.generator(np.asarray(c), np.asarray(np.mean(third) * slope)))
    a += curvature * float(np.mean(d * rates.generator(s, k)))
    a += float(np.mean(d * loss_third / 2 * statistic + curvature * pair)) / width
    others = curvature * float(np.mean(d * np.sqrt(statistic)))
    own = math.sqrt(float(rates.bracket(np.asarray(c), np.asarray(lip_theta))))
    variance = (own + others / width) ** 2 + (width - 1) * (others / width) ** 2
    return a, variance


def bennett(x: float, variance: float, jump: float) -> float:
    """inf over λ > 0 of `(x + variance (e^{λJ} - 1 - λJ) / J²) / λ`, J the largest jump.

    With x = 1 + log(2n): a bound on the mean of the largest of n martingales in a Hilbert space
    whose predictable brackets end at `variance` or less (Pinelis (1994), Theorem 3.4). It is at
    most Bernstein's `√(2 variance x) + J x / 3`.
    """
    if variance == 0:
        return 0.0
    if jump == 0:
        return math.sqrt(2 * variance * x)
    unit = variance / jump
    y = x * jump / unit  # x J² / variance
    if y < _SMALL:
        return unit * (math.sqrt(2 * y) + y / 3)
    # (1 + u) log(1 + u) - u = y, by Lambert's W.
    w = float(np.real(scipy.special.lambertw((y - 1) / math.e)))
    return unit * math.expm1(1 + w)
