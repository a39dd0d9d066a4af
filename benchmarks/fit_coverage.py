"""Coverage of the 95 % intervals of `fit`, and its likelihood beside scipy's.

    python -m benchmarks.fit_coverage [--samples 500] [--size 10000] [--against 0] [--write FILE]

In S0, at four pairs (α, β). With `--against N`, scipy's `levy_stable.fit` on N samples of 300, a
minute each.
"""

import argparse
import pathlib
import time
import warnings

import jax
import numpy as np

from benchmarks._timing import markdown
from stablesde.stable import fit, logpdf, sample

LAWS = ((1.2, 0.3), (1.5, -0.6), (1.75, 0.5), (0.8, 0.0))


def row(alpha: float, beta: float, samples: int, size: int) -> list[str]:
    """Mean of the four estimates and coverage of their intervals."""
    truth = np.array([alpha, beta, 1.0, 0.0])
    inside, estimates = np.zeros(4), np.zeros(4)
    for key in jax.random.split(jax.random.key(0), samples):
        x = np.asarray(sample(key, alpha, beta, (size,), parametrization="S0"))
        found = fit(x, parametrization="S0")
        lower, upper = np.asarray(found.lower), np.asarray(found.upper)
        inside += (lower <= truth) & (truth <= upper)
        estimates += [found.alpha, found.beta, found.scale, found.loc]
    names = [f"{v:.3f}" for v in inside / samples]
    return [f"({alpha:g}, {beta:g})", *names, *(f"{v:.4f}" for v in estimates / samples)]


def against_scipy(samples: int) -> list[list[str]]:
    """The likelihood at our estimates and at those of scipy's `levy_stable.fit`, by our density,
    which agrees with mpmath to 1e-10 (`benchmarks.skewed_law`); and what scipy's density says of
    its own estimates, less ours: its error."""
    from scipy import stats

    rows = [["sample of 300", "(α, β)", "ours less scipy's", "error of scipy's", "scipy's fit, s"]]
    for i, key in enumerate(jax.random.split(jax.random.key(1), samples)):
        alpha, beta = LAWS[i % 4]
        x = np.asarray(sample(key, alpha, beta, (300,), parametrization="S0"), float)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = stats.levy_stable.fit(x)
            taken, told = time.perf_counter() - start, np.sum(stats.levy_stable.logpdf(x, *theirs))
        with jax.enable_x64(True):
            a, b, loc, scale = theirs
            exact = float(np.sum(logpdf(x, a, b, loc=loc, scale=scale)))
            gain = float(fit(x).log_likelihood) - exact
        law = f"({alpha:g}, {beta:g})"
        rows.append([f"{i}", law, f"{gain:+.1e}", f"{told - exact:+.1e}", f"{taken:.0f}"])
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--against", type=int, default=0)
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    names = ("α", "β", "scale", "loc")
    head = ["(α, β)", *(f"covers {n}" for n in names), *(f"mean {n}" for n in names)]
    rows = [row(a, b, arguments.samples, arguments.size) for a, b in LAWS]
    text = markdown([head, *rows]) + "\n"
    print(text, flush=True)
    if arguments.against:
        text += "\n" + markdown(against_scipy(arguments.against)) + "\n"
        print(text)
    if arguments.write is not None:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
