"""Minibatch noise against the batch and the step, for the docs.

`python -m benchmarks.minibatch` writes docs/snippets/minibatch.md. The gradients of a step's batch
differ from those of all data by martingale differences of variance ~ 1/b, of which time 1 adds up
1/η, each times η: a distance ~ (η/b)^(1/2).
"""

import numpy as np

import stablesde as ssd
from benchmarks._batches import distances, independent, write

BATCHES = (1, 2, 4, 8, 16, 32)
DATA, PARTICLES, REPLICAS = 64, 100, 64
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(DATA, 2)), np.arange(DATA) % 2


def system(batch: int | None) -> ssd.System:
    """A tanh network, on all data if `batch` is None."""
    model = ssd.NetworkModel("tanh", "logistic", X, Y, batch_size=batch)
    return ssd.System(model, ssd.stable_noise("III", 1.5, 2), sigma=0.1)


def main() -> None:
    found = distances(system, BATCHES, PARTICLES, REPLICAS)
    write("minibatch.md", found, BATCHES, independent(np.asarray(BATCHES), DATA))


if __name__ == "__main__":
    main()
