"""The figures of docs/compressibility.md: `python docs/compressibility_figures.py` (3 minutes)."""

from pathlib import Path

import jax
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from systems import Kuramoto

import stablesde as ssd
from stablesde import plotting, theory
from stablesde.theory._maximum import lemma_b1_threshold

FIGURES = Path(__file__).parent / "figures"
KEY = jax.random.key(20231106)


def probability() -> None:
    """Theorem 3.1 in its regime."""
    rng = np.random.default_rng(1)
    network = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)
    study = ssd.compression_probability(
        ssd.System(network, ssd.OneFactorStable(1.2, 2)),
        KEY,
        widths=(16, 32, 64, 128),
        kappas=(0.1, 0.3),
        epsilons=(0.3, 0.5),
        t1=1.0,
        replicas=200,
        batch=50,
    )
    plotting.plot(study, FIGURES / "compression-probability.png")


def law() -> None:
    """The law of the error at 100 columns."""
    laws = {}
    for alpha in (1.2, 1.9):
        noise = ssd.OneFactorStable(alpha, 1)
        squares = np.sort(np.asarray(noise.sample(KEY, (20_000, 100)), float)[..., 0] ** 2, axis=1)
        errors = np.sqrt(squares[:, :90].sum(1) / squares.sum(1))
        laws[f"α = {alpha:g}"] = (theory.compression_law(noise, 0.1), 100, errors)
    with plotting.style():
        figure, (upper, lower) = plt.subplots(
            2, 1, sharex=True, height_ratios=(2, 1), figsize=(5.6, 4.6), layout="constrained"
        )
        band = 0.0
        for (label, (law, n, errors)), look in zip(
            laws.items(), (("o", "0"), ("s", "0.4")), strict=True
        ):
            marker, colour = look
            grid = np.quantile(errors, np.linspace(0.01, 0.99, 33))
            below = np.searchsorted(np.sort(errors), grid, side="right") / len(errors)
            exact, limit = law.cdf(grid, n), law.limit_cdf(grid, n)
            upper.plot(grid, below, marker, color=colour, ms=3, label=f"simulated, {label}")
            upper.plot(grid, exact, "-", color=colour, lw=1, label="exact law")
            upper.plot(grid, limit, ":", color=colour, lw=1.2, label="limit law")
            lower.plot(grid, exact - below, "-" + marker, color=colour, ms=2.5, lw=0.8)
            lower.plot(grid, limit - below, ":", color=colour, lw=1.2)
            band = max(band, 1.36 / len(errors) ** 0.5)  # of Kolmogorov's distance, 95 %
        lower.axhspan(-band, band, color="0.9", zorder=0)
        upper.set(ylabel="P(error ≤ ε)")
        lower.set(xlabel="relative error ε", ylabel="law - simulated")
        upper.legend(ncols=len(laws))
        figure.savefig(FIGURES / "compression-law.png", dpi=200)


def independence() -> None:
    """Pairs of oscillators, and of independent copies of their limit."""
    system = ssd.System(Kuramoto(2.0), ssd.stable_noise("I", 1.2, 1))
    sizes = dict(widths=(16, 32, 64, 128, 256), num_steps=32, t1=1.0, replicas=2000)
    studies = {
        name: ssd.independence(system, KEY, **sizes, coupled=coupled)
        for name, coupled in (("Kuramoto, α = 1.2", True), ("copies of the limit", False))
    }  # fmt: skip
    plotting.plot(studies, FIGURES / "independence.png")


def iid() -> None:
    """The exponent of independent columns."""
    study = ssd.iid_compressibility(
        ssd.OneFactorStable(1.5, 1), KEY, widths=tuple(10**k for k in range(2, 7)), kappas=(0.1,),
        replicas=64,
    )  # fmt: skip
    plotting.plot(study, FIGURES / "iid-compressibility.png")


def lemma_b1() -> None:
    """Lemma B.1 over the truth, E max |Z_i| ≤ (8 C_α + 1) n^{1/α}, against α, for n = 10⁷."""
    alphas = np.linspace(1.01, 1.95, 95)
    unit = [1e7 ** (1 / a) for a in alphas]
    with plotting.style():
        figure, axes = plt.subplots(figsize=(4.8, 3.2), layout="constrained")
        for constant, line in (("both tails", "-"), ("one tail", "--")):
            bounds = [theory.lemma_b1(a, 1e7, constant=constant).paper for a in alphas]
            threshold = lemma_b1_threshold(constant=constant)
            label = f"lemma, C_α of {constant}: fails below α = {threshold:.4f}"
            axes.plot(alphas, np.divide(bounds, unit), line, color="0.5", label=label)
            axes.axvline(threshold, color="0.5", ls=":", lw=0.8)
        exact = [theory.lemma_b1(a, 1e7).exact for a in alphas]
        axes.plot(alphas, np.divide(exact, unit), "k-", lw=1.5, label="exact, n = 10⁷")
        axes.set(xlabel="α", ylabel="E max / n$^{1/α}$", yscale="log")
        axes.legend()
        figure.savefig(FIGURES / "lemma-b1.png", dpi=200)


def main() -> None:
    """All of them."""
    lemma_b1()
    law()
    independence()
    probability()
    iid()


if __name__ == "__main__":
    main()
