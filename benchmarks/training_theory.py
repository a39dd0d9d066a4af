"""What theory predicts for the paper's tables: `python -m benchmarks.training_theory [--write]`.

Pruning ratios of start and noise alone beside the printed ones and those of our trained networks
(the cells of `stablesde table N --run`, as far as `--out` holds them), and training in mean-field
scaling beside its limit. Needs ECG5000; ten minutes on two cores. `--write` stores the tables of
the docs.
"""

import argparse
import math
from pathlib import Path

from benchmarks._timing import markdown
from stablesde import paper
from stablesde.paper._train import format_measured

SNIPPETS = Path(__file__).parents[1] / "docs" / "snippets"
# Table of the paper, and the σ with which our cells reproduce its ratios.
TABLES = {1: 0.15, 11: 0.15, 13: 0.25, 2: 0.15, 3: 0.15, 4: 0.25}
# Noise at the end of the mean-field runs, as in those tables: σ (ηK)^(1/α), T = 1.
FIELD = {kind: sigma * 0.18 ** (1 / 1.75) for kind, sigma in
         {"I": 0.15, "II": 0.15, "III": 0.25}.items()}  # fmt: skip


def predicted(out: Path, networks: int) -> str:
    """The paper's ratios, ours, and those without training."""
    rows = []
    for number, sigma in TABLES.items():
        table = paper.paper_table(number, out, sigma=sigma, predict=networks)
        for row in table.rows:
            if row.setting.noise == "none":
                continue
            printed, ours, law = row.printed["pruning_ratio"], row.ours, row.predicted
            assert law is not None
            distance = (printed["mean"] - law.mean) / (law.std / math.sqrt(5))
            rows.append([
                f"{number}: Type {table.noise}, n = {table.width}, σ = {sigma:g}", row.label,
                format_measured(printed["mean"], printed["std"], 1),
                format_measured(ours["pruning_ratio"].mean, ours["pruning_ratio"].std, 1)
                + f" ({len(row.seeds)})" if ours else "",
                format_measured(law.mean, law.std, 1), f"{distance:+.1f}",
            ])  # fmt: skip
    head = ["table", "α", "paper", "ours (seeds)", "start and noise alone",
            "paper's mean off by, standard errors of five"]  # fmt: skip
    return markdown([head, *rows])


def mean_field() -> str:
    """Trained networks in mean-field scaling beside their limit."""
    rows = []
    for kind, sigma in FIELD.items():
        r = paper.train_mean_field("ecg5000", width=2000, noise=kind, sigma=sigma, seeds=5)
        laws = [f"{law.quantile(0.5):.1f} [{law.quantile(0.05):.1f}, {law.quantile(0.95):.1f}]"
                for law in (r.predicted, r.predicted_noise)]  # fmt: skip
        numbers = [(r.pruning_ratio, 2), (r.limit_ratio, 2), (r.noise_ratio, 2)]
        rows.append([
            f"Type {kind}, σ = {sigma:.4f}",
            *[format_measured(m.mean, m.std, d) for m, d in numbers], *laws,
            format_measured(r.drift.mean, r.drift.std, 3), f"{max(r.distance.values):.4f}",
            f"{r.drift_bound:.1f}",
            format_measured(r.test_accuracy.mean, r.test_accuracy.std, 3),
            format_measured(r.test_accuracy_pruned.mean, r.test_accuracy_pruned.std, 3),
        ])  # fmt: skip
    head = ["noise", "ratio (%), trained", "limit, same noise", "without drift, same noise",
            "fresh limits: median [90 %]", "fresh, without drift", "‖D_T‖, median over units",
            "largest distance to the copy", "T sup‖b‖", "test accuracy",
            "test accuracy, pruned"]  # fmt: skip
    return markdown([head, *rows])


def main() -> None:
    """Prints both tables, and writes them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results-tables"))
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    texts = {"training-predicted.md": predicted(options.out, options.networks),
             "training-mean-field.md": mean_field()}  # fmt: skip
    for name, text in texts.items():
        print(f"\n{text}")
        if options.write:
            (SNIPPETS / name).write_text(text)


if __name__ == "__main__":
    main()
