"""The bootstrap of blocks, for observations that depend on their neighbours.

Blocks of consecutive observations, at random places of the circle, are joined to a sample of the
same size: the circular block bootstrap of Politis and Romano (1992), after Künsch (1989).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_count
from stablesde.stable._padding import Count


def check_blocks(
    size: int, block_length: Any, key: Any, resamples: Any, level: float
) -> tuple[int, int] | None:
    """(block length, number of samples), None without blocks. Raises `ValueError`."""
    if block_length is None:
        if key is not None:
            raise ValueError("key is for the bootstrap of blocks: give a block_length, too.")
        return None
    block_length = as_count("block_length", block_length)
    if key is None:
        raise ValueError("block_length needs a key: the blocks are drawn at random.")
    if block_length > size // 5:
        raise ValueError(
            f"block_length={block_length} leaves fewer than 5 blocks of {size} observations."
        )
    resamples = as_count("resamples", resamples, 2)
    if resamples * (1 - level) < 2:
        raise ValueError(
            f"resamples={resamples} are too few for level={level:g}: take at least "
            f"{int(np.ceil(2 / (1 - level) - 1e-9))}."
        )
    return block_length, resamples


def over_blocks(
    estimate: Callable[[Float[Array, " n"]], Any],
    x: Float[Array, " n"],
    count: Count,
    key: PRNGKeyArray,
    block_length: Any,
    resamples: int,
) -> Any:
    """`estimate` of `resamples` samples of blocks of a `padded` sample, stacked."""
    size = jnp.asarray(x.size if count is None else count, jnp.int32)
    place = jnp.arange(x.size, dtype=jnp.int32)
    length = jnp.asarray(block_length, jnp.int32)

    def once(key: PRNGKeyArray) -> Any:
        starts = jax.random.randint(key, (x.size,), 0, size, jnp.int32)
        index = (starts[place // length] + place % length) % size
        return estimate(x[index])

    return jax.lax.map(once, jax.random.split(key, resamples))


__all__ = ["check_blocks", "over_blocks"]
