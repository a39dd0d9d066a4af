"""The figures of docs/compressibility.md: `python docs/compressibility_figures.py` (3 minutes)."""

from pathlib import Path

import jax
import matplotlib
import numpy as np

matplotlib.use("Agg")

from systems import Kuramoto

import stablesde as ssd
from stablesde import plotting, theory

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
    plotting.plot_probability(study, FIGURES / "compression-probability.png")


def law() -> None:
    """The law of the error at 100 columns."""
    laws = {}
    for alpha in (1.2, 1.9):
        noise = ssd.OneFactorStable(alpha, 1)
        squares = np.sort(np.asarray(noise.sample(KEY, (20_000, 100)), float)[..., 0] ** 2, axis=1)
        errors = np.sqrt(squares[:, :90].sum(1) / squares.sum(1))
        laws[f"α = {alpha:g}"] = (theory.compression_law(noise, 0.1), 100, errors)
    plotting.plot_compression_law(laws, FIGURES / "compression-law.png")


def independence() -> None:
    """Pairs of oscillators, and of independent copies of their limit."""
    system = ssd.System(Kuramoto(2.0), ssd.stable_noise("I", 1.2, 1))
    sizes = dict(widths=(16, 32, 64, 128, 256), num_steps=32, t1=1.0, replicas=2000)
    studies = {
        name: ssd.independence(system, KEY, **sizes, coupled=coupled)
        for name, coupled in (("Kuramoto, α = 1.2", True), ("copies of the limit", False))
    }  # fmt: skip
    plotting.plot_independence(studies, FIGURES / "independence.png")


def iid() -> None:
    """The exponent of independent columns."""
    study = ssd.iid_compressibility(
        ssd.OneFactorStable(1.5, 1), KEY, widths=tuple(10**k for k in range(2, 7)), kappas=(0.1,),
        replicas=64,
    )  # fmt: skip
    plotting.plot(study, FIGURES / "iid-compressibility.png")


def main() -> None:
    """All of them."""
    plotting.plot_lemma_b1(FIGURES / "lemma-b1.png")
    law()
    independence()
    probability()
    iid()


if __name__ == "__main__":
    main()
