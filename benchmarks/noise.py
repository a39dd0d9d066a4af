"""Drawing stable numbers: `python -m benchmarks.noise [--write FILE]`.

Against `jax.random.normal` (the same bits, no tail), the textbook Chambers–Mallows–Stuck formula in
JAX (wrong in the float32 tail), and scipy.stats.levy_stable.rvs.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

import stablesde as ssd
from benchmarks._timing import markdown, side_by_side

N = 4_000_000
SCIPY_N = 400_000


def textbook(key, alpha, shape):
    """Chambers–Mallows–Stuck as usually written."""
    first, second = jax.random.split(key)
    u = jax.random.uniform(first, shape, minval=-jnp.pi / 2, maxval=jnp.pi / 2)
    e = jax.random.exponential(second, shape)
    power = jnp.cos((1 - alpha) * u) / e
    return jnp.sin(alpha * u) / jnp.cos(u) ** (1 / alpha) * power ** ((1 - alpha) / alpha)


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    key = jax.random.key(0)
    rng = np.random.default_rng(0)
    draws = {
        "jax.random.normal": jax.jit(lambda: jax.random.normal(key, (N,))),
        "textbook formula in JAX, α = 1.5": jax.jit(lambda: textbook(key, 1.5, (N,))),
        **{
            f"ssd.stable.sample, α = {a:g}": jax.jit(
                lambda a=a: ssd.stable.sample(key, a, shape=(N,), dtype=jnp.float32)
            )
            for a in (0.8, 1.0, 1.5, 1.9, 2.0)
        },
    }
    seconds = {k: s / N for k, s in side_by_side(draws).items()}
    law = scipy.stats.levy_stable
    slow = {
        "scipy levy_stable.rvs, α = 1.5": lambda: law.rvs(1.5, 0, size=SCIPY_N, random_state=rng)
    }
    seconds |= {k: s / SCIPY_N for k, s in side_by_side(slow, 3).items()}
    base = seconds["jax.random.normal"]
    rows = [["draws (float32, one call of 4·10⁶)", "ns per draw", "relative to jax.random.normal"]]
    rows += [[name, f"{1e9 * s:.2f}", f"{s / base:.2f}"] for name, s in seconds.items()]
    text = f"`python -m benchmarks.noise`\n\n{markdown(rows)}\n"
    print(text)
    if write is not None:
        write.write_text(text)


if __name__ == "__main__":
    main()
