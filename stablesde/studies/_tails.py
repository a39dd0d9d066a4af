"""Heavy tails of the limit's columns (Theorem 4.3)."""

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from jaxtyping import PRNGKeyArray

from stablesde import stable
from stablesde._arguments import by_name
from stablesde.dynamics import simulate_limit
from stablesde.dynamics._system import check_stable, stable_part
from stablesde.stable._estimate import default_hill_k
from stablesde.studies._constants import Ratio
from stablesde.studies._draws import end_of, finite_columns, increment_scale
from stablesde.studies._format import format_rows, verdict_text
from stablesde.studies._runner import run_cells
from stablesde.studies._setup import (
    as_folder,
    configuration,
    constants_of,
    count,
    key_of,
    lazy_flow,
)
from stablesde.studies._statistics import LEVEL, check_level
from stablesde.studies._tidy import TidyRecord
from stablesde.studies._verdicts import equivalent
from stablesde.system import System

# The index is α's within this part of α.
TOLERANCE = 0.1
# Hill's estimator holds for tail indices up to here (`stable.tail_index`).
_DOMAIN = 1.8
_MOST_BATCHES = 10**5


@dataclass(frozen=True)
class TailStudy(TidyRecord):
    """The tail of ‖θ_t‖ in the limit, and what it says of Theorem 4.3.

    - `top`: the largest norms, descending; `num_columns`: of how many.
    - `alpha`: of the noise. `tail_constant`: C of the predicted tail `P(‖θ‖ > t) ~ C t^-α`, the
      tail of σ L_t: the drift is bounded, so it changes nothing to first order.
    - `k`: upper order statistics in Hill's estimate, with `estimate`, `lower`, `upper` at 95 %.
    - `drift_bounded`: whether the drift is known to be bounded, which the theorem's argument needs.
    """

    config: dict[str, Any]
    top: np.ndarray
    num_columns: int
    alpha: float
    tail_constant: float
    k: int
    estimate: float
    lower: float
    upper: float
    drift_bounded: bool = False
    name: str = "tails"
    claim: str = "E ‖θ_t‖² = ∞  (Theorem 4.3)"

    @property
    def has_bound(self) -> bool:
        """Whether the theorem claims anything: not at α = 2, where the variance is finite."""
        return self.alpha < 2

    def at_level(self, level: float) -> "TailStudy":
        """The record with the interval of another level: Hill's is a gamma law's.

        **Raises:** `ValueError` for a `level` outside (0, 1).
        """
        tail = (1 - check_level(level)) / 2
        low, high = (float(scipy.special.gammaincinv(self.k, p)) for p in (tail, 1 - tail))
        return dataclasses.replace(
            self, lower=self.estimate * low / self.k, upper=self.estimate * high / self.k
        )

    @property
    def bound_holds(self) -> bool | None:
        """Whether the second moment is infinite: the interval excludes every index ≥ 2.

        False if it lies above 2, which Hill's estimator cannot tell of noise above its domain
        (α ≤ 1.8; beyond, its bias alone passes 2): None there.
        """
        if not self.has_bound:
            return None
        if self.upper < 2:
            return True
        return False if self.lower > 2 and self.alpha <= _DOMAIN else None

    @property
    def mean_infinite(self) -> bool | None:
        """Whether E ‖θ‖ = ∞, too, as for α ≤ 1: the interval of the tail index lies below 1.

        False if it lies above 1, None if 1 is inside (as it must be at α = 1).
        """
        return True if self.upper < 1 else (False if self.lower > 1 else None)

    @property
    def constant(self) -> Ratio | None:
        """Measured over predicted tail, `P(‖θ‖ > r) / (C r^-α)` at the k-th largest norm.

        With its 95 % interval, of a Poisson count of k. None where nothing is claimed.
        """
        if not self.has_bound or not self.k < len(self.top) or self.tail_constant <= 0:
            return None
        expected = self.num_columns * self.tail_constant * float(self.top[self.k]) ** -self.alpha
        ends = (float(scipy.special.gammaincinv(self.k, p)) for p in (0.025, 0.975))
        low, high = (e / expected for e in ends)
        return Ratio(self.k / expected, low, high, LEVEL)

    @property
    def constant_attained(self) -> bool | None:
        """Whether the tail constant is that of σ L_t, within 10 %."""
        found = self.constant
        return None if found is None else found.attained

    @property
    def tolerance(self) -> float:
        """How far from α the index may be to be α's: a tenth of α."""
        return TOLERANCE * self.alpha

    @property
    def exponent_attained(self) -> bool | None:
        """Whether the tail index is α, that of σ L_t, within a tenth of α.

        True if the whole interval lies inside, False if outside, None (inconclusive) otherwise; at
        α = 2, where the tail is no power; and where Hill's estimator finds another index above its
        domain, α ≤ 1.8.
        """
        if not self.has_bound:
            return None
        found = equivalent(self.lower, self.upper, self.alpha, self.tolerance)
        return None if found is False and self.alpha > _DOMAIN else found

    @property
    def verdict(self) -> str:
        """One line."""
        heavy = {
            True: "infinite variance confirmed",
            False: "VARIANCE FINITE",
            None: "inconclusive" if self.has_bound else "nothing claimed at α = 2",
        }
        words = {True: "is", None: "does not decide", False: "IS NOT"}
        mean = {True: ", infinite mean", False: "", None: ", mean undecided"}[self.mean_infinite]
        constant = "" if self.constant is None else f"; measured/predicted tail {self.constant}"
        bounded = "bounded" if self.drift_bounded else "bounded, which is not known of this one"
        bounded += "" if self.drift_bounded else ": ssd.model.DriftBounds declares it"
        return (
            f"{heavy[self.bound_holds]}{mean}; tail index {self.estimate:.3f} [{self.lower:.3f}, "
            f"{self.upper:.3f}] {words[self.exponent_attained]} α = {self.alpha:g} within "
            f"{100 * TOLERANCE:g} %{constant} (the theorem's argument needs the drift {bounded})"
        )

    def table(self) -> str:
        """A text table of the empirical tail beside the predicted one, `C t^-α`."""
        rows = [["t", "P(‖θ‖ > t)", "predicted"]]
        for cell in self._cells():
            t, share = cell["norm"], cell["exceedance"]
            predicted = self.tail_constant * t**-self.alpha if t > 0 else 1.0
            rows.append([f"{t:.4g}", f"{share:.3g}", f"{min(1.0, predicted):.3g}"])
        return format_rows(rows)

    def _cells(self) -> list[dict[str, float]]:
        ranks = [2**i for i in range(int(math.log2(len(self.top))) + 1)]
        return [{"exceedance": r / self.num_columns, "norm": float(self.top[r - 1])} for r in ranks]

    def hill_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Hill's estimate against the number of upper order statistics it uses."""
        logs = np.log(self.top)
        k = np.arange(10, len(self.top))
        return k, 1 / (np.cumsum(logs)[k - 1] / k - logs[k])

    def summary(self) -> dict[str, Any]:
        """Verdicts, and in `cells` the empirical tail at powers of two of the rank."""
        return {
            "cells": self._cells(),
            "exponent": {
                "estimate": self.estimate,
                "lower": self.lower,
                "upper": self.upper,
                "level": LEVEL,
                "theory": self.alpha,
                "tolerance": self.tolerance,
                "k": self.k,
            },
            "mean_infinite": self.mean_infinite,
            "has_bound": self.has_bound,
            "bound_holds": self.bound_holds,
            "exponent_attained": self.exponent_attained,
            "constant": None if self.constant is None else dataclasses.asdict(self.constant),
            "constant_attained": self.constant_attained,
            "verdict": self.verdict,
        }

    def __repr__(self) -> str:
        return f"TailStudy({self.num_columns} columns; {verdict_text(self)})"


