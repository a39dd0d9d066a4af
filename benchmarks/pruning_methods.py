"""Ways to a network with few units: `python -m benchmarks.pruning_methods [--write FILE]`.

ECG5000, n = 2000, the paper's steps. Test accuracy against the fraction of units removed, smallest
norm first: plain gradient descent (magnitude pruning, and units in random order), heavy-tailed
noise of each type, and proximal gradient descent with a group lasso on the units or an ℓ1 penalty.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from benchmarks._timing import markdown
from stablesde import paper, training
from stablesde.datasets import Dataset, load
from stablesde.training import Network
from stablesde.training._network import initialise, loss, pruned

N, RATE, STEPS = 2000, 3e-4, 600
REMOVED = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)


def noisy(kind: str, alpha: float, sigma: float, data: Dataset, seed: int) -> Network:
    """A network trained with noise."""
    preset = paper.Preset(RATE, sigma, STEPS)
    return paper.fit(data, N, kind, alpha, preset, seed)[0]


def shuffled(data: Dataset, seed: int) -> Network:
    """The noiseless network with its units in random order of size.

    relu(cw·x) v/c = relu(w·x) v: the norms of units may be anything, the outputs stay.
    """
    network = noisy("none", 2.0, 0.0, data, seed)
    sizes = jax.random.uniform(jax.random.key(seed + 1000), (N,), minval=0.5, maxval=1.5)
    factor = sizes / jnp.linalg.norm(network.w1, axis=0)
    return Network(network.w1 * factor, network.w2 / factor[:, None])


@functools.partial(jax.jit, static_argnames="penalty")
def proximal(penalty: str, strength: Array, network: Network, x: Array, y: Array) -> Network:
    """Proximal gradient descent on w1, plain on w2."""

    def shrink(w: Array) -> Array:
        size = jnp.abs(w) if penalty == "l1" else jnp.linalg.norm(w, axis=0)
        return w * jnp.maximum(0, 1 - RATE * strength / jnp.maximum(size, 1e-30))

    def step(network: Network, _: None) -> tuple[Network, None]:
        gradient = jax.grad(loss)(network, x, y)
        w1, w2 = (w - RATE * g for w, g in zip(network, gradient, strict=True))
        return Network(shrink(w1), w2), None

    return jax.lax.scan(step, network, None, length=STEPS)[0]


def penalised(penalty: str, strength: float, data: Dataset, seed: int) -> Network:
    """A network trained with a penalty, from the weights that `paper.fit` starts with."""
    start = jax.random.split(jax.random.key(seed), 3)[0]
    network = initialise(start, data.dim, N, data.num_classes)
    x, y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    return proximal(penalty, jnp.asarray(strength), network, x, y)


METHODS: dict[str, Callable[[Dataset, int], Network]] = {
    "no noise, smallest units first": functools.partial(noisy, "none", 2.0, 0.0),
    "no noise, units in random order": shuffled,
    "Type I, α = 1.75, σ = 0.15": functools.partial(noisy, "I", 1.75, 0.15),
    "Type II, α = 1.75, σ = 0.15": functools.partial(noisy, "II", 1.75, 0.15),
    "Type III, α = 1.75, σ = 0.5/√2": functools.partial(noisy, "III", 1.75, 0.5**1.5),
    "group lasso, λ = 1": functools.partial(penalised, "group", 1.0),
    "group lasso, λ = 3": functools.partial(penalised, "group", 3.0),
    "group lasso, λ = 3.2": functools.partial(penalised, "group", 3.2),
    "ℓ1, λ = 0.1": functools.partial(penalised, "l1", 0.1),
    "ℓ1, λ = 0.3": functools.partial(penalised, "l1", 0.3),
}


def row(name: str, seeds: int, data: Dataset) -> list[str]:
    """Means over seeds: the share of units within 0.1 of the squared norm, test accuracies."""
    networks = [METHODS[name](data, seed) for seed in range(seeds)]
    ratio = 100 * np.mean([pruned(network)[1] for network in networks])
    curves = [training.pruning_curve(n, data, REMOVED).test_accuracy for n in networks]
    return [name, f"{ratio:.1f}", *(f"{a:.3f}" for a in np.mean(curves, axis=0))]


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    data = load("ecg5000")
    head = ["trained with", "ratio (%)", *(f"{100 * r:g} % removed" for r in REMOVED)]
    text = markdown([head, *(row(name, options.seeds, data) for name in METHODS)]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
