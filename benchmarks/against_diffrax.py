"""Against diffrax, VirtualBrownianTree: `python -m benchmarks.against_diffrax [--write FILE]`.

The same particle system at α = 2, by Euler with the same number of steps. Needs the extra `bench`
or `diffrax`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown, side_by_side
from benchmarks.engine import KEY

try:
    import diffrax
    import lineax
except ImportError:
    raise SystemExit("this benchmark needs diffrax: pip install '.[diffrax]'") from None

N, STEPS, P = 100_000, 20, 2


def diffrax_run() -> Callable[[], jax.Array]:
    """The scheme in diffrax; α = 2 is √2 times Brownian motion."""
    model = network()

    def field(t: jax.Array, theta: jax.Array, args: None) -> jax.Array:
        m = jnp.mean(model.statistic_columns(theta), 1)
        return model.drift_columns(t, theta, m)

    def diffusion(t: jax.Array, theta: jax.Array, args: None) -> lineax.AbstractLinearOperator:
        return lineax.DiagonalLinearOperator(jnp.full((P, N), 2**0.5))

    @jax.jit
    def go(key: jax.Array) -> jax.Array:
        path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=1 / (2 * STEPS), shape=(P, N), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(field), diffrax.ControlTerm(diffusion, path))
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, 1.0, 1 / STEPS, jax.random.normal(key, (P, N)),
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=STEPS,
        ).ys  # fmt: skip

    return lambda: go(KEY)


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    model, noise = network(), ssd.stable_noise("II", 2.0, P)
    contestants = {
        "stablesde, α = 2": lambda: (
            ssd.simulate(
                ssd.System(model, noise), KEY, num_particles=N, t1=1.0, num_steps=STEPS
            ).final
        ),
        "diffrax, VirtualBrownianTree": diffrax_run(),
    }
    times = side_by_side(contestants, repetitions=7)
    ours = next(iter(times.values()))
    rows = [["n = 100 000, p = 2, M = 16, 20 steps", "ns per particle-step", "ratio"]]
    for name, seconds in times.items():
        rows.append([name, f"{seconds / N / STEPS * 1e9:.0f}", f"{seconds / ours:.1f}"])
    text = markdown(rows) + "\n"
    print(text)
    if write:
        write.write_text(text)


if __name__ == "__main__":
    main()
