"""The order of the Euler scheme with σ(θ) = 1 + tanh(θ)/2, with intervals, for the docs.

`python -m benchmarks.multiplicative` writes docs/snippets/multiplicative.md.

The error of a particle is |θ - θ̂| at t = 1, against a scheme with a 32 times finer step than the
finest; its median over independent particles is what a slope is fitted to, since a normalised error
that converges in law has a median that does. Jacod (2004) proves the rate (η log(1/η))^(1/α) for
symmetric stable noise of α < 2; at α = 2 it is η^(1/2).
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from stablesde.dynamics import coupled_steps

ALPHAS = (1.2, 1.5, 1.8, 2.0)
STEPS = (64, 128, 256, 512, 1024)
FINE = 32_768
PARTICLES = 16_384
SNIPPET = Path(__file__).parents[1] / "docs" / "snippets" / "multiplicative.md"


def errors(alpha: float) -> np.ndarray:
    """|θ - θ̂| at t = 1 of each particle, (particles, steps)."""
    model = ssd.FunctionModel(1, lambda t, theta, m: -jnp.tanh(theta))
    system = ssd.System(
        model,
        ssd.stable_noise("I", alpha, 1),
        sigma=lambda t, theta, m: 1 + jnp.tanh(theta) / 2,
    )
    keys = jax.random.split(jax.random.key(1), PARTICLES)
    found = coupled_steps(
        system, keys, widths=(1,), num_steps=STEPS, fine_steps=FINE, t1=1.0, batch=2048
    )
    return np.asarray(found.final_sup)[:, 0]


def slopes(found: np.ndarray, rate: np.ndarray) -> tuple[float, float, float]:
    """The slope of the median error in log(rate), and the ends of its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    x = np.log(rate)

    def slope(sample: np.ndarray) -> float:
        return float(np.polyfit(x, np.log(np.median(sample, 0)), 1)[0])

    draws = [slope(found[rng.integers(0, len(found), len(found))]) for _ in range(400)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return slope(found), float(low), float(high)


def main() -> None:
    eta = 1 / np.asarray(STEPS, float)
    lines = [
        "| α | 1/α | slope in η | slope in η log(1/η) |",
        "|---|---|---|---|",
    ]
    for alpha in ALPHAS:
        found = errors(alpha)
        cells = []
        for rate in (eta, eta * np.log(1 / eta)):
            estimate, low, high = slopes(found, rate)
            cells.append(f"{estimate:.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {alpha:g} | {1 / alpha:.3f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    SNIPPET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
