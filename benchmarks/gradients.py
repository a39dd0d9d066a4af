"""Gradients of 1000-step runs against finite differences: `python -m benchmarks.gradients`.

`--write FILE` writes the table. Gradient in σ, α, a rate of the drift and the scale of θ₀.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._timing import markdown, side_by_side

N, STEPS, H = 2000, 1000, 1e-5
POINT = (0.5, 1.7, 0.8, 1.3)


def statistic(kind: str, save_every: int | None):
    """A function of (σ, α, rate, scale of θ₀)."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2
    network = ssd.NetworkModel("tanh", "logistic", x, y)

    def value(p):
        run = ssd.simulate(
            ssd.System(
                ssd.WeightDecay(network, p[2]),
                ssd.stable_noise(kind, p[1], 2),
                sigma=p[0],
                init=p[3],
            ),
            jax.random.key(0),
            num_particles=N,
            t1=1.0,
            num_steps=STEPS,
            save_every=save_every,
        )
        return jnp.mean(jnp.tanh(run.theta - 0.5))

    return value


def row(kind: str, save_every: int | None) -> list[str]:
    """One line of the table."""
    value = statistic(kind, save_every)
    point = jnp.array(POINT)
    run = jax.jit(value).lower(point).compile()
    gradient = jax.jit(jax.grad(value)).lower(point).compile()
    differences = [(run(point + e) - run(point - e)) / (2 * H) for e in H * jnp.eye(4)]
    error = np.max(np.abs(gradient(point) / jnp.array(differences) - 1))
    memory = [c.memory_analysis().temp_size_in_bytes for c in (run, gradient)]
    seconds = side_by_side({"run": lambda: run(point), "gradient": lambda: gradient(point)}, 3)
    return [
        kind, "the end" if save_every is None else f"every {save_every} steps",
        f"{error:.1e}",
        f"{memory[1] / memory[0]:.2f}", f"{seconds['gradient'] / seconds['run']:.1f}",
    ]  # fmt: skip


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    rows = [
        [
            "type",
            "saved",
            "largest relative difference",
            "memory, ratio",
            "time, ratio",
        ]
    ]
    with jax.enable_x64(True):
        rows += [row(kind, save) for kind in ("I", "II", "III") for save in (None, 250)]
    text = markdown(rows) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
