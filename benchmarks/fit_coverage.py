"""Coverage of the 95 % intervals of `fit`, and its likelihood beside scipy's.

    python -m benchmarks.fit_coverage [--samples 500] [--size 10000] [--against 0] [--write FILE]

In S0, at four pairs (α, β). With `--against N`, scipy's maximum of the same likelihood is sought on
N samples of 300 (minutes each: Nelder-Mead over scipy's density).
"""

import argparse
import pathlib

import jax
import numpy as np

from benchmarks._timing import markdown
from stablesde.stable import fit, sample

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
    """Log-likelihood of our fit less that of scipy's, on the same samples."""
    from scipy import optimize, stats

    rows = [["sample", "ours less scipy's"]]
    for i, key in enumerate(jax.random.split(jax.random.key(1), samples)):
        alpha, beta = LAWS[i % 4]
        x = np.asarray(sample(key, alpha, beta, (300,), parametrization="S0"), float)
        found = fit(x)

        def loss(t, x=x):  # type: ignore[no-untyped-def]
            if not (0.3 < t[0] < 2 and abs(t[1]) < 1):
                return np.inf
            return -np.sum(stats.levy_stable.logpdf(x, t[0], t[1], t[2], np.exp(t[3])))

        start = [float(v) for v in (found.alpha, found.beta, found.loc, np.log(found.scale))]
        best = optimize.minimize(loss, start, method="Nelder-Mead", options={"maxfev": 150})
        rows.append([f"{i}", f"{float(found.log_likelihood) + best.fun:.2e}"])
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
    if arguments.write is not None:
        arguments.write.write_text(text)
    if arguments.against:
        print(markdown(against_scipy(arguments.against)))


if __name__ == "__main__":
    main()
