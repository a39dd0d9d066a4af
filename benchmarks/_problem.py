"""The particle system that the engine's benchmarks share: a tanh network on random data."""

import numpy as np

import stablesde as ssd


def network(num_data: int = 16, dim: int = 2) -> ssd.NetworkModel:
    """A tanh network with logistic loss: M = num_data statistics, p = dim."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_data, dim)) / dim**0.5
    return ssd.NetworkModel("tanh", "logistic", x, np.arange(num_data) % 2)
