"""What theory predicts for the pruning ratio of a trained network, without training one.

Where the drift is small beside the noise, a column at the end of K steps of size η is
`θ₀ + σ L_{Kη}`: its start and all of its noise. The columns are independent, so the law of the
pruning ratio of n of them is found by drawing networks.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_choice, as_number
from stablesde._records import JsonRecord
from stablesde.compression import pruning_ratio
from stablesde.dynamics._memory import require_memory
from stablesde.noise import StableNoise, stable_noise
from stablesde.training._checks import NOISES, check_count, check_rate, check_seed, check_sigma
from stablesde.training._network import first_layer

_STREAM = 202
# Numbers drawn at once.
_BLOCK = 2**24


@dataclasses.dataclass(frozen=True)
class PredictedRatio(JsonRecord):
    """The law of the pruning ratio (percent) of a network of n independent columns.

    `samples`, one for each network drawn. Heavy-tailed columns make it vary between networks
    whatever n: compare a mean over five seeds with `mean` ± `std` / √5, one seed with `quantile`.
    """

    width: int
    noise: str
    alpha: float | None
    noise_scale: float
    samples: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over networks (the ratio lies between 0 and 100: means are safe)."""
        return float(np.mean(self.samples))

    @property
    def std(self) -> float:
        """The standard deviation between networks."""
        return float(np.std(self.samples, ddof=1)) if len(self.samples) > 1 else math.nan

    def quantile(self, q: float) -> float:
        """The q-quantile of the ratio of one network. **Raises:** `ValueError` unless 0 ≤ q ≤ 1."""
        q = as_number("q", q, 0, 1)
        return float(np.quantile(self.samples, q))

    def summary(self) -> dict[str, Any]:
        """Mean and standard deviation."""
        return {"mean": self.mean, "std": self.std}

    def __repr__(self) -> str:
        noise = "no noise" if self.noise == "none" else f"Type {self.noise}, α = {self.alpha:g}"
        return (
            f"PredictedRatio(n = {self.width}, {noise}: {self.mean:.1f} ± {self.std:.1f} %, "
            f"{len(self.samples)} networks)"
        )


def predicted_ratio(
    width: int,
    noise: str,
    alpha: float,
    *,
    sigma: float,
    learning_rate: float,
    steps: int,
    dim: int,
    networks: int = 400,
    seed: int = 0,
    error: float = 0.1,
) -> PredictedRatio:
    """The law of the pruning ratio that start and noise alone predict: columns `θ₀ + σ L_{Kη}`.

    θ₀ uniform in ±1/√dim, as `train` starts; the sum of K noises `σ η^{1/α} X_k` has the law of
    `σ (Kη)^{1/α} X`. What training adds to a column is left out: beside a trained network this
    tells how much of its pruning ratio the gradient has a part in.

    **Arguments:**

    - `width`: n. `noise`: "I", "II", "III" or "none". `alpha` in (0, 2]. `dim`: inputs.
    - `sigma`, `learning_rate` η and `steps` K, as in `Preset`.
    - `networks`: how many are drawn; `seed` of the draws; `error`, as in `stablesde.pruning_ratio`.

    **Returns:** a `PredictedRatio`.

    **Raises:** `ValueError` for settings out of range, or whose columns overflow (a small alpha);
    `MemoryError` for a `width` that does not fit.
    """
    as_choice("noise, its kind,", noise, NOISES)
    width, dim = check_count("width", width), check_count("dim", dim)
    steps, networks = check_count("steps", steps), check_count("networks", networks)
    sigma, learning_rate = check_sigma(sigma), check_rate(learning_rate)
    alpha, error = as_number("alpha", alpha, 0, 2, "(]"), as_number("error", error, 0, 1, "[)")
    seed = check_seed("seed", seed)
    advice = "Take a smaller width."
    require_memory(
        4.0 * jnp.zeros(0).dtype.itemsize * width * dim, f"width={width}, dim={dim}", advice
    )
    law = stable_noise("I" if noise == "none" else noise, alpha, dim)
    scale = 0.0 if noise == "none" else noise_scale(sigma, learning_rate * steps, alpha)
    key = jax.random.fold_in(jax.random.key(seed), _STREAM)
    batch = max(1, min(networks, _BLOCK // (width * dim)))
    samples: list[float] = []
    while len(samples) < networks:
        keys = jax.random.split(jax.random.fold_in(key, len(samples)), batch)
        samples += np.asarray(_ratios(law, keys, jnp.asarray(scale), width, error)).tolist()
    if not np.all(np.isfinite(samples)):
        raise ValueError(
            f"columns overflow {jnp.zeros(0).dtype} at alpha={alpha:g} and sigma={sigma:g}: take a "
            "larger alpha."
        )
    return PredictedRatio(
        width,
        noise,
        None if noise == "none" else alpha,
        scale,
        tuple(100 * r for r in samples[:networks]),
    )


def noise_scale(sigma: float, time: float, alpha: float) -> float:
    """σ t^{1/α}, infinite where it passes the largest float."""
    try:
        return sigma * time ** (1 / alpha) if sigma else 0.0
    except OverflowError:
        return math.inf


@functools.partial(jax.jit, static_argnames=("width", "error"))
def _ratios(
    law: StableNoise, keys: PRNGKeyArray, scale: Array, width: int, error: float
) -> Float[Array, " batch"]:
    def one(key: PRNGKeyArray) -> Array:
        start, drive = jax.random.split(key)
        columns = first_layer(start, law.dim, width).T + scale * law.sample(drive, (width,))
        return jnp.where(jnp.all(jnp.isfinite(columns)), pruning_ratio(columns, error), jnp.nan)

    return jax.lax.map(one, keys)
