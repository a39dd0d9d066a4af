"""What every simulation shares: initial values, noise on the grid, the mean statistic, one step.

State is split as `θ = θ₀ + σ L + D`. The noise is additive, so systems that are coupled through it
share θ₀ and L exactly, and their differences are differences of D, which stays of the size of the
drift: nothing is lost when one jump of 10⁵ would swallow the digits of θ.

Arrays hold particles on the last axis, (dim, n); the public results are transposed to (n, dim).
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from stablesde.model import MeanFieldModel
from stablesde.noise import (
    STREAM_INITIAL,
    STREAM_NOISE,
    StableNoise,
    particle_index,
)
from stablesde.stable._bits import Words, fold, threefry2x32
from stablesde.stable._sampling import symmetric_from_words

InitialLaw = None | float | Array | np.ndarray | Callable[[PRNGKeyArray], Array]


class Driver(eqx.Module):
    """θ₀ and the increments of σL as functions of (key, particle, step): one noise for all."""

    noise: StableNoise
    stream: Words
    sigma: Float[Array, ""]
    dtype: Any = eqx.field(static=True)

    def increment(
        self, step: Array, dt: Array, index: UInt32[Array, " n"]
    ) -> Float[Array, "dim n"]:
        """σ (L_{(step+1) dt} - L_{step dt}) of the particles `index`."""
        words = fold(self.stream, step, STREAM_NOISE)
        scale = self.sigma * self.noise.increment_scale(dt, self.dtype)
        return self.noise.columns(words, index, scale, self.dtype)

    def initial(self, init: InitialLaw, index: UInt32[Array, " n"]) -> Float[Array, "dim n"]:
        """Initial values of the particles `index`, see `simulate` for the forms of `init`."""
        shape = (self.noise.dim, index.shape[0])
        if callable(init):
            words = fold(self.stream, 1, STREAM_INITIAL)
            base = jax.random.wrap_key_data(jnp.stack(words), impl="threefry2x32")
            keys = jax.vmap(lambda i: jax.random.fold_in(base, i))(index)
            return jax.vmap(init, out_axes=1)(keys).astype(self.dtype)
        if init is None or jnp.ndim(init) == 0:
            words = fold(self.stream, 0, STREAM_INITIAL)
            slot = jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
            bits = threefry2x32(words, (jnp.broadcast_to(index, shape), slot))
            scale = jnp.asarray(1.0 if init is None else init, self.dtype) * math.sqrt(0.5)
            return symmetric_from_words(bits, 2, self.dtype, scale)
        values = jnp.asarray(init, self.dtype)
        return jnp.broadcast_to(values[:, None], shape) if values.ndim == 1 else values.T


def mean_statistic(model: MeanFieldModel, theta: Float[Array, "dim n"]) -> Float[Array, " M"]:
    """(1/n) Σ φ(θ^i)."""
    return jnp.mean(jax.vmap(model.statistic, in_axes=1, out_axes=1)(theta), -1)


def drift(
    model: MeanFieldModel, theta: Float[Array, "dim n"], m: Float[Array, " M"]
) -> Float[Array, "dim n"]:
    """b(θ^i, m) of every particle."""
    return jax.vmap(model.drift, in_axes=(1, None), out_axes=1)(theta, m).astype(theta.dtype)


def particle_sharding(mesh: Mesh | None) -> Callable[[Array], Array]:
    """A function that keeps the particle axis (the last) spread over the devices of `mesh`."""
    if mesh is None:
        return lambda x: x
    names = tuple(mesh.axis_names)

    def constrain(x: Array) -> Array:
        spec = PartitionSpec(*(None,) * (x.ndim - 1), names)
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    return constrain


def check_run(
    model: MeanFieldModel,
    noise: StableNoise,
    *,
    t1: float | Array,
    sigma: float | Array,
    init: InitialLaw,
    **counts: int | None,
) -> None:
    """Raises `ValueError` for settings that no simulation can run with."""
    if not isinstance(model, MeanFieldModel):
        raise ValueError(f"model must be a stablesde.MeanFieldModel, got {type(model).__name__}.")
    if not isinstance(noise, StableNoise):
        raise ValueError(f"noise must be a stablesde.StableNoise, got {type(noise).__name__}.")
    if noise.dim != model.dim:
        raise ValueError(
            f"the noise has dim={noise.dim} but the model's particles have dim={model.dim}: "
            "build the noise with dim=model.dim."
        )
    for name, value in counts.items():
        if value is not None and (not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    if (counts.get("num_particles") or 0) >= 2**32:
        raise ValueError("num_particles must be below 2^32, the range of the noise's counters.")
    for name, number, least in (("t1", t1, 0.0), ("sigma", sigma, 0.0)):
        if isinstance(number, jax.core.Tracer):
            continue
        if not np.isscalar(number) and np.ndim(number) != 0:
            raise ValueError(f"{name} must be a number, got shape {np.shape(number)}.")
        if not math.isfinite(float(number)) or float(number) < least:
            raise ValueError(f"{name} must be finite and not negative, got {number!r}.")
    if not isinstance(t1, jax.core.Tracer) and float(t1) == 0:
        raise ValueError("t1 must be positive.")
    check_initial(init, model.dim, counts.get("num_particles"))


def check_initial(init: InitialLaw, dim: int, num_particles: int | None) -> None:
    """Raises `ValueError` unless `init` has one of the forms that `simulate` documents."""
    if init is None or callable(init) or isinstance(init, jax.core.Tracer):
        return
    shape = np.shape(init)
    allowed = [(), (dim,)] + ([(num_particles, dim)] if num_particles else [])
    if shape not in allowed:
        raise ValueError(f"init has shape {shape}; it must be one of {allowed} or a function.")
    if not np.all(np.isfinite(np.asarray(init, dtype=float))):
        raise ValueError("init must be finite.")


__all__ = [
    "Driver",
    "InitialLaw",
    "check_initial",
    "check_run",
    "drift",
    "mean_statistic",
    "particle_index",
    "particle_sharding",
]
