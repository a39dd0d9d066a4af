"""The figure of docs/training.md: `python docs/training_figures.py` (2 minutes; needs ECG5000)."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from stablesde import paper, training
from stablesde.datasets import load
from stablesde.plotting import MARKERS, shades, style
from stablesde.plotting._style import save

FIGURES = Path(__file__).parent / "figures"
WIDTH, SEEDS, ALPHA = 2000, 3, 1.75
# Noise type, and the σ that reproduces the paper's table best.
NOISES = {"no noise": ("none", 0.0), "Type I": ("I", 0.15), "Type II": ("II", 0.15),
          "Type III": ("III", 0.5**1.5)}  # fmt: skip


def curves(panel: Axes, networks: dict, data) -> None:
    """Test accuracy against the fraction removed: the mean, and the range over seeds."""
    for (name, found), shade, marker in zip(networks.items(), shades(4), MARKERS, strict=False):
        many = [training.pruning_curve(network, data) for network in found]
        x = 100 * np.array(many[0].fractions)
        y = np.array([c.test_accuracy for c in many])
        panel.plot(x, y.mean(0), color=shade, marker=marker, markevery=(5, 12), ms=4, label=name)
        panel.fill_between(x, y.min(0), y.max(0), color=shade, alpha=0.15, lw=0)
        # Where the removed units' share of the squared norm passes 0.1.
        ratio = 100 * np.mean([np.interp(0.1, c.error, c.fractions) for c in many])
        panel.plot([ratio] * 2, [0.6, 0.615], color=shade, lw=2)
    panel.set(xlabel="units removed (%)", ylabel="test accuracy", ylim=(0.6, 1), xlim=(0, 100))
    panel.legend(loc="lower left", bbox_to_anchor=(0, 0.08))


def tails(panel: Axes, networks: dict) -> None:
    """The fraction of units whose norm exceeds r, one seed."""
    for (name, found), shade, marker in zip(networks.items(), shades(4), MARKERS, strict=False):
        norms = np.sort(np.linalg.norm(np.asarray(found[0].w1, float), axis=0))
        above = 1 - np.arange(WIDTH) / WIDTH
        places = np.unique(WIDTH - np.geomspace(1, WIDTH, 25).astype(int))
        panel.plot(norms, above, color=shade, lw=1)
        panel.plot(norms[places], above[places], ls="", color=shade, marker=marker, ms=4,
                   label=name)  # fmt: skip
    r = np.array([3.0, 60.0])
    panel.plot(r, 0.6 * r**-ALPHA, "k--", lw=1, label=f"$r^{{-{ALPHA:g}}}$")
    panel.set(xscale="log", yscale="log", ylim=(0.4 / WIDTH, 1.3))
    panel.set(xlabel="norm r of a unit's weights", ylabel="fraction of units above r")
    panel.legend(loc="upper right")


def main() -> None:
    """Trains and draws."""
    data = load("ecg5000")
    networks = {}
    for name, (kind, sigma) in NOISES.items():
        preset = paper.Preset(3e-4, sigma, 600)
        networks[name] = [
            paper.fit(data, WIDTH, kind, ALPHA, preset, seed)[0] for seed in range(SEEDS)
        ]
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
        curves(left, networks, data)
        tails(right, networks)
        save(figure, FIGURES / "training-pruning.png")


if __name__ == "__main__":
    main()
