"""The mean of the largest of n stable norms, and Lemma B.1 of the paper, which bounds it."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from stablesde import stable
from stablesde._arguments import as_choice, as_number
from stablesde.noise import OneFactorStable, StableNoise, stable_noise
from stablesde.noise._base import scalar_tail_constant
from stablesde.stable._domain import number_text
from stablesde.theory._norms import enable_x64, norm_sample, norm_scale


def maximum_moment(noise: StableNoise | float, n: float) -> float:
    """`E max_{i ≤ n} ‖X_i‖` of independent stable vectors (a float: of scalars with that α).

    Exact where the norm is a scalar's modulus (Type I, or any noise of dimension one). Otherwise
    the law of ‖X‖ is taken from 2²¹ draws up to its 99.95 % quantile and from the exact tail
    `C t^-α` beyond: accurate to about 2 % (Monte Carlo, and the tail's second order).
    **Returns:** a float, infinite for α ≤ 1. **Raises:** `ValueError` for an n that is no
    number of at least 1, or a `noise` that is neither one nor an α in (0, 2].

    Compare Lemma B.1 of the paper, `E max |Z_i| ≤ (8 C_α + 1) n^{1/α}`, whose exponent is right
    and whose constant is too small for α near 1, and the limit `Γ(1 - 1/α) (C n)^{1/α}`.
    """
    n = as_number("n", n, 1)
    if not isinstance(noise, StableNoise):
        noise = stable_noise("I", as_number("noise, where it is an alpha,", noise, 0, 2, "(]"), 1)
    alpha = float(noise.alpha)
    if alpha <= 1:
        return math.inf
    if isinstance(noise, OneFactorStable) or noise.dim == 1:
        return norm_scale(noise) * float(stable.expected_maximum(alpha, n))
    norms = norm_sample(noise)
    if norms[-1] == 0:
        return 0.0
    if alpha == 2:
        return _body_of_maximum(norms, n)
    cut = int(len(norms) * (1 - 5e-4))
    start = math.log(norms[cut])
    tail_constant = noise.norm_tail_constant()

    def tail(y: float) -> float:
        exceed = min(tail_constant * math.exp(-alpha * y), 1 - 1e-12)
        return -math.expm1(n * math.log1p(-exceed)) * math.exp(y)

    # Beyond `flat` the integrand is its first-order term, integrated by hand.
    flat = max(start, math.log(tail_constant * n) / alpha + 20 / alpha)
    middle = scipy.integrate.quad(tail, start, flat, limit=200)[0]
    rest = n * tail_constant * math.exp((1 - alpha) * flat) / (alpha - 1)
    return _body_of_maximum(norms[: cut + 1], n, total=len(norms)) + middle + rest


def _body_of_maximum(norms: np.ndarray, n: float, total: int | None = None) -> float:
    """∫ (1 - F(t)^n) dt from 0 to the last of the sorted norms, F their empirical law."""
    below = np.arange(len(norms)) / (total or len(norms))
    widths = np.diff(norms, prepend=0.0)
    return float(np.sum(widths * (1 - below**n)))


@dataclass(frozen=True)
class LemmaB1:
    """Lemma B.1 of the paper, `E max_{i ≤ n} |Z_i| ≤ (8 C_α + 1) n^{1/α}`, beside the truth.

    - `paper`: the lemma's right side. `exact`: E max, by quadrature of 1 - (1 - P(|Z| > x))^n.
    - `limit`: Γ(1 - 1/α) (c_α n)^{1/α}, to which `exact` is asymptotic (Fréchet; Embrechts,
      Klüppelberg and Mikosch 1997, Theorem 3.3.7).
    - `constant`: the reading of C_α.
    """

    alpha: float
    n: float
    paper: float
    exact: float
    limit: float
    constant: str

    @property
    def holds(self) -> bool:
        """Whether the exact mean is below the lemma's bound."""
        return self.exact <= self.paper

    def __repr__(self) -> str:
        names = ("alpha", "n", "paper", "exact", "limit")
        numbers = (f"{name}={number_text(getattr(self, name))}" for name in names)
        return f"LemmaB1({', '.join(numbers)}, constant={self.constant!r})"


def lemma_b1(alpha: float, n: float, *, constant: str = "both tails") -> LemmaB1:
    """Lemma B.1 with numbers, for n independent symmetric α-stable scalars of unit scale.

    **Arguments:** `alpha` in (1, 2); `n` as in `stable.expected_maximum`; `constant`, the reading
    of C_α: "both tails" for `P(|Z| > t) ~ C_α t^-α`, that is `(1-α) / (Γ(2-α) cos(πα/2))`
    (Samorodnitsky and Taqqu 1994, (1.2.9)), or "one tail" for half of it (Nolan 2020, Theorem 1.2).

    **Returns:** a `LemmaB1`.
    **Raises:** `ValueError` out of range (for α ≤ 1 the mean is infinite).
    """
    c, paper = _lemma_constant(alpha, constant)
    alpha, n = float(alpha), as_number("n", n)
    with enable_x64(True):
        exact = float(stable.expected_maximum(alpha, n))
    limit = math.gamma(1 - 1 / alpha) * (c * n) ** (1 / alpha)
    return LemmaB1(alpha, n, paper * n ** (1 / alpha), exact, limit, constant)


def lemma_b1_threshold(*, constant: str = "both tails") -> float:
    """The α below which Lemma B.1 fails for every large n: Γ(1-1/α) c_α^{1/α} = 8 C_α + 1.

    **Returns:** that α. **Raises:** `ValueError` for a `constant` that `lemma_b1` does not know.
    """

    def excess(alpha: float) -> float:
        c, paper = _lemma_constant(alpha, constant)
        return math.log(math.gamma(1 - 1 / alpha)) + math.log(c) / alpha - math.log(paper)

    return float(scipy.optimize.brentq(excess, 1.001, 1.9, xtol=1e-12))


def lemma_b1_smallest_n(alpha: float, *, constant: str = "both tails") -> float:
    """The smallest n for which Lemma B.1 fails.

    **Returns:** n, infinite if there is none up to 10¹². **Raises:** as `lemma_b1`.
    """

    def fails(n: float) -> bool:
        return not lemma_b1(alpha, n, constant=constant).holds

    grid = np.unique(np.round(np.logspace(0, 12, 241)))
    first = next((i for i, n in enumerate(grid) if fails(float(n))), None)
    if first is None or first == 0:
        return math.inf if first is None else 1.0
    low, high = float(grid[first - 1]), float(grid[first])
    while high - low > 1:
        middle = float(math.floor((low + high) / 2))
        low, high = (low, middle) if fails(middle) else (middle, high)
    return high


def _lemma_constant(alpha: float, constant: str) -> tuple[float, float]:
    """c_α of both tails, and 8 C_α + 1 in the reading `constant`."""
    if not 1 < as_number("alpha", alpha) < 2:
        raise ValueError(f"alpha must lie in (1, 2), where the mean is finite, got {alpha!r}.")
    shares = {"both tails": 1.0, "one tail": 0.5}
    as_choice("constant", constant, shares)
    c = scalar_tail_constant(float(alpha))
    return c, 8 * shares[constant] * c + 1
