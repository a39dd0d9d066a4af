"""Which σ do the paper's ECG5000 tables have? `python -m benchmarks.sigma_likelihood [--write]`.

A row prints mean and standard deviation of the pruning ratios of five networks. Their joint law
under a σ is that of five draws of `paper.predicted_ratio` (start and noise alone, which is all that
the ratio depends on there): its density at the printed pair is the likelihood of the row, by a
kernel estimate in (mean, log deviation) over groups of five. Rows of a table are independent. The
interval holds what is within 1.92 of the largest log-likelihood (95 %, one parameter); p is the
probability, under the best σ, of rows no more likely than these.
"""

import argparse
from pathlib import Path

import numpy as np
import scipy.stats

from benchmarks._timing import markdown
from stablesde import paper

SNIPPET = Path(__file__).parents[1] / "docs" / "snippets" / "training-sigma.md"
# Tables of n = 2000, where five networks say most: Type I, II, III.
TABLES = (1, 11, 13)
SIGMAS = (0.06, 0.08, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.18, 0.2, 0.25, 0.35, 0.5, 0.7, 1.0)
GROUPS, FIVE = 4000, 5


def pairs(table: paper.PaperTable, alpha: float, sigma: float, networks: int) -> np.ndarray:
    """(mean, log deviation) of groups of five networks, (2, GROUPS)."""
    setting = table.rows[-1].setting
    law = paper.predicted_ratio(
        table.width,
        table.noise,
        alpha,
        sigma=sigma,
        learning_rate=setting.preset.learning_rate,
        steps=setting.preset.steps,
        dim=140,
        networks=networks,
    )
    rng = np.random.default_rng(0)
    groups = rng.choice(law.samples, (GROUPS, FIVE))
    return np.stack([groups.mean(1), np.log(groups.std(1, ddof=1) + 1e-9)])


def log_likelihood(sample: np.ndarray, printed: dict[str, float]) -> tuple[float, np.ndarray]:
    """Of a printed pair, and of the sample's own pairs (their law under this σ)."""
    density = scipy.stats.gaussian_kde(sample)
    at = np.array([[printed["mean"]], [np.log(max(printed["std"], 0.005))]])
    tiny = 1e-300
    own = np.log(density(sample[:, :1000]) + tiny)
    return float(np.log(density(at)[0] + tiny)), own


def rows(number: int, networks: int) -> tuple[list[str], list[float]]:
    """The best σ of a table with its interval and fit, and the curve of log-likelihoods."""
    table = paper.paper_table(number, "unused")
    curve, fits = [], []
    for sigma in SIGMAS:
        total, own = 0.0, np.zeros(1000)
        for row in table.rows:
            if row.setting.noise == "none":
                continue
            sample = pairs(table, float(row.label), sigma, networks)
            value, law = log_likelihood(sample, row.printed["pruning_ratio"])
            total += value
            own += np.random.default_rng(len(fits)).permutation(law)
        curve.append(total)
        fits.append(float(np.mean(own <= total)))
    best = int(np.argmax(curve))
    inside = [s for s, v in zip(SIGMAS, curve, strict=True) if v >= curve[best] - 1.92]
    printed = table.rows[-1].setting.preset.sigma
    at = SIGMAS.index(printed)
    return [
        f"{number}: Type {table.noise}",
        f"{printed:g}",
        f"{SIGMAS[best]:g}",
        f"{min(inside):g} to {max(inside):g}",
        _shown(curve[at] - curve[best]),
        f"{fits[best]:.3f}",
    ], curve


def _shown(difference: float) -> str:
    """A kernel estimate says nothing of how far out a point in its tails is."""
    return f"{difference:.1f}" if difference > -20 else "< -20"


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--networks", type=int, default=1000)
    options = parser.parse_args()
    head = ["table", "σ printed", "most likely", "95 % interval"]
    head += ["log-likelihood of the printed σ, less the largest", "p of the rows at the best"]
    found, curves = [head], [["σ", *(f"Table {n}" for n in TABLES)]]
    columns = []
    for number in TABLES:
        line, curve = rows(number, options.networks)
        found.append(line)
        columns.append([_shown(v - max(curve)) for v in curve])
    curves += [[f"{s:g}", *v] for s, v in zip(SIGMAS, zip(*columns, strict=True), strict=True)]
    text = markdown(found) + "\n\nLog-likelihood less the largest:\n\n" + markdown(curves) + "\n"
    print(text)
    if options.write:
        SNIPPET.write_text(text)


if __name__ == "__main__":
    main()
