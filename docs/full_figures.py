"""Regenerates the tables and figures of docs/full-run.md from a finished `stablesde check --full`.

`stablesde check --full && python docs/full_figures.py`
"""

import gzip
import json
import re
import shutil
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from stablesde import __version__, theory

HERE = Path(__file__).parent
# The Hölder order of the bounded drifts that are continuous.
HOLDER = {"tanh network": 1.0, "sigmoid network": 1.0, "Hölder drift": 0.5}
STYLES = {
    "tanh network": ("o", "-"),
    "sigmoid network": ("s", "-"),
    "hard tanh network": ("^", "-"),
    "Hölder drift": ("D", "-"),
    "tanh network with decay": ("v", "--"),
    "linear drift": ("P", "--"),
}
FIGURES = (
    "propagation-of-chaos-tanh-network-Type-II-1.5",
    "strong-error-tanh-network-Type-III-1.5",
    "strong-error-linear-drift-Type-I-1.2",
)


def interval(slope: dict, name: str = "") -> str:
    """An estimate with its interval; `name` "asymptotic" for the extrapolated one."""
    value = slope[name or "estimate"]
    low, high = (slope[f"{name}_{end}" if name else end] for end in ("lower", "upper"))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def constant(run: dict, measure: str = "") -> str:
    """Measured over predicted, with its 95 % interval."""
    found = run["constant"] or {}
    found = found if "estimate" in found else found.get(measure)
    if not found:
        return "—"
    return f"{found['estimate']:.3f} [{found['lower']:.3f}, {found['upper']:.3f}]"


def case(run: dict) -> tuple[str, str, float]:
    """What drifts, the type of the noise, and α."""
    noise = re.search(r"Type (I+)", run["label"])
    return run["label"].split(",")[0], noise[1] if noise else "I", run["config"]["alpha"]


def chaos_rows(runs: list[dict]) -> list[str]:
    """Slopes of the mean and the sup error, fitted and extrapolated."""
    rows = ["| type | α | mean: fitted | mean: n → ∞ | mean: constant | sup: fitted | sup: n → ∞ |"]
    rows.append("|---|---|---|---|---|---|---|")
    for run in runs:
        _, noise, alpha = case(run)
        mean, sup = run["exponents"]["width"], run["other_measures"]["sup"]["width"]
        rows.append(
            f"| {noise} | {alpha:g} | {interval(mean)} | {interval(mean, 'asymptotic')} | "
            f"{constant(run, 'mean')} | {interval(sup)} | {interval(sup, 'asymptotic')} |"
        )
    return rows


def strong_rows(runs: list[dict]) -> list[str]:
    """Slopes in η and n, the constant, the bound of order 1, and the budget of the η slope."""
    rows = ["| drift | type | α | 1/α | η: fitted | n: fitted | constant | bound | systematic, η |"]
    rows.append("|---|---|---|---|---|---|---|---|---|")
    for run in runs:
        drift, noise, alpha = case(run)
        step, width = run["exponents"]["step"], run["exponents"]["width"]
        shift = sum(v for k, v in step["budget"].items() if k != "Monte Carlo")
        rows.append(
            f"| {drift} | {noise} | {alpha:g} | {1 / alpha:.3f} | {interval(step)} | "
            f"{interval(width)} | {constant(run, 'sup')} | {bound_over_error(run)} | {shift:+.4f} |"
        )
    return rows


def bound_over_error(run: dict) -> str:
    """The least and the largest ratio of the bound of order 1 to the error, over the grid."""
    cells = [c for c in run["cells"] if c["measure"] == "sup" and c.get("jump_bound")]
    ratios = [c["jump_bound"] / c["trimmed"] for c in cells]
    return f"{min(ratios):.0f} to {max(ratios):.0f}" if ratios else "—"


