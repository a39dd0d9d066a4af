"""Forces of all pairs against the same kernel written by hand, for the docs.

`python -m benchmarks.pairwise` writes docs/snippets/pairwise.md.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array

import stablesde as ssd

N = 16_384
SNIPPET = Path(__file__).parents[1] / "docs" / "snippets" / "pairwise.md"


def kernel(x: Array, y: Array) -> Array:
    return (y - x) * jnp.exp(-jnp.sum((y - x) ** 2) / 2)


@functools.partial(jax.jit, static_argnums=1)
def by_vmap(x: Array, block: int) -> Array:
    """`vmap` over pairs in blocks of rows, as one writes it first."""
    pairs = jax.vmap(jax.vmap(kernel, (None, 0)), (0, None))
    rows = x.T.reshape(-1, block, 2)
    return jax.lax.map(lambda r: jnp.mean(pairs(r, x.T), 1), rows).reshape(-1, 2).T


@functools.partial(jax.jit, static_argnums=1)
def by_hand(x: Array, block: int) -> Array:
    """Coordinates apart, rows on the last axis, as one writes it when it has to be fast."""

    def force(r: Array) -> Array:
        d0, d1 = x[0][:, None] - r[0], x[1][:, None] - r[1]
        weight = jnp.exp(-(d0 * d0 + d1 * d1) / 2)
        return jnp.stack([jnp.mean(d0 * weight, 0), jnp.mean(d1 * weight, 0)])

    rows = jnp.moveaxis(x.reshape(2, -1, block), 1, 0)
    return jnp.moveaxis(jax.lax.map(force, rows), 0, 1).reshape(2, -1)


@jax.jit
def library(x: Array) -> Array:
    return ssd.PairwiseModel(2, kernel).mean_force(x, x)


def seconds(function: Callable[[], Array]) -> float:
    """The least of five runs."""
    function().block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        function().block_until_ready()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (2, N))
    blocks = (64, 256, 1024)
    found = {
        "`PairwiseModel`": seconds(lambda: library(x)),
        "`vmap` over pairs, jitted blocks of rows": min(
            seconds(functools.partial(by_vmap, x, b)) for b in blocks
        ),
        "by hand, coordinates apart, jitted blocks": min(
            seconds(functools.partial(by_hand, x, b)) for b in blocks
        ),
    }
    lines = ["| Gaussian kernel in the plane | 10⁶ pairs per second |", "|---|---|"]
    lines += [f"| {name} | {N * N / t / 1e6:.0f} |" for name, t in found.items()]
    SNIPPET.write_text("\n".join(lines) + "\n")
    print(SNIPPET.read_text())


if __name__ == "__main__":
    main()
