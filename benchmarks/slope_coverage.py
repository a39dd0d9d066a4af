"""Calibration of slope intervals: synthetic studies with a known power and stable-tailed errors.

`python -m benchmarks.slope_coverage [--studies 200] [--write FILE]`

A study has R replicas of the errors n^-1/2 |Z| at 8 sizes, Z stable. The sizes of a replica share
a factor, as coupled systems share noise: error = n^-1/2 |Z_0|^(1/2) |Z_n|^(1/2). The 95 % intervals
of all studies are counted for how many contain -1/2.
"""

import argparse
from pathlib import Path

import numpy as np

from stablesde.studies._slopes import fit_slope
from stablesde.studies._statistics import INTERVALS

SIZES = 2.0 ** np.arange(4, 12)
POWER = -0.5
CASES = [(r, a) for r in (16, 32, 64, 256) for a in (1.2, 1.5, 1.8)]
STATISTICS = ("median", "trimmed", "geometric", "mean")


def stable(rng: np.random.Generator, alpha: float, shape: tuple[int, ...]) -> np.ndarray:
    """Symmetric stable draws by Chambers, Mallows and Stuck; independent of the library's."""
    angle = rng.uniform(-np.pi / 2, np.pi / 2, shape)
    wait = rng.exponential(size=shape)
    power = (1 - alpha) / alpha
    ratio = np.sin(alpha * angle) / np.cos(angle) ** (1 / alpha)
    return ratio * (np.cos((1 - alpha) * angle) / wait) ** power


def study(rng: np.random.Generator, replicas: int, alpha: float) -> np.ndarray:
    """Errors (R, 8) of one synthetic study."""
    own = np.abs(stable(rng, alpha, (replicas, len(SIZES))))
    shared = np.abs(stable(rng, alpha, (replicas, 1)))
    return SIZES**POWER * np.sqrt(own * shared)


def coverage(replicas: int, alpha: float, statistic: str, method: str, studies: int) -> float:
    """The part of the studies whose 95 % interval contains the power."""
    hits = 0
    for number in range(studies):
        rng = np.random.default_rng([number, replicas, round(100 * alpha)])
        slope = fit_slope(study(rng, replicas, alpha), SIZES, 0, statistic, method=method)
        hits += slope.contains(POWER)
    return hits / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    columns = [(s, m) for s in STATISTICS for m in INTERVALS]
    lines = ["| replicas | α | " + " | ".join(f"{s}, {m}" for s, m in columns) + " |"]
    lines.append("|---|---|" + "---|" * len(columns))
    print("\n".join(lines))
    for replicas, alpha in CASES:
        found = [coverage(replicas, alpha, s, m, options.studies) for s, m in columns]
        lines.append(
            f"| {replicas} | {alpha:g} | " + " | ".join(f"{100 * c:.1f} %" for c in found) + " |"
        )
        print(lines[-1], flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
