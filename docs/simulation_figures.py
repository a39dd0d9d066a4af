"""The figure of docs/simulation.md: `python docs/simulation_figures.py` (about a minute)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from systems import Kuramoto

import stablesde as ssd

STYLES = {1.2: ("o", "-"), 1.5: ("s", "--"), 2.0: ("^", ":")}


def main() -> None:
    """Order parameter of the stationary state against the coupling, for three α."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    couplings = np.linspace(0.5, 5, 19)
    for alpha, (marker, line) in STYLES.items():
        order = []
        for coupling in couplings:
            flow = ssd.law_flow(
                ssd.System(Kuramoto(jnp.float32(coupling)), ssd.stable_noise("I", alpha, 1)),
                jax.random.key(0),
                t1=60.0,
                num_steps=1200,
                num_particles=16_384,
                batches=1,
            )
            order.append(float(jnp.linalg.norm(flow.m[-400:], axis=-1).mean()))
        axes.plot(couplings, order, marker + line, ms=4, label=f"α = {alpha:g}")
    axes.axvline(2, color="0.4", lw=1)
    axes.annotate("theory: $K_c = 2σ^α$", (2, 0.85), (0.55, 0.85), color="0.3")
    axes.set(xlabel="coupling K / σ$^α$", ylabel="order parameter r", ylim=(0, 1))
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).parent / "figures" / "kuramoto.png", dpi=200)


if __name__ == "__main__":
    main()
