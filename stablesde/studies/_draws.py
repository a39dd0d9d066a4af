"""Columns that are what they seem: no overflow is hidden, and norms need little memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from stablesde._fingerprint import fingerprint
from stablesde._version import __version__
from stablesde.dynamics import Trajectory
from stablesde.dynamics._system import stable_part
from stablesde.noise import StableNoise
from stablesde.stable._bits import check_key
from stablesde.stable._sampling import float_dtype
from stablesde.studies._setup import replicas_and_batch
from stablesde.system import System

_CHUNK = 2**20
# Draws beyond the largest number of the dtype are cut off there: what comes this near is suspect.
_NEAR = 1e-3


def check_noise(noise: Any) -> float:
    """Its α. Raises `ValueError` for what is no noise."""
    if not isinstance(noise, StableNoise):
        raise ValueError(f"noise must be a stablesde.StableNoise, got {type(noise).__name__}.")
    return float(noise.alpha)


def increment_scale(system: System, t1: float, num_steps: int) -> float:
    """σ η^{1/α}, by which a standard draw is multiplied in a step."""
    noise, sigma = stable_part(system)
    return sigma * (float(t1) / num_steps) ** (1 / float(noise.alpha))


def finite_columns(theta: Array | np.ndarray, noise: StableNoise, scale: float = 1.0) -> np.ndarray:
    """`theta` in double precision; `scale` is that of one draw.

    **Raises:** `ValueError` if numbers are next to `scale` times the largest of their dtype, where
    standard draws are cut off, which would thin the tail without a word.
    """
    largest = float(jnp.finfo(theta.dtype).max) * (min(scale, 1.0) if scale > 0 else 1.0)
    values = np.asarray(theta)
    top = float(np.max(np.abs(values)))
    if np.isfinite(top) and top >= _NEAR * largest:
        raise ValueError(
            f"columns of size {top:.1e} from noise of alpha = {float(noise.alpha):g} are next to "
            f"where {values.dtype.name} cuts off the draws of a step: use float64 (64-bit mode), "
            "fewer columns or a larger alpha."
        )
    return values.astype(float)


def end_of(trajectory: Trajectory) -> np.ndarray:
    """θ at the last saved time, (n, dim), added on the host: a program less."""
    parts = trajectory.initial, trajectory.levy, trajectory.displacement
    initial, levy, displacement = map(np.asarray, parts)
    return initial + levy[-1] + displacement[-1]


def noise_configuration(
    noise: StableNoise, key: PRNGKeyArray, dtype: Any, **settings: Any
) -> dict[str, Any]:
    """What a run directory of a study of the noise alone is bound to; checks replicas and batch."""
    settings |= replicas_and_batch(settings)
    check_key(key)
    return {
        "version": __version__,
        "model": "independent columns",
        "noise": type(noise).__name__,
        "noise_fingerprint": fingerprint(noise),
        "alpha": float(noise.alpha),
        "dim": noise.dim,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "dtype": str(float_dtype(dtype)),
        **{k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
    }


def stable_norms(noise: StableNoise, key: PRNGKeyArray, n: int, dtype: np.dtype) -> np.ndarray:
    """Norms of n independent stable vectors, drawn 2²⁰ at a time. **Raises:** as above."""
    norms = np.empty(n)
    for number, first in enumerate(range(0, n, _CHUNK)):
        size = min(_CHUNK, n - first)
        x = noise.sample(jax.random.fold_in(key, number), (size,), dtype=dtype)
        columns = finite_columns(x, noise)
        # Not squared in the dtype of the draws.
        norms[first : first + size] = (
            np.abs(columns[:, 0]) if noise.dim == 1 else np.linalg.norm(columns, axis=-1)
        )
    return norms
