"""Samples of every size in programs of a few sizes: the first `count` entries are the data.

Estimators compile for seconds. What is not traced is filled up to the next of the sizes
64, 96, 128, 192, … and comes with its number of observations, an array; what is traced stands in a
program already and comes with None: all of its entries are observations, and nothing is masked.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stablesde._arguments import as_host_reals, as_real, is_concrete

# How many observations there are; None if all entries are some.
Count = Int[Array, ""] | np.ndarray | None


def padded_size(n: int) -> int:
    """The least of 64, 96, 128, 192, … that is at least n."""
    power = max(64, 1 << (n - 1).bit_length())
    return power * 3 // 4 if power > 64 and n <= power * 3 // 4 else power


def selected(x: Any, where: Any) -> tuple[Any, Count]:
    """The entries of x where `where` is true, in order, and their number if it is not their size.

    In their own dtype if both are concrete.

    Fixed shape where one of the two is traced: the others are replaced by copies of the first.
    Raises `ValueError` unless `where` is None or has the shape of x and holds bools.
    """
    if where is None:
        return x, None
    values: Any = np.asarray(v) if np.ndim(v := as_real("x", x)) == 0 else v
    if not hasattr(where, "dtype"):
        where = np.asarray(where)
    if where.dtype != bool or where.shape != values.shape:
        raise ValueError(
            f"where must be an array of bools of the shape {values.shape} of x, got {where.dtype} "
            f"of shape {where.shape}."
        )
    if is_concrete(values) and is_concrete(where):
        return np.asarray(values)[np.asarray(where)], None
    (values,) = as_host_reals(x=values)
    first = jnp.argsort(~jnp.ravel(where), stable=True)
    count = jnp.sum(where, dtype=jnp.int32)
    data = jnp.ravel(values)[first]
    return jnp.where(_inside(data, count), data, data[0]), count


def padded(data: Float[Array | np.ndarray, " n"], count: Count = None) -> tuple[Any, Count]:
    """The data, filled up with copies of the first unless they are traced, and their number.

    With `count`, from `selected`, they are as they should be.
    """
    if count is not None or not is_concrete(data):
        return data, count
    values = np.asarray(data)
    fill = np.full(padded_size(values.size) - values.size, values[0], values.dtype)
    return np.concatenate([values, fill]), np.asarray(values.size, np.int32)


def number(x: Float[Array, "*m n"], count: Count) -> Float[Array, ""]:
    """How many observations there are on the last axis, in the dtype of the data."""
    return jnp.asarray(x.shape[-1] if count is None else count, x.dtype)


def weights(x: Float[Array, " n"], count: Count) -> Float[Array, " n"]:
    """1 for what is an observation, 0 for what fills up."""
    return _inside(x, count).astype(x.dtype)


def total(values: Float[Array, "*m n"], count: Count) -> Float[Array, " *m"]:
    """The sum over observations."""
    return jnp.sum(values if count is None else jnp.where(_inside(values, count), values, 0), -1)


def mean(values: Float[Array, "*m n"], count: Count) -> Float[Array, " *m"]:
    """The mean over observations."""
    return total(values, count) / jnp.asarray(
        values.shape[-1] if count is None else count, values.dtype
    )


def quantiles(x: Float[Array, " n"], count: Count, levels: Any) -> Float[Array, " m"]:
    """Quantiles of the observations, linear between order statistics as `jnp.quantile`."""
    levels = jnp.asarray(levels, x.dtype)
    if count is None:
        return jnp.quantile(x, levels)
    ordered = jnp.sort(jnp.where(_inside(x, count), x, jnp.inf))
    place = levels * (jnp.asarray(count, x.dtype) - 1)
    low = jnp.floor(place)
    ends = [jnp.take(ordered, jnp.minimum(i.astype(jnp.int32), count - 1)) for i in (low, low + 1)]
    return ends[0] + (place - low) * (ends[1] - ends[0])


def _inside(x: Float[Array, "*m n"], count: Count) -> Bool[Array, " n"]:
    index = jnp.arange(x.shape[-1], dtype=jnp.int32)
    return jnp.ones_like(index, bool) if count is None else index < count


__all__ = [
    "Count",
    "mean",
    "number",
    "padded",
    "padded_size",
    "quantiles",
    "selected",
    "total",
    "weights",
]
