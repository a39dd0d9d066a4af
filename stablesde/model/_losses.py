"""Losses ℓ(f, y) of one sample, with the suprema of their first three derivatives in f."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde._arguments import as_choice


class Loss(NamedTuple):
    """A loss by name.

    `value(f, y)` and `gradient(f, y)` take predictions (N, l) and targets (N, l), the loss per
    sample (N,) and its derivative in f (N, l); `slope(l)`, `curvature(l)` and `third(l)` are the
    suprema of the first three derivatives' norms for l outputs.
    """

    name: str
    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    slope: Callable[[int], float]
    curvature: Callable[[int], float]
    third: Callable[[int], float]

    def __repr__(self) -> str:
        return f"Loss({self.name!r})"


MAX_CLASSES = 10**6


def _huber(f: Array, y: Array) -> Array:
    r = jnp.abs(f - y)
    return jnp.sum(jnp.where(r <= 1, 0.5 * r * r, r - 0.5), -1)


LOSSES: dict[str, Loss] = {
    # y ∈ {-1, +1}: log(1 + exp(-y f)).
    "logistic": Loss(
        "logistic",
        lambda f, y: jnp.sum(jax.nn.softplus(-y * f), -1),
        lambda f, y: -y * jax.nn.sigmoid(-y * f),
        lambda count: math.sqrt(count),
        lambda count: 0.25,
        lambda count: 1 / (6 * math.sqrt(3)),
    ),
    # y one-hot: log Σ exp(f) - f_y. ‖softmax - onehot‖ ≤ √2, ‖diag(p) - pp'‖ ≤ 1/2; the third
    # derivative at (u, u, w) is E[(U - EU)² (W - EW)] ≤ Var U · (max w - min w) ≤ √2/2.
    "cross-entropy": Loss(
        "cross-entropy",
        lambda f, y: jax.nn.logsumexp(f, -1) - jnp.sum(f * y, -1),
        lambda f, y: jax.nn.softmax(f, -1) - y,
        lambda count: math.sqrt(2.0),
        lambda count: 0.5,
        lambda count: math.sqrt(0.5),
    ),
    "squared": Loss(
        "squared",
        lambda f, y: 0.5 * jnp.sum((f - y) ** 2, -1),
        lambda f, y: f - y,
        lambda count: math.inf,
        lambda count: 1.0,
        lambda count: 0.0,
    ),
    # Huber with threshold 1: the second derivative exists almost everywhere, and ∂₁ℓ is Lipschitz,
    # which is what the proofs use.
    "huber": Loss(
        "huber",
        _huber,
        lambda f, y: jnp.clip(f - y, -1, 1),
        lambda count: math.sqrt(count),
        lambda count: 1.0,
        lambda count: math.inf,
    ),
}


def loss(name: str) -> Loss:
    """A loss by name: "logistic", "cross-entropy", "squared" or "huber".

    **Returns:** a `Loss`. **Raises:** `ValueError` for another name.
    """
    return LOSSES[as_choice("the name of the loss", name, LOSSES)]


def encode_targets(name: str, y: np.ndarray) -> Float[np.ndarray, "N l"]:
    """Targets as the loss wants them, shape (N, l).

    Logistic: labels {0, 1} or {-1, 1} to ±1. Cross-entropy: class numbers to one-hot rows.
    Squared and Huber: real targets (N,) or (N, l). Raises `ValueError` for other labels.
    """
    if name == "logistic":
        flat = y.reshape(-1).astype(float) if y.size == len(y) else y.astype(float)
        labels = set(np.unique(flat).tolist())
        if flat.ndim != 1 or not (labels <= {0.0, 1.0} or labels <= {-1.0, 1.0}):
            raise ValueError(
                f"logistic loss needs labels in {{0, 1}} or {{-1, 1}}, got {sorted(labels)[:5]}; "
                "use loss='cross-entropy' for more classes."
            )
        return np.where(flat > 0, 1.0, -1.0)[:, None]
    if name == "cross-entropy":
        if y.ndim != 1 or not np.all(y == np.floor(y)) or np.min(y) < 0:
            raise ValueError("cross-entropy needs y of shape (N,) with class numbers 0, 1, ….")
        classes = max(int(y.max()) + 1, 2)
        if classes > MAX_CLASSES:
            raise ValueError(
                f"y has the class number {y.max():g}, above {MAX_CLASSES}: number them 0, 1, …."
            )
        return (y[:, None] == np.arange(classes)).astype(float)
    return (y[:, None] if y.ndim == 1 else y).astype(float)
