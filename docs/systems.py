"""The system that several figures of the docs simulate."""

import jax.numpy as jnp

import stablesde as ssd


class Kuramoto(ssd.MeanFieldModel):
    """Identical oscillators, coupled through the order parameter."""

    coupling: float
    dim: int = 1

    def statistic(self, theta):
        return jnp.concatenate([jnp.cos(theta), jnp.sin(theta)])

    def drift(self, theta, m):
        return self.coupling * (m[1] * jnp.cos(theta) - m[0] * jnp.sin(theta))