@by_name
def tail_study(
    system: System,
    key: PRNGKeyArray,
    *,
    num_columns: int,
    num_steps: int,
    t1: float,
    batch: int = 2**18,
    law_particles: int = 2**17,
    run_dir: str | Path | None = None,
) -> TailStudy:
    """Tail index of ‖θ_t‖ for independent copies of the limit at t = t1 (Theorem 4.3).

    Hill's estimator on the largest norms, since only the tail of θ_t is stable (see
    `ssd.stable.tail_index` for the choice of k and the domain, α ≤ 1.8). To tell α from 2 at
    α = 1.8 takes about 2·10⁶ columns. For α ≤ 1, which the paper leaves out, the mean is infinite
    as well (`mean_infinite`).

    **Arguments:** `num_columns` copies, drawn `batch` at a time, each batch a cell of `run_dir`;
    the rest as in `ssd.propagation_of_chaos`. **Returns:** a `TailStudy`.
    **Raises:** as `ssd.strong_error`, and `ValueError` for fewer than 1000 columns, or
    for numbers next to the largest of the dtype (small α), where draws have been cut off.
    """
    num_columns, batch = count("num_columns", num_columns, 1000), count("batch", batch)
    num_steps = count("num_steps", num_steps)
    law_particles = count("law_particles", law_particles)
    batches = -(-num_columns // batch)
    if batches > _MOST_BATCHES:
        raise ValueError(f"num_columns={num_columns} are over {_MOST_BATCHES} times batch={batch}.")
    check_stable(system, "tail_study")
    config = configuration(
        system,
        key,
        t1=t1,
        replicas=max(batches, 2),
        batch=batch,
        num_steps=num_steps,
        num_columns=num_columns,
        law_particles=law_particles,
    )
    flow = lazy_flow(system, key, t1=t1, num_steps=num_steps, num_particles=law_particles)
    scale = increment_scale(system, t1, num_steps)
    k = default_hill_k(num_columns)
    keep = min(4 * k, num_columns - 1)

    def cell(number: int) -> dict[str, np.ndarray]:
        found = simulate_limit(
            flow(),
            key_of(key, number),
            num_particles=min(batch, num_columns - number * batch),
        )
        norms = np.linalg.norm(
            finite_columns(end_of(found), stable_part(system)[0], scale), axis=-1
        )
        return {"top": np.sort(norms)[::-1][:keep]}

    cells = [(f"columns-{b:05d}", functools.partial(cell, b)) for b in range(batches)]
    parts = run_cells("tails", config, cells, as_folder(run_dir))
    # The largest of all are among the largest of each batch.
    top = np.sort(np.concatenate([p["top"] for p in parts]))[::-1][:keep]
    index = stable.tail_index(top, "hill", k=k, level=LEVEL)
    alpha = config["alpha"]
    constant = float(t1) * config["sigma"] ** alpha * stable_part(system)[0].norm_tail_constant()
    constants = constants_of(system.model)
    return TailStudy(
        config,
        top,
        num_columns,
        alpha,
        constant,
        k,
        float(index.estimate),
        float(index.lower),
        float(index.upper),
        drift_bounded=constants is not None and constants.holds,
    )
