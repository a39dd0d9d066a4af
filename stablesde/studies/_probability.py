"""Theorem 3.1 as it is stated: the probability that the Euler particle system is compressible.

Intervals are Clopper and Pearson's (Biometrika 26, 1934), which cover at least at their level.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from jaxtyping import PRNGKeyArray

from stablesde._arguments import as_count, as_number, by_name
from stablesde.compression import kept_rows
from stablesde.dynamics import simulate_limit
from stablesde.dynamics._ends import ends
from stablesde.dynamics._system import check_stable, stable_part
from stablesde.stable._bits import Keys
from stablesde.studies._compressibility import checked_kappas
from stablesde.studies._draws import check_noise, end_of, finite_columns, increment_scale
from stablesde.studies._format import format_rows, three_valued_and, verdict_text
from stablesde.studies._setup import (
    configuration,
    count,
    key_of,
    lazy_flow,
    replica_errors,
    sizes,
)
from stablesde.studies._statistics import LEVEL, check_level, simultaneous_level
from stablesde.studies._tidy import CellRecord
from stablesde.studies._verdicts import difference_interval
from stablesde.system import System, check_initial_law
from stablesde.theory import compression_law

_COLUMNS = 2**20  # of the limit, for the predicted probability
# Probabilities this close are as good as equal.
MARGIN = 0.1


def clopper_pearson(successes: int, trials: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a probability from independent trials (Clopper and Pearson 1934).

    **Arguments:** `successes` among `trials`; `level` of the interval.
    **Returns:** its lower and upper end. **Raises:** `ValueError` unless
    0 ≤ `successes` ≤ `trials` and `level` is a probability.
    """
    trials, level = as_count("trials", trials), check_level(level)
    if trials >= 2**53:
        raise ValueError(f"trials must be below 2^53, got {trials}.")
    if as_count("successes", successes, 0) > trials:
        raise ValueError(f"successes must be at most trials={trials}, got {successes}.")
    interval = scipy.stats.binomtest(int(successes), int(trials)).proportion_ci(level, "exact")
    return float(interval.low), float(interval.high)


def theorem_steps(width: int, alpha: float, t1: float) -> int:
    """The fewest steps with η = t1 / steps ≤ n^{-α/2-1}, the regime of Theorem 3.1."""
    steps = t1 * width ** (alpha / 2 + 1) * (1 - 1e-12)
    return max(math.ceil(min(steps, 2.0**32)), 1)  # so many are refused


