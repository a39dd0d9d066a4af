"""Does Theorem 3.1 need its step condition? `python -m benchmarks.step_condition [--write]`.

P(error ≤ ε) in the regime η ≤ n^{-α/2-1} against steps far larger, n = 100: differences of two
independent proportions with Newcombe's intervals, which hold together at 95 % over all comparisons
(Bonferroni). "Equal" says that the whole interval lies within ±0.05, "different" that it lies
outside of it; else the comparison is inconclusive. Five minutes on two cores.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
import scipy.stats

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown
from stablesde.studies._verdicts import WORDS, difference_interval, equivalent

SNIPPET = Path(__file__).parents[1] / "docs" / "snippets" / "compression-steps.md"
ALPHAS, STEPS, KAPPAS, EPSILONS = (1.2, 1.5), (32, 8, 1), (0.1, 0.3), (0.3, 0.5)
MARGIN, WIDTH = 0.05, 100


def counts(alpha: float, steps: int | None, number: int, replicas: int) -> np.ndarray:
    """Replicas with error ≤ ε, (κ, ε); each run has a key of its own."""
    study = ssd.compression_probability(
        ssd.System(network(), ssd.OneFactorStable(alpha, 2)),
        jax.random.fold_in(jax.random.key(19), number),
        widths=(WIDTH,),
        t1=1.0,
        kappas=KAPPAS,
        epsilons=EPSILONS,
        num_steps=steps,
        replicas=replicas,
        batch=1000,
    )
    return study.successes[0]


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--replicas", type=int, default=6000)
    options = parser.parse_args()
    replicas = options.replicas
    comparisons = len(ALPHAS) * len(STEPS) * len(KAPPAS) * len(EPSILONS)
    z = float(scipy.stats.norm.isf(0.05 / 2 / comparisons))
    head = ["α", "κ", "ε", "η ≤ n^(-α/2-1)", *(f"η = 1/{s}" if s > 1 else "η = 1" for s in STEPS)]
    rows = [head]
    words = WORDS | {True: "equal", False: "different"}
    for a, alpha in enumerate(ALPHAS):
        found = [counts(alpha, s, 10 * a + i, replicas) for i, s in enumerate((None, *STEPS))]
        for i, kappa in enumerate(KAPPAS):
            for j, epsilon in enumerate(EPSILONS):
                base = int(found[0][i, j])
                row = [f"{alpha:g}", f"{kappa:g}", f"{epsilon:g}", f"{base / replicas:.3f}"]
                for other in found[1:]:
                    pair = (int(other[i, j]), base)
                    low, high = difference_interval(pair, (replicas, replicas), z)
                    verdict = words[equivalent(low, high, 0.0, MARGIN)]
                    row.append(f"{pair[0] / replicas:.3f}, {low:+.3f} to {high:+.3f}: {verdict}")
                rows.append(row)
    text = f"{replicas} replicas a column, {comparisons} comparisons.\n\n{markdown(rows)}\n"
    print(text)
    if options.write:
        SNIPPET.write_text(text)


if __name__ == "__main__":
    main()
