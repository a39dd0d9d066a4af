"""Coverage of the intervals of every tail-index estimator on symmetric stable samples.

    python -m benchmarks.estimator_coverage [--samples 500] [--size 10000] [--write FILE]

Prints mean, standard deviation and coverage of the 95 % intervals (about 3 minutes on two cores,
nearly all of it maximum likelihood). The sampling error of a coverage over 500 samples is 1 %.
"""

import argparse
import pathlib

import jax
import numpy as np

from benchmarks._timing import markdown
from stablesde.stable import sample
from stablesde.stable._estimate import METHODS, tail_index


def row(method: str, alpha: float, samples: int, size: int) -> list[str]:
    """Mean, spread, half-width and coverage of one estimator at one α."""

    @jax.jit
    def run(key):  # type: ignore[no-untyped-def]
        return tail_index(sample(key, alpha, shape=(size,)), method)

    results = [run(key) for key in jax.random.split(jax.random.key(0), samples)]
    estimate, lower, upper = (
        np.array([getattr(r, name) for r in results]) for name in ("estimate", "lower", "upper")
    )
    coverage = np.mean((lower <= alpha) & (alpha <= upper))
    numbers = (estimate.mean(), estimate.std(), (upper - lower).mean() / 2)
    return [method, f"{alpha}", *(f"{v:.4f}" for v in numbers), f"{coverage:.3f}"]


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    head = ["method", "α", "mean", "sd", "mean half-width", "coverage"]
    rows = [
        row(method, alpha, arguments.samples, arguments.size)
        for method in METHODS
        for alpha in (1.2, 1.5, 1.8)
    ]
    text = markdown([head, *rows]) + "\n"
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
