"""The law flow in dimension one: Fokker–Planck against exact laws, against itself, and particles.

    python -m benchmarks.fokker_planck [--write FILE] [--figure FILE]

Three tables: the error of the splitting in the step (Ornstein–Uhlenbeck, closed form), of the grid
in the number of nodes (tanh network, against 1601 nodes), and the distance of a law flow of 10^6
particles in its own standard errors.
"""

import argparse
import time
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import quad

import stablesde as ssd
from benchmarks._timing import markdown

ALPHAS = (1.2, 1.5, 1.8)
STEPS = (4, 8, 16, 32, 64, 128)
NODES = (101, 151, 225, 337, 505, 757)
PARTICLES = 1_000_000


class Bump(ssd.MeanFieldModel):
    """Ornstein–Uhlenbeck of rate 1, seen by 1/(1 + (θ - 0.75)²)."""

    dim: int = 1

    def statistic(self, theta):  # type: ignore[no-untyped-def]
        return 1 / (1 + (theta - 0.75) ** 2)

    def drift(self, theta, m):  # type: ignore[no-untyped-def]
        return -theta


def bump_mean(alpha: float) -> float:
    """E at time 1 from θ₀ = 0: ∫_0^∞ e^-u Re(e^-0.75iu E exp(iuθ)) du."""
    scale = (1 - np.exp(-alpha)) / alpha

    def integrand(u: float) -> float:
        return np.exp(-u - scale * u**alpha) * np.cos(0.75 * u)

    return quad(integrand, 0, 36, epsabs=1e-14, epsrel=1e-13, limit=500)[0]


def network() -> ssd.NetworkModel:
    """Its labels want θ < 0; it starts from θ = 1."""
    x = 1.5 * np.random.default_rng(3).normal(size=(12, 1))
    return ssd.NetworkModel("tanh", "logistic", x, x[:, 0] < 0)


def ladder(name: str, sizes: tuple[int, ...], errors: dict[float, list[float]]) -> str:
    """Errors and the slope from the size before, a row per size."""
    rows = [[name, *(f"α = {a}: error (order)" for a in errors)]]
    for i, size in enumerate(sizes):
        cells = []
        for error in errors.values():
            order = ""
            if i:
                ratio = np.log(error[i - 1] / error[i]) / np.log(size / sizes[i - 1])
                order = f" ({ratio:.2f})"
            cells.append(f"{error[i]:.1e}{order}")
        rows.append([str(size), *cells])
    return markdown(rows)


def steps_table() -> str:
    errors = {}
    for alpha in ALPHAS:
        exact = bump_mean(alpha)
        runs = [
            ssd.fokker_planck(
                ssd.System(Bump(), ssd.OneFactorStable(alpha, 1), init=np.zeros(1)),
                t1=1.0,
                num_steps=k,
            )
            for k in STEPS
        ]
        errors[alpha] = [abs(run.m[-1, 0] - exact) for run in runs]
    return ladder("steps", STEPS, errors)


def nodes_table() -> str:
    model, errors = network(), {}
    for alpha in ALPHAS:
        settings = dict(t1=3.0, num_steps=20, scheme="euler", reach=1e6)
        system = ssd.System(model, ssd.OneFactorStable(alpha, 1), init=np.ones(1))
        best = ssd.fokker_planck(system, num_nodes=1601, **settings).m
        runs = [ssd.fokker_planck(system, num_nodes=n, **settings) for n in NODES]
        errors[alpha] = [float(np.max(np.abs(run.m - best))) for run in runs]
    return ladder("nodes", NODES, errors)


def draw(solution: ssd.FokkerPlanck, flow: ssd.LawFlow, path: Path) -> None:
    """The law flow of the equation (lines) under that of particles; below, their distance."""
    estimate, spread = np.asarray(flow.m, float), np.asarray(flow.standard_error, float)
    with ssd.plotting.style():
        figure, (upper, lower) = plt.subplots(
            2, 1, sharex=True, height_ratios=(2.4, 1), figsize=(5.6, 5.2), layout="constrained"
        )
        # A start from a point has no spread but rounding.
        z = (estimate - solution.m) / np.where(spread > 1e-3 * spread.max(), spread, np.inf)
        upper.plot(solution.times, solution.m, "-", lw=1)
        upper.set_prop_cycle(None)
        upper.plot(solution.times, estimate, ".", ms=3.5)
        lower.plot(solution.times, z, "-", lw=0.7)
        upper.plot([], [], "k-", lw=1, label=f"Fokker–Planck, error ≤ {solution.error.max():.0e}")
        error = f"standard error ≤ {spread.max():.0e}"
        upper.plot([], [], "k.", ms=3.5, label=f"{flow.num_particles:.0e} particles, {error}")
        upper.set(ylabel="m_t = E φ(θ_t)")
        upper.legend(loc="upper left")
        for level in (-4, 4):
            lower.axhline(level, color="k", ls=":", lw=1)
        lower.set(xlabel="t", ylabel="distance in\nstandard errors", ylim=(-5, 5))
        figure.savefig(path, dpi=160)


def particles_table(figure: Path | None) -> str:
    model = network()
    rows = [
        [
            "α",
            "largest standard error",
            "largest distance, in standard errors",
            "error of Fokker–Planck",
            "seconds",
            "seconds, particles",
        ]
    ]
    for alpha in ALPHAS:
        system = ssd.System(model, ssd.OneFactorStable(alpha, 1), init=np.ones(1))
        settings = dict(t1=3.0, num_steps=20)
        start = time.perf_counter()
        run = ssd.fokker_planck(system, scheme="euler", **settings)
        middle = time.perf_counter()
        flow = ssd.law_flow(system, jax.random.key(0), num_particles=PARTICLES, **settings)
        jax.block_until_ready(flow.m)
        end = time.perf_counter()
        # The start is known: there is nothing to compare.
        error = np.asarray(flow.standard_error, float)[1:]
        distance = np.max(np.abs(np.asarray(flow.m, float)[1:] - run.m[1:]) / error)
        rows.append(
            [f"{alpha}", f"{error.max():.1e}", f"{distance:.2f}", f"{run.error.max():.0e}",
             f"{middle - start:.1f}", f"{end - middle:.1f}"]
        )  # fmt: skip
        if figure is not None and alpha == 1.5:
            draw(run, flow, figure)
    return markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--figure", type=Path, help="draw the law flows at α = 1.5 to this file")
    arguments = parser.parse_args()
    text = f"""`python -m benchmarks.fokker_planck`

Error in the step, Ornstein–Uhlenbeck from a point, E 1/(1 + (θ_1 - 0.75)²) against its closed form:

{steps_table()}

Error in the number of nodes, tanh network with 12 data points, Euler law of 20 steps to time 3:

{nodes_table()}

The same law flow at the default nodes, beside {PARTICLES:.0e} particles (first calls, with
compilation):

{particles_table(arguments.figure)}
"""
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