@dataclass(frozen=True)
class ProbabilityStudy(CellRecord):
    """How often `‖Θ^(κn) - Θ‖_F ≤ ε ‖Θ‖_F` holds for n particles (Theorem 3.1).

    - `widths`, `num_steps` (one for each width), `kappas`, `epsilons`.
    - `errors` (R, widths, kappas): the relative errors; `level` of the Clopper–Pearson intervals.
    - `predicted` (widths, kappas, epsilons): by the limit law `ssd.theory.compression_law`, n → ∞;
      NaN where there is none (α = 2).
    - `copies`, `systems`: the same counts for so many systems of n independent copies of the limit.
    - `in_regime`: whether each width's step satisfies η ≤ n^{-α/2-1}.
    """

    config: dict[str, Any]
    widths: tuple[int, ...]
    num_steps: tuple[int, ...]
    kappas: tuple[float, ...]
    epsilons: tuple[float, ...]
    errors: np.ndarray
    predicted: np.ndarray
    copies: np.ndarray
    systems: tuple[int, ...]
    in_regime: tuple[bool, ...]
    level: float = LEVEL
    name: str = "compression-probability"
    claim: str = "P(‖Θ^(κn) - Θ‖_F ≤ ε ‖Θ‖_F) ≥ 1 - ε for n ≥ N  (Theorem 3.1)"
    exponent_attained: bool | None = None

    def at_level(self, level: float) -> "ProbabilityStudy":
        """The record with intervals of another level. **Raises:** `ValueError` outside (0, 1)."""
        return dataclasses.replace(self, level=check_level(level))

    @property
    def successes(self) -> np.ndarray:
        """Counts (widths, kappas, epsilons) of replicas with error ≤ ε."""
        return np.sum(self.errors[..., None] <= np.asarray(self.epsilons), axis=0)

    @property
    def probability(self) -> np.ndarray:
        """Their fractions of the replicas."""
        return self.successes / len(self.errors)

    def interval(self, level: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper Clopper–Pearson limits, of the shape of `successes`.

        **Raises:** `ValueError` for a `level` outside (0, 1).
        """
        level = self.level if level is None else check_level(level)
        one = np.vectorize(lambda k: clopper_pearson(k, len(self.errors), level=level))
        low, high = one(self.successes)
        return np.asarray(low), np.asarray(high)

    @property
    def verdicts(self) -> np.ndarray:
        """ "holds", "refuted" or "inconclusive" at each (width, κ, ε): interval against 1 - ε.

        "refuted" at n says that the theorem's N is larger than n, not that there is none.
        """
        low, high = self.interval()
        target = 1 - np.asarray(self.epsilons)
        decided = np.where(high < target, "refuted", "inconclusive")
        return np.where(low >= target, "holds", decided)

    def holds_from(self) -> np.ndarray:
        """For each (κ, ε), the smallest width from which all widths hold; infinite if none."""
        holds = self.verdicts == "holds"
        tail = np.flip(np.cumprod(np.flip(holds, 0), axis=0), 0).astype(bool)
        widths = np.where(tail, np.asarray(self.widths)[:, None, None], np.inf)
        return widths.min(0)

    @property
    def has_bound(self) -> bool:
        """The theorem claims something for α < 2."""
        return self.config["alpha"] < 2

    @property
    def bound_holds(self) -> bool | None:
        """True if it holds at the largest width for every κ and ε, else None.

        Never False: no finite width refutes a claim for all n beyond an unknown N.
        """
        if not self.has_bound:
            return None
        return three_valued_and([True if v == "holds" else None for v in self.verdicts[-1].flat])

    def differences(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends of Newcombe's intervals of P(particles) - P(copies), of the shape of `successes`.

        **Raises:** `ValueError` for a `level` outside (0, 1).
        """
        z = float(scipy.special.ndtri((1 + check_level(level)) / 2))
        ends = np.empty((2, *self.copies.shape))
        for at in np.ndindex(self.copies.shape):
            counts = (int(self.successes[at]), int(self.copies[at]))
            ends[:, *at] = difference_interval(counts, (len(self.errors), self.systems[at[0]]), z)
        return ends[0], ends[1]

    @property
    def like_independent(self) -> bool | None:
        """Whether the particles are as compressible as independent copies of the limit.

        True if at every point the interval of the difference of the two probabilities lies inside
        ±0.1: wrong with probability at most (1 - level)/2. False if at some point it lies outside,
        of intervals that hold together. None (inconclusive) otherwise.
        """
        low, high = self.differences(self.level)
        if np.all((low >= -MARGIN) & (high <= MARGIN)):
            return True
        low, high = self.differences(simultaneous_level(self.level, self.copies.size))
        return False if np.any((low > MARGIN) | (high < -MARGIN)) else None

    @property
    def verdict(self) -> str:
        """One line."""
        counts = {v: int(np.sum(self.verdicts == v)) for v in ("holds", "refuted", "inconclusive")}
        cells = ", ".join(f"{v} at {k}" for v, k in counts.items())
        inside = sum(self.in_regime)
        regime = f"{inside} of {len(self.widths)} widths have η ≤ n^(-α/2-1)"
        agree = {True: "as", False: "NOT as", None: "perhaps as"}[self.like_independent]
        return (
            f"1 - ε {cells} of {self.verdicts.size} points (n, κ, ε), {regime}; {agree} "
            "compressible as independent copies of the limit"
        )

    def _cells(self) -> list[dict[str, Any]]:
        low, high = self.interval()
        rows = []
        for i, j, k in np.ndindex(self.successes.shape):
            rows.append(
                {
                    "width": self.widths[i],
                    "num_steps": self.num_steps[i],
                    "in_regime": self.in_regime[i],
                    "kappa": self.kappas[j],
                    "epsilon": self.epsilons[k],
                    "probability": float(self.probability[i, j, k]),
                    "lower": float(low[i, j, k]),
                    "upper": float(high[i, j, k]),
                    "claimed": 1 - self.epsilons[k],
                    "limit_law": float(self.predicted[i, j, k]),
                    "copies": float(self.copies[i, j, k] / self.systems[i]),
                    "verdict": str(self.verdicts[i, j, k]),
                }
            )
        return rows

    def table(self) -> str:
        """A text table: one row for each (n, κ, ε)."""
        rows = [["n", "steps", "κ", "ε", "P(error ≤ ε)", "interval", "1 - ε"]]
        rows[0] += ["copies", "limit law", "verdict"]
        for c in self._cells():
            rows.append(
                [
                    str(c["width"]),
                    f"{c['num_steps']}{'' if c['in_regime'] else ' *'}",
                    f"{c['kappa']:g}",
                    f"{c['epsilon']:g}",
                    f"{c['probability']:.3f}",
                    f"[{c['lower']:.3f}, {c['upper']:.3f}]",
                    f"{c['claimed']:.3g}",
                    f"{c['copies']:.3f}",
                    f"{c['limit_law']:.3f}",
                    c["verdict"],
                ]
            )
        note = "" if all(self.in_regime) else "\n* larger steps than the theorem allows"
        return format_rows(rows) + note

    def summary(self) -> dict[str, Any]:
        """Probabilities with intervals in `cells`, and verdicts."""
        return {
            "cells": self._cells(),
            "exponent": None,
            "has_bound": self.has_bound,
            "bound_holds": self.bound_holds,
            "like_independent": self.like_independent,
            "verdict": self.verdict,
        }

    def __repr__(self) -> str:
        return f"ProbabilityStudy({len(self.errors)} replicas; {verdict_text(self)})"


@by_name
def compression_probability(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    kappas: Sequence[float],
    epsilons: Sequence[float],
    t1: float,
    num_steps: int | Callable[[int], int] | None = None,
    replicas: int = 200,
    batch: int = 50,
    run_dir: str | Path | None = None,
) -> ProbabilityStudy:
    """The probability of Theorem 3.1 for the Euler particle system, with exact intervals.

    The theorem: for κ and ε there is N such that for n ≥ N and η ≤ n^{-α/2-1} the relative error of
    keeping the κn largest columns is at most ε with probability at least 1 - ε.

    **Arguments:**

    - `widths`, `kappas`, `epsilons`: the grid. All ε are read from the same replicas.
    - `num_steps`: None for the fewest steps in the theorem's regime (t1 n^{α/2+1}: 3162 at n = 100,
      α = 1.5), a number for the same at every width, or a function of the width.
    - `replicas`: independent systems; `batch` of them are simulated together and make one cell of
      `run_dir`.
    - The rest as in `ssd.simulate`; `init` must not list a θ₀ for each particle.

    **Returns:** a `ProbabilityStudy`; its `at_level` has other intervals.
    **Raises:** `ValueError` as `ssd.strong_error`, and for κ or
    ε outside (0, 1).
    """
    widths = sizes("widths", widths)
    kept = checked_kappas(kappas, min(widths))
    targets = _checked_epsilons(epsilons)
    check_stable(system, "compression_probability")
    check_initial_law(system, "compression_probability")
    alpha = check_noise(system.noise)
    steps = tuple(_steps(n, num_steps, alpha, as_number("t1", t1, 0, ends="(]")) for n in widths)
    config = configuration(
        system,
        key,
        t1=t1,
        replicas=replicas,
        batch=batch,
        num_steps=max(steps),
        widths=widths,
        kappas=kept,
    )
    config["steps"] = list(steps)

    def compute(keys: Keys) -> dict[str, np.ndarray]:
        theta, rows = np.asarray(ends(system, keys, widths=widths, num_steps=steps, t1=t1)), []
        for i, n in enumerate(widths):
            scale = increment_scale(system, t1, steps[i])
            columns = finite_columns(theta[:, i, :n], stable_part(system)[0], scale)
            rows.append(_errors(np.sum(columns**2, -1), kept))
        return {"relative error": np.stack(rows, axis=1)}

    errors = replica_errors("compression-probability", config, key, compute, run_dir)
    columns = _limit_columns(system, key, t1)
    copies, systems = _copies(columns, widths, kept, targets)
    regime = tuple(
        float(t1) / m <= n ** (-alpha / 2 - 1) * (1 + 1e-9)
        for n, m in zip(widths, steps, strict=True)
    )
    return ProbabilityStudy(
        config | {"epsilons": list(targets)},
        widths,
        steps,
        kept,
        targets,
        errors["relative error"],
        _predicted(system, columns, widths, kept, targets, t1),
        copies,
        systems,
        regime,
    )


def _errors(squares: np.ndarray, kappas: tuple[float, ...]) -> np.ndarray:
    """The error of each system and κ, (R, kappas), from squared norms of the columns, (R, n)."""
    rising, n = np.sort(squares, axis=1), squares.shape[1]
    total = rising.sum(1)[:, None]
    lost = np.cumsum(rising, axis=1) / np.where(total > 0, total, 1)  # no error where all is 0
    return np.sqrt(np.stack([lost[:, n - kept_rows(n, k) - 1] for k in kappas], -1))


def _limit_columns(
    system: System,
    key: PRNGKeyArray,
    t1: float,
) -> np.ndarray:
    """2²⁰ independent copies of the limit at t1 (32 steps: their law needs no more)."""
    flow = lazy_flow(system, key, t1=t1, num_steps=32, num_particles=2**14)
    found = simulate_limit(flow(), key_of(key, 2**31 - 1), num_particles=_COLUMNS)
    return finite_columns(end_of(found), stable_part(system)[0], increment_scale(system, t1, 32))


def _copies(
    columns: np.ndarray,
    widths: tuple[int, ...],
    kappas: tuple[float, ...],
    epsilons: tuple[float, ...],
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Counts of error ≤ ε among disjoint systems of n of the columns, and how many systems."""
    squares = np.sum(columns**2, -1)
    counts, systems = [], []
    for n in widths:
        errors = _errors(squares[: len(squares) // n * n].reshape(-1, n), kappas)
        counts.append([[int(np.sum(e <= eps)) for eps in epsilons] for e in errors.T])
        systems.append(len(errors))
    return np.array(counts), tuple(systems)


def _predicted(
    system: System,
    columns: np.ndarray,
    widths: tuple[int, ...],
    kappas: tuple[float, ...],
    epsilons: tuple[float, ...],
    t1: float,
) -> np.ndarray:
    """Probabilities by the limit law of the columns."""
    noise, sigma = stable_part(system)
    if float(noise.alpha) == 2 or sigma == 0:
        return np.full((len(widths), len(kappas), len(epsilons)), np.nan)
    laws = [compression_law(noise, k, columns=columns, sigma=sigma, t1=float(t1)) for k in kappas]
    return np.array([[law.cdf(np.asarray(epsilons), n) for law in laws] for n in widths])


def _steps(width: int, rule: int | Callable[[int], int] | None, alpha: float, t1: float) -> int:
    if rule is None:
        return theorem_steps(width, alpha, t1)
    if callable(rule):
        try:
            rule = rule(width)
        except Exception as error:
            raise ValueError(f"num_steps, as a function of the width, fails: {error}") from error
    return count("num_steps", rule)


def _checked_epsilons(epsilons: Sequence[float]) -> tuple[float, ...]:
    try:
        targets = tuple(as_number("epsilons", e) for e in epsilons)
    except (TypeError, ValueError):
        raise ValueError(f"epsilons must be a sequence of numbers, got {epsilons!r}.") from None
    if not targets or not all(0 < e < 1 for e in targets):
        raise ValueError(f"epsilons must lie in (0, 1), got {targets!r}.")
    return targets
