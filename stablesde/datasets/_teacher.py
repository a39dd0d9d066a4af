"""A synthetic data set whose labels come from a random network: small, bounded, seeded."""

import numpy as np

from stablesde._arguments import as_count, as_number
from stablesde.datasets._record import Dataset

_MOST = 10**9


def teacher(
    num_train: int = 64,
    num_test: int = 256,
    *,
    dim: int = 2,
    units: int = 5,
    radius: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Inputs uniform in a ball, labels the sign of a random tanh network (the teacher).

    Inputs are bounded by `radius`, so the constants of Assumption 1 are small. The teacher's
    output is centred at its median, so both classes are equally frequent in the training set.

    **Arguments:** sizes; `dim` d of the inputs; `units` of the teacher; `seed`.
    **Returns:** a `Dataset` with labels 0 and 1.
    **Raises:** `ValueError` for sizes below 1 or beyond 10⁹ numbers, a `radius` that is not
    positive, or a negative `seed`.
    """
    num_train, num_test = as_count("num_train", num_train), as_count("num_test", num_test)
    dim, units = as_count("dim", dim), as_count("units", units)
    radius, seed = as_number("radius", radius, 0, ends="(]"), as_count("seed", seed, 0)
    if (num_train + num_test + units) * max(dim, units) > _MOST:
        raise ValueError(
            f"num_train + num_test = {num_train + num_test}, dim = {dim}, units = {units}: more "
            "than 10^9 numbers; take smaller ones."
        )
    rng = np.random.default_rng(seed)
    total = num_train + num_test
    direction = rng.normal(size=(total, dim))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x = radius * rng.uniform(size=(total, 1)) ** (1 / dim) * direction
    hidden = np.tanh(x @ rng.normal(scale=2.0, size=(dim, units)))
    score = hidden @ rng.normal(size=units)
    y = (score > np.median(score[:num_train])).astype(np.int32)
    x = x.astype(np.float32)
    return Dataset(
        name="teacher",
        x_train=x[:num_train],
        y_train=y[:num_train],
        x_test=x[num_train:],
        y_test=y[num_train:],
        num_classes=2,
        source=f"synthetic teacher, seed {seed}",
    )
