"""Calibration of the verdicts: how often each is right, and how often it errs.

`python -m benchmarks.verdicts [--studies 400] [--write FILE] [--record results.json]`

Synthetic studies whose truth is theory, theory + the tolerance, and theory + twice the tolerance.
At the edge yes and no are both errors, each of at most 2.5 % (95 % intervals); beyond, yes is one;
at theory, no is one, and yes is the power.

- slope: errors n^s |Z|^(1/2) |Z'|^(1/2) at 8 sizes, as in `benchmarks.slope_coverage` (stable with
  α = 1.5: infinite variance before the roots), trimmed or geometric mean over R replicas,
  s = -1/2, tolerance 0.05.
- tail index: the largest of N norms with tail r^-α, α = 1.5, tolerance a tenth of α.
- like independent: binomial counts of R replicas and S systems of copies, tolerance 0.1.
- constant: log-normal errors against predictions of as many replicas, tolerance a tenth.
- bound: the mean of 5 log-normal errors against a bound at it, and a tenth above and below.

With `--record`, the record of `stablesde check`, a second table gives the power of each judged
exponent at its sizes, at the joint level: from the interval's half-width, for a normal estimate.
"""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.slope_coverage import SIZES, stable
from stablesde import studies
from stablesde.studies._statistics import LEVEL
from stablesde.studies._verdicts import power

CONFIG = {"alpha": 1.5, "noise": "none", "dtype": "float64", "model": "synthetic"}


def slope(
    rng: np.random.Generator, replicas: int, shift: float, statistic: str = "trimmed"
) -> bool | None:
    """A slope `shift` tolerances above -1/2."""
    own = np.abs(stable(rng, 1.5, (replicas, len(SIZES))))
    shared = np.abs(stable(rng, 1.5, (replicas, 1)))
    errors = SIZES ** (-0.5 + 0.05 * shift) * np.sqrt(own * shared)
    axis = studies.Axis("width", tuple(SIZES), -0.5)
    return studies.RateStudy(
        "synthetic", CONFIG, (axis,), {"sup": errors}, "sup", statistic, "width"
    ).attained()


def tail(rng: np.random.Generator, columns: int, shift: float) -> bool | None:
    """An index `shift` tolerances above 1.5, from the k largest of so many norms."""
    k = max(10, int((columns / 50) ** (2 / 3)))
    index = 1.5 * (1 + studies._tails.TOLERANCE * shift)
    gap = rng.gamma(k, 1 / index)  # Hill's k/estimate, exactly, for a Pareto tail
    study = studies.TailStudy(CONFIG, np.ones(1), columns, 1.5, 1.0, k, k / gap, 0.0, 0.0)
    return study.at_level(LEVEL).exponent_attained


def like_independent(rng: np.random.Generator, replicas: int, shift: float) -> bool | None:
    """Probabilities that differ by `shift` times 0.1 around a half; five times as many copies."""
    low, high = 0.5 - 0.05 * shift, 0.5 + 0.05 * shift
    errors = (rng.uniform(size=(replicas, 1, 1)) > low).astype(float)
    copies = rng.binomial(5 * replicas, high, (1, 1, 1))
    return studies.ProbabilityStudy(
        CONFIG, (100,), (4,), (0.1,), (0.5,), errors, np.zeros((1, 1, 1)), copies,
        (5 * replicas,), (True,),
    ).like_independent  # fmt: skip


def bound(rng: np.random.Generator, replicas: int, shift: float) -> bool | None:
    """Whether a mean is below a bound that is `shift` tenths of it too small, less one tenth."""
    errors = np.exp(0.5 * rng.normal(size=(replicas, 5)) - 0.125)
    limit = np.full(5, 1.1 - 0.1 * shift)
    axis = studies.Axis("width", tuple(SIZES[:5]))
    return studies.RateStudy(
        "synthetic", CONFIG, (axis,), {"sup": errors}, "sup", "mean", "width",
        bounds={"paper": limit},
    ).bound_holds  # fmt: skip


def constant(rng: np.random.Generator, replicas: int, shift: float) -> bool | None:
    """Errors `shift` tenths above the predicted ones, of as many replicas each."""
    shape = (len(SIZES),)
    draw = lambda: np.exp(  # noqa: E731
        0.25 * rng.normal(size=(replicas, 1)) + 0.15 * rng.normal(size=(replicas, *shape))
    )
    axis = studies.Axis("width", tuple(SIZES), -0.5)
    errors = {"sup": (1 + studies._constants.TOLERANCE * shift) * SIZES**-0.5 * draw()}
    return studies.RateStudy(
        "synthetic", CONFIG, (axis,), errors, "sup", "trimmed", "width",
        predicted={"sup": SIZES**-0.5 * draw()},
    ).constant_attained  # fmt: skip


CASES: list[tuple[str, Callable[..., bool | None], str, tuple[int, ...]]] = [
    ("exponent attained, trimmed mean", slope, "replicas", (16, 64)),
    (
        "exponent attained, geometric mean",
        functools.partial(slope, statistic="geometric"),
        "replicas",
        (16, 64, 256),
    ),
    ("tail index attained", tail, "columns", (2**19, 2**22, 2**23)),
    ("like independent", like_independent, "replicas", (100, 400, 1000)),
    ("bound holds", bound, "replicas", (32, 128, 512)),
    ("constant attained", constant, "replicas", (32, 64, 128, 256)),
]


# A verdict from a few numbers is tried this many times as often.
_QUICK = {tail: 10, like_independent: 10}


def calibrated(case: Callable[..., bool | None], size: int, count: int) -> list[str]:
    """The parts of `count` studies that say yes, and no, at 0, 1 and 2 tolerances."""
    cells = []
    count *= _QUICK.get(case, 1)
    for shift in (0, 1, 2):
        found = [case(np.random.default_rng([s, size, shift]), size, shift) for s in range(count)]
        yes, no = (100 * found.count(v) / count for v in (True, False))
        cells += [f"{yes:.1f} %", f"{no:.1f} %"]
    return cells


def table(count: int) -> list[str]:
    """The calibration of every verdict."""
    head = ["verdict", "size"]
    for place in ("at theory", "at the edge", "beyond"):
        head += [f"{place}: yes", "no"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, case, what, sizes in CASES:
        for size in sizes:
            cells = calibrated(case, size, count)
            lines.append(f"| {name} | {size} {what} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return lines


def powers(record: dict[str, Any]) -> list[str]:
    """The power of each judged exponent of a record of the main job."""
    lines = ["| study | case | exponent of | half-width | tolerance | power |", "|---" * 6 + "|"]
    z = 1.959964
    for group, study in record["studies"].items():
        for run in study["runs"]:
            exponents = run.get("exponents") or {"tail index": run["exponent"]}
            for axis, e in exponents.items():
                if not run["judged"] or e["theory"] is None or not e.get("tolerance"):
                    continue
                half = (e["upper"] - e["lower"]) / 2
                chance = power(half / z, e["tolerance"], run["joint_level"])
                lines.append(
                    f"| {group.replace('_', ' ')} | {run['label']} | {axis} | {half:.3f} | "
                    f"{e['tolerance']:.3f} | {100 * chance:.0f} % |"
                )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    lines = table(options.studies)
    if options.record:
        lines += ["", *powers(json.loads(options.record.read_text()))]
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
