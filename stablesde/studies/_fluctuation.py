"""How the mean statistic of n particles fluctuates: by the tail of φ(θ_t).

With a finite variance the fluctuation of a mean over n particles is of order n^(-1/2); with tail
index a in (1, 2) it is of order n^(1/a - 1), and its limit is stable with index a (Gnedenko and
Kolmogorov 1954, §35); with a ≤ 1 there is no mean to converge to.
"""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from stablesde._arguments import as_number
from stablesde.dynamics import simulate
from stablesde.model import PairwiseModel
from stablesde.stable._bits import check_key
from stablesde.stable._domain import number_text
from stablesde.studies._setup import STREAM_PREDICTION
from stablesde.studies._statistics import tail_diagnosis
from stablesde.system import System, check_is_system

# Particles behind an estimated tail, and the stream of their key.
_SAMPLE = 20_000
_STREAM = STREAM_PREDICTION - 1
# The largest error of the law flow, relative to the fluctuation at the largest width, with which a
# rate can be read: for a finite variance both add in squares, so 1/4 raises the last point by 3 %.
MAX_FLOOR = 0.25
_MOST_LAW = 2**22  # particles of a law flow
# Where particles interact in pairs, and a step costs the square of their number.
_PAIRS, _PAIRS_RATIO = 2000, 16


@dataclass(frozen=True)
class Fluctuation:
    """The tail index of the statistic (∞: a finite variance), and where it is known from.

    `blocked` says why no rate follows from it, or ""; `ratio` is the least number of particles of
    the law flow for each of the largest system.
    """

    index: float
    source: str
    blocked: str = ""
    ratio: int = 256

    @property
    def exponent(self) -> float:
        """The power of n of the fluctuation of a mean of n copies."""
        return -0.5 if self.index > 2 else 1 / self.index - 1

    @property
    def statistic(self) -> str:
        """Which location of errors over replicas is fitted: a stable limit has no variance."""
        return "mean" if self.index > 2 else "median"

    @property
    def rate(self) -> str:
        """The rate, for the claim of a study."""
        return "n^(-1/2)" if self.index > 2 else f"n^({self.exponent:+.3f})"

    def floor(self, width: int, law: int) -> float:
        """The law flow's error over the fluctuation of `width` particles."""
        return float((width / law) ** -self.exponent)

    def least_law(self, width: int) -> int:
        """The fewest particles with which the floor is small enough."""
        return math.ceil(width * MAX_FLOOR ** (1 / self.exponent))

    def default_law(self, width: int) -> int:
        """Particles with which the floor is small enough, as far as they can be had."""
        return min(max(self.ratio * width, self.least_law(width)), _MOST_LAW)

    def factor(self, widths: Any, law: int) -> np.ndarray:
        """What corrects errors for the flow's: scales of stable laws add in the power `index`."""
        power = min(self.index, 2.0)
        ratio = (np.asarray(widths, float) / law) ** (power - 1)
        return (1 + ratio) ** (-1 / power)

    def too_coarse(self, width: int, law: int) -> str:
        """Why a law flow of `law` particles allows no verdict; or ""."""
        floor = self.floor(width, law)
        if floor <= MAX_FLOOR:
            return ""
        return (
            f"the law flow from {law} particles has {100 * floor:.0f} % of the fluctuation at "
            f"width {width}: take law_particles ≥ {self.least_law(width)}"
        )


def fluctuation(
    system: System, key: PRNGKeyArray, declared: float | None, **run: Any
) -> Fluctuation:
    """The tail of the statistic: declared, known from the model, or estimated from a simulation.

    **Arguments:** `declared`, a tail index above 0, `math.inf` for a finite variance, or None;
    `run`: t1 and num_steps of the simulation. **Raises:** `ValueError` for another index.
    """
    check_is_system(system)
    check_key(key)
    found = _found(system, key, declared, run)
    if isinstance(system.model, PairwiseModel):
        return dataclasses.replace(found, ratio=_PAIRS_RATIO)
    return found


def _found(
    system: System, key: PRNGKeyArray, declared: float | None, run: dict[str, Any]
) -> Fluctuation:
    if declared is not None:
        if not (isinstance(declared, float) and declared == math.inf):
            declared = as_number("statistic_tail", declared, 0, ends="(]")
        return _judged(float(declared), "declared")
    growth = getattr(system.model, "statistic_growth", None)
    if growth == 0:
        return Fluctuation(math.inf, "known from the model")
    # With a coefficient that depends on θ, or a start of another law, the tail of θ_t may be
    # heavier than the noise's.
    if growth is not None and system.additive and not callable(system.init):
        tail = float(system.noise.tail_index)
        return _judged(math.inf if tail >= 2 else tail / growth, "known from the model")
    return _estimated(system, key, run)


def _judged(index: float, source: str) -> Fluctuation:
    if index > 2:
        return Fluctuation(math.inf, source)
    if index == 2:
        why = "at index 2 the rate has a logarithm"
    elif index <= 1:
        why = "it has no mean, so there is no limit"
    else:
        return Fluctuation(index, source)
    told = f"the statistic has tail index {number_text(index)} ({source}): {why}"
    return Fluctuation(math.inf, source, told)


def _estimated(system: System, key: PRNGKeyArray, run: dict[str, Any]) -> Fluctuation:
    own = jax.random.fold_in(key, _STREAM)
    model = system.model
    sample = _PAIRS if isinstance(model, PairwiseModel) else _SAMPLE
    with warnings.catch_warnings():  # of lost particles: the study itself refuses
        warnings.simplefilter("ignore", RuntimeWarning)
        theta = simulate(system, own, num_particles=sample, **run).final
    if isinstance(model, PairwiseModel):  # of the kernel, between neighbours in the list
        values = np.asarray(jax.vmap(model.kernel)(theta, jnp.roll(theta, 1, 0)), float)
    else:
        values = np.asarray(jax.vmap(model.statistic)(theta), float)
    if values.shape[1] == 0 or not np.all(np.isfinite(values)):
        return Fluctuation(math.inf, "no statistic")
    distance = np.linalg.norm(values - np.median(values, axis=0), axis=1)
    tail = tail_diagnosis(distance)
    found = f"estimated from {sample} particles, {number_text(tail.index, 3)}"
    found += f" [{number_text(tail.lower, 3)}, {number_text(tail.upper, 3)}]"
    if tail.finite_variance or distance.max() == 0:
        return Fluctuation(math.inf, found)
    warnings.warn(
        f"The tail index of the statistic is {found}: its mean may converge more slowly than "
        "n^(-1/2). Say what it is with statistic_tail=… (math.inf for a finite variance).",
        stacklevel=4,
    )
    if tail.finite_variance is None:
        why = f"the statistic's tail index is {found}: whether it has a variance is not decided"
        return Fluctuation(math.inf, found, f"{why}; give statistic_tail")
    judged = _judged(tail.index, found)
    why = f"the tail index of the statistic is {found}, too rough to judge a rate by"
    return dataclasses.replace(judged, blocked=judged.blocked or f"{why}; give statistic_tail")
