"""Systems of several widths, each with steps of its own, in one program."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde.dynamics._grid import TimeGrid, time_grid
from stablesde.dynamics._layout import default_block, layout, scratch_bytes
from stablesde.dynamics._memory import require_memory
from stablesde.dynamics._run import Run
from stablesde.dynamics._simulate import rows
from stablesde.dynamics._system import Driver
from stablesde.stable._bits import Keys, key_words
from stablesde.stable._varying import vary_with
from stablesde.system import System


def ends(
    system: System, keys: Keys, *, widths: Sequence[int], num_steps: Sequence[int], t1: float
) -> Float[Array, "R widths n dim"]:
    """θ at t1 of systems of several widths, whose schemes have each its number of steps.

    A width has the particles that `simulate` gives it under the same key; what stands in the rows
    beyond it counts nowhere. Every width costs what the largest would with its steps, which is
    little where the steps grow with the width. Nothing is checked but memory and the steps.
    """
    if max(num_steps) >= 2**31:
        raise ValueError(f"num_steps must be below 2^31, got {max(num_steps)}.")
    dtype, dim, largest = system.run_dtype, system.dim, max(widths)
    limit = default_block(system.statistic_size, dim, dtype.itemsize)
    plan = layout(largest, limit, None)
    each = (6 + 3 * len(widths)) * plan.drawn * dim * dtype.itemsize
    scratch = plan.block * scratch_bytes(system.statistic_size, dim, dtype.itemsize)
    require_memory(
        keys.shape[0] * (each + scratch),
        f"{keys.shape[0]} replicas of up to {largest} particles",
        "Lower batch or the largest width.",
    )
    steps = [time_grid(t1, k, None, dtype).step for k in num_steps]
    table = (
        np.asarray(widths, np.uint32),
        np.asarray(num_steps, np.int32),
        np.asarray(steps, dtype),
    )
    return _compiled(Driver.of(system), plan, keys, table)


@eqx.filter_jit
def _compiled(driver, plan, keys, table):  # type: ignore[no-untyped-def]
    index = plan.spread(jax.lax.iota(jnp.uint32, plan.drawn)[None])

    def of_width(driver, width, count, step):  # type: ignore[no-untyped-def]
        one = Run(driver, TimeGrid(step, None, 1), None, plan)  # how many steps, `count` says
        weight = jnp.where(index < width, 1, 0).astype(step.dtype)

        def advance(k, state):  # type: ignore[no-untyped-def]
            total = one.weighted(one.model.statistic_columns, one.theta(state), weight)
            return one.step_given(state, k, total / width.astype(step.dtype))

        end = jax.lax.fori_loop(0, count, advance, vary_with(one.start(), one))
        theta = one.theta(end)
        return rows(theta.reshape(theta.shape[0], -1))[: plan.num_particles]

    def of_replica(words):  # type: ignore[no-untyped-def]
        under = driver.under(words)
        return jax.lax.map(lambda at: of_width(under, *at), table)

    return jax.vmap(of_replica)(jax.vmap(key_words)(keys))


__all__ = ["ends"]
