"""The error of the random batch method against the batch and the step, for the docs.

`python -m benchmarks.random_batch` writes docs/snippets/random-batch.md. A batch of b shows each
particle b - 1 of the n - 1 others.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import stablesde as ssd
from benchmarks._batches import distances, independent, write

BATCHES = (2, 4, 8, 16, 32, 64)
PARTICLES, REPLICAS = 1024, 32


def attraction(x: Array, y: Array) -> Array:
    return (y - x) * jnp.exp(-jnp.sum((y - x) ** 2) / 2)


def system(batch: int | None) -> ssd.System:
    """Aggregation in the plane, all pairs if `batch` is None."""
    model = ssd.PairwiseModel(2, attraction, batch_size=batch)
    return ssd.System(model, ssd.stable_noise("III", 1.5, 2), sigma=0.05)


def main() -> None:
    found = distances(system, BATCHES, PARTICLES, REPLICAS)
    drawn = independent(np.asarray(BATCHES) - 1, PARTICLES - 1)
    write("random-batch.md", found, BATCHES, drawn)


if __name__ == "__main__":
    main()
