"""What a number of each Lévy noise costs, in units of Type II on the same machine, for the docs.

`python -m benchmarks.levy` writes docs/snippets/benchmarks-levy.md. Runs of all noises alternate,
and the least time of each counts.
"""

import time
from pathlib import Path

import jax

import stablesde as ssd

PARTICLES, ROUNDS = 2**17, 7
SNIPPET = Path(__file__).parents[1] / "docs" / "snippets" / "benchmarks-levy.md"


def noises(dim: int) -> dict[str, ssd.LevyNoise]:
    """By their names; a step of 1/64."""
    return {
        "Type II, α = 1.5": ssd.IndependentStable(1.5, dim),
        "Brownian": ssd.Brownian(dim),
        "tempered stable, α = 1.5, λ = 1": ssd.TemperedStable(1.5, dim),
        "variance gamma, ν = 1": ssd.VarianceGamma(dim),
        "normal inverse Gaussian, ν = 1": ssd.NormalInverseGaussian(dim),
        "compound Poisson, normal jumps, rate 1": ssd.CompoundPoisson(1.0, dim),
    }


def costs(dim: int) -> dict[str, float]:
    """Seconds of one step, over those of Type II."""
    key, best = jax.random.key(0), {}
    for _ in range(ROUNDS + 1):
        for name, noise in noises(dim).items():
            start = time.perf_counter()
            noise.increment(key, 0, 1 / 64, PARTICLES).block_until_ready()
            taken = time.perf_counter() - start
            best[name] = min(best.get(name, float("inf")), taken)
    return {name: taken / best["Type II, α = 1.5"] for name, taken in best.items()}


def main() -> None:
    one, four = costs(1), costs(4)
    lines = ["| noise | time per number, dim = 1 | dim = 4 |", "|---|---|---|"]
    lines += [f"| {name} | {one[name]:.1f} | {four[name]:.1f} |" for name in one]
    SNIPPET.write_text("\n".join(lines) + "\n")
    print(SNIPPET.read_text())


if __name__ == "__main__":
    main()
