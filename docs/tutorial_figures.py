"""Figures of docs/noise.md and docs/coupling.md: `python docs/tutorial_figures.py` (20 seconds)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from systems import Kuramoto

import stablesde as ssd
from stablesde.plotting import shades, style

FIGURES = Path(__file__).parent / "figures"
KEY = jax.random.key(4)


def levy_paths() -> None:
    """One path of each type in the plane."""
    with style():
        figure, row = plt.subplots(1, 3, figsize=(7.2, 2.6), layout="constrained")
        for axes, kind, colour in zip(row, ("I", "II", "III"), shades(3), strict=True):
            noise = ssd.stable_noise(kind, 1.5, 2)
            steps = [noise.increment(KEY, k, 1e-3, 1)[0] for k in range(1000)]
            path = np.cumsum(np.asarray(steps), axis=0)
            axes.plot(*path.T, color=colour, lw=0.8)
            axes.set(title=f"Type {kind}", xlabel="$L_t$, first coordinate", aspect="equal")
            axes.set_adjustable("datalim")
        row[0].set_ylabel("second coordinate")
        figure.savefig(FIGURES / "levy-paths.png", dpi=200)


def coupling() -> None:
    """One particle in systems of three sizes and in the limit; the mean distance over time."""
    model, noise = Kuramoto(2.0), ssd.stable_noise("I", 1.5, 1)
    run = {"t1": 1.0, "num_steps": 64}
    flow = ssd.law_flow(ssd.System(model, noise), KEY, **run, num_particles=2**18)
    sizes = (16, 256, 4096)

    @jax.vmap
    def coupled(key):
        limit = ssd.simulate_limit(flow, key, num_particles=4096, save_every=1)
        return limit.displacement, [
            ssd.simulate(
                ssd.System(model, noise), key, **run, num_particles=n, save_every=1
            ).displacement
            for n in sizes
        ]

    limit, systems = coupled(jax.random.split(KEY, 32))
    times = np.linspace(0, 1, 65)
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained")
        lines = zip(sizes, systems, shades(3), ("-", "--", "-."), strict=True)
        for n, system, colour, line in lines:
            left.plot(times, system[0, :, 0, 0], line, color=colour, label=f"n = {n}")
            gap = jnp.abs(system - limit[:, :, :n]).mean((2, 3))
            low, centre, high = jnp.quantile(gap, jnp.array([0.1, 0.5, 0.9]), axis=0)
            right.plot(times[1:], centre[1:], line, color=colour)
            right.fill_between(times[1:], low[1:], high[1:], color=colour, alpha=0.15, lw=0)
        left.plot(times, limit[0, :, 0, 0], "k:", lw=1.8, label="copy of the limit")
        left.set(xlabel="time t", ylabel="D of one particle")
        left.legend()
        right.set(xlabel="time t", ylabel="mean over particles of |D - D'|", yscale="log")
        figure.savefig(FIGURES / "coupling.png", dpi=200)


def main() -> None:
    """Both."""
    levy_paths()
    coupling()


if __name__ == "__main__":
    main()