def column_rows(groups: dict[str, dict]) -> list[str]:
    """Exponent and constant of tails and compressibility."""
    rows = ["| study | α | exponent | theory | measured | constant |"]
    rows.append("|---|---|---|---|---|---|")
    for name, group in groups.items():
        for run in group["runs"]:
            e = run["exponent"]
            axis = "tail index" if name == "tails" else "width"
            measured = interval(e).replace("+", "")
            rows.append(
                f"| {name} | {case(run)[2]:g} | {axis} | {e['theory']:.3f} | {measured} | "
                f"{constant(run, 'relative error')} |"
            )
    return rows


def sharpness_rows(runs: list[dict]) -> list[str]:
    """The measured order of the step beside the paper's and the proven one."""
    rows = ["| drift | α | paper, 1/α | proven for bounded drifts | measured | η → 0 |"]
    rows.append("|---|---|---|---|---|---|")
    for run in runs:
        drift, _, alpha = case(run)
        step = run["exponents"]["step"]
        order = HOLDER.get(drift)
        proven = "—" if order is None else f"{theory.euler_order(alpha, order):.3f}"
        rows.append(
            f"| {drift} | {alpha:g} | {1 / alpha:.3f} | {proven} | {interval(step)} | "
            f"{interval(step, 'asymptotic')} |"
        )
    return rows


def sharpness_figure(runs: list[dict], path: Path) -> None:
    """The order of the step against α, one line for each drift."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for number, (drift, (marker, line)) in enumerate(STYLES.items()):
        mine = [run for run in runs if case(run)[0] == drift]
        alphas = np.array([case(run)[2] for run in mine]) + 0.008 * (number - 2.5)
        steps = [run["exponents"]["step"] for run in mine]
        value = np.array([s["estimate"] for s in steps])
        bars = np.abs(np.array([[s["lower"], s["upper"]] for s in steps]).T - value)
        shade = str(0.12 * number)
        axes.errorbar(
            alphas, value, bars, marker=marker, ls=line, ms=4.5, lw=1, capsize=2, color=shade,
            mfc="white" if number % 2 else shade, label=drift,
        )  # fmt: skip
    grid = np.linspace(1.05, 1.95, 50)
    axes.plot(grid, 1 / grid, "k:", lw=1.6, label="Theorem 4.1: 1/α")
    proven = [theory.euler_order(a, 0.5) for a in grid]
    axes.plot(grid, proven, "k-.", lw=1.2, label="proven, bounded, Hölder ½")
    axes.axhline(1, color="k", lw=0.6)
    axes.set(xlabel="stability index α", ylabel="order in the step η (95 % intervals)")
    axes.legend(ncols=2, fontsize=8, frameon=False, loc="lower left")
    axes.set_ylim(bottom=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=200)


def main(results: Path) -> None:
    """Writes docs/snippets/full-*.md and the figures of docs/full-run.md."""
    record = json.loads((results / "results.json").read_text())
    studies = record["studies"]
    columns = {name: studies[name] for name in ("tails", "compressibility")}
    texts = {
        "table": column_rows(columns),
        "chaos": chaos_rows(studies["propagation_of_chaos"]["runs"]),
        "strong": strong_rows(studies["strong_error"]["runs"]),
        "sharpness": sharpness_rows(studies["sharpness"]["runs"]),
    }
    for name, lines in texts.items():
        (HERE / "snippets" / f"full-{name}.md").write_text("\n".join(lines).rstrip() + "\n")
    sharpness_figure(studies["sharpness"]["runs"], HERE / "figures" / "sharpness-map.png")
    (HERE / "full").mkdir(exist_ok=True)
    summary = (results / "summary.csv").read_bytes()
    (HERE / "full" / "summary.csv.gz").write_bytes(gzip.compress(summary, 9, mtime=0))
    for name in FIGURES:
        shutil.copy(results / "figures" / f"{name}.png", HERE / "figures" / f"full-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else f"results/full-seed0-{__version__}"))
