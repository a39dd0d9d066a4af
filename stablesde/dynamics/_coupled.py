"""Systems coupled through one noise: step sizes against a reference step, widths against the limit.

Both functions advance everything along one sweep of the finest grid, so that each increment is
drawn once and nothing is stored; errors are differences of the displacements D (see `_system`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from stablesde._arguments import as_count, by_name
from stablesde.dynamics._flow import LawFlow, check_is_flow
from stablesde.dynamics._grid import TimeGrid, check_divisors, time_grid
from stablesde.dynamics._layout import REPLICA_AXIS, default_block, scratch_bytes, side_by_side
from stablesde.dynamics._memory import available_bytes, require_memory
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._run import Run
from stablesde.dynamics._sweep import final_means, limit_errors, step_errors, visits
from stablesde.dynamics._system import Driver, check_run
from stablesde.stable._bits import Keys, key_words
from stablesde.system import System


class CoupledErrors(eqx.Module):
    """Distances of coupled systems, per replica: `e^i = sup over the grid of ‖θ^i - θ'^i‖`.

    - `sup`: sup over particles of e^i. `mean`: mean over particles of e^i.
    - `final_sup`, `final_mean`: the same with the distance at the end time only.
    - `weak`: the mean over particles of f(θ^i) - f(θ'^i) at the end time, if `function` f is given.

    Shapes (R, widths, steps) from `coupled_steps`, (R, widths) from `coupled_limit`.
    """

    sup: Float[Array, "R *grid"]
    mean: Float[Array, "R *grid"]
    final_sup: Float[Array, "R *grid"]
    final_mean: Float[Array, "R *grid"]
    weak: Float[Array, "R *grid"] | None = None

    def __repr__(self) -> str:
        replicas, *grid = self.sup.shape
        sizes = " x ".join(map(str, grid))
        return f"CoupledErrors({replicas} replicas, {sizes} sizes, {self.sup.dtype})"


@by_name
def coupled_steps(
    system: System,
    keys: Keys,
    *,
    widths: Sequence[int],
    num_steps: Sequence[int],
    fine_steps: int,
    t1: float,
    scheme: str = "euler",
    block_size: int | None = None,
    batch: int | None = None,
    mesh: Mesh | None = None,
    function: Callable[[Array], Array] | None = None,
) -> CoupledErrors:
    """Distance of schemes with several steps from one with a fine step, on the same noise.

    Every width is a system of its own (its particles interact with each other only), made of the
    first particles of the largest. Distances are taken at the times of the coarse grid.

    **Arguments:**

    - `keys`: PRNG keys, shape (R,): one replica each.
    - `widths`: numbers of particles. `num_steps`: numbers of coarse steps, each a divisor of
      `fine_steps`, the number of steps of the reference.
    - `scheme`: of the coarse systems and of the reference. Where sigma is a function, a coarse
      increment of L is the sum of the fine ones, and distances are those of θ itself.
    - `batch`: replicas that are advanced together (by `vmap`); None: as many as fit into
      a quarter of the memory. The numbers are the same, to rounding.
    - `mesh`: a `jax.sharding.Mesh`; its axis "replicas" takes replicas, all others particles.
    - `function`: a number f(θ) of one particle (p,), whose mean differences are `weak`.
    - the rest as in `simulate`.

    **Returns:** `CoupledErrors` of shape (R, len(widths), len(num_steps)).

    **Raises:** as `simulate`, and `ValueError` if a number of steps does not divide `fine_steps`.
    """
    widths = _sizes("widths", widths)
    _check_keys(keys)
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        fine_steps=fine_steps,
        num_particles=max(widths),
        block_size=block_size,
        batch=batch,
    )
    steps = _sizes("num_steps", num_steps)
    check_divisors(steps, fine_steps)
    grid = time_grid(t1, fine_steps, None, system.run_dtype)
    strides = tuple(int(fine_steps // k) for k in steps)
    spread = Spread(block_size, batch, mesh)
    errors = _replicas(system, keys, None, grid, widths, strides, scheme, spread, function)
    return CoupledErrors(*errors)


@by_name
def coupled_limit(
    flow: LawFlow,
    keys: Keys,
    *,
    widths: Sequence[int],
    scheme: str = "euler",
    block_size: int | None = None,
    batch: int | None = None,
    mesh: Mesh | None = None,
    function: Callable[[Array], Array] | None = None,
) -> CoupledErrors:
    """Distance of the systems of several widths from their limit copies, on the same noise.

    Both run on the grid of `flow`, so the distance is due to the width alone.

    **Arguments:** `flow` as in `simulate_limit`; `keys` (R,), one per replica; the rest as in
    `coupled_steps`.

    **Returns:** `CoupledErrors` of shape (R, len(widths)). **Raises:** as `simulate_limit`.
    """
    widths = _sizes("widths", widths)
    _check_keys(keys)
    check_is_flow(flow)
    check_run(
        flow.system, scheme=scheme, num_particles=max(widths), block_size=block_size, batch=batch
    )
    grid = flow.grid(flow.system.run_dtype)
    spread = Spread(block_size, batch, mesh)
    errors = _replicas(flow.system, keys, flow.m, grid, widths, (), scheme, spread, function)
    return CoupledErrors(*errors)


def coupled_means(
    system: System,
    keys: Keys,
    function: Callable[[Array], Array],
    *,
    widths: Sequence[int],
    num_steps: int,
    t1: float,
) -> Float[Array, "R widths q"]:
    """Means of functions of the columns, (dim, n) → (q, n), over systems of several widths at t1.

    A width has the particles that `simulate` gives it under the same key. Nothing is checked."""
    grid, widths = time_grid(t1, num_steps, None, system.run_dtype), tuple(widths)
    spread = Spread(None, None, None)
    (found,) = _replicas(system, keys, None, grid, widths, (), "euler", spread, function)
    return found


def _sizes(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Several counts. Raises `ValueError` unless they are positive integers, at least one."""
    try:
        sizes = tuple(as_count(f"each of {name}", n) for n in values)
    except TypeError:  # nothing to go through
        sizes = ()
    if not sizes:
        raise ValueError(f"{name} must be positive integers, such as (10, 100), got {values!r}.")
    if max(sizes) >= 2**32:
        raise ValueError(f"{name} must be below 2^32, the range of the noise's counters.")
    return sizes


def _check_keys(keys: Keys) -> None:
    """Raises `ValueError` unless `keys` are one or more PRNG keys in a row."""
    if isinstance(keys, (jax.Array, np.ndarray)) and keys.size:
        typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
        if (typed and keys.ndim == 1) or (keys.dtype == jnp.uint32 and keys.ndim == 2):
            return
    raise ValueError(
        "keys must be an array of PRNG keys, shape (R,), such as jax.random.split(key, R), got "
        f"{type(keys).__name__} of shape {getattr(keys, 'shape', ())}."
    )


class Spread(NamedTuple):
    """How particles and replicas are spread: see `coupled_steps`."""

    block_size: int | None
    batch: int | None
    mesh: Mesh | None


def _replicas(
    system: System,
    keys: Keys,
    flow: Array | None,
    grid: TimeGrid,
    widths: tuple[int, ...],
    strides: tuple[int, ...],
    scheme: str,
    spread: Spread,
    function: Callable[[Array], Array] | None,
) -> tuple[Array, ...]:
    """Plans how replicas and particles are spread, and runs them: the errors of the schemes with
    these strides, or from the limit if there is a flow; with neither, means of the functions."""
    block_size, batch, mesh = spread
    dtype = system.run_dtype
    size, dim, itemsize = system.statistic_size, system.dim, dtype.itemsize
    if flow is None and not strides and function is not None:  # means of that many functions
        column = jax.ShapeDtypeStruct((dim, 1), dtype)
        size = max(size, jax.eval_shape(function, column).shape[0])
    limit = int(block_size or default_block(size, dim, itemsize))
    plan = side_by_side(widths, limit, mesh, with_limit=flow is not None)
    levels = 1 + len(strides)
    per_replica = itemsize * dim * (4 * plan.drawn + plan.slots * (4 + 2 * levels))
    if not system.additive:
        per_replica += itemsize * plan.drawn * system.noise.dim * (2 + 2 * len(strides))
    per_replica += plan.block * plan.chunk * scratch_bytes(size, dim, itemsize)
    require_memory(
        per_replica,
        f"widths up to {max(widths)} on {plan.num_devices} device(s), dim={dim}, "
        f"{levels * len(widths)} coupled systems, M={size} statistics in blocks of "
        f"{plan.block * plan.chunk}",
        "Lower the largest width, the number of systems or block_size, or spread the particles "
        "over more devices with mesh.",
    )
    if batch is None:
        free = available_bytes() or 2**32
        fitting = max(1, int(free / 4 // per_replica))
        # Free memory changes from call to call; what is compiled must not.
        count = keys.shape[0]
        batch = count if fitting >= count else 2 ** (fitting.bit_length() - 1)
    run = Run(Driver.of(system), grid, flow, plan, scheme)
    plan_of_visits = visits(strides, grid.num_steps) if strides else None
    return _compiled(run, keys, plan_of_visits, int(batch), mesh, function)


@eqx.filter_jit
def _compiled(  # type: ignore[no-untyped-def]
    run, keys, plan, batch, mesh, function
):
    words = jax.vmap(key_words)(keys)
    count = words[0].shape[0]
    has_axis = mesh is not None and REPLICA_AXIS in mesh.axis_names
    rows = PartitionSpec(REPLICA_AXIS if has_axis else None)
    missing = -count % (mesh.shape[REPLICA_AXIS] if has_axis else 1)
    words = jax.tree.map(lambda w: jnp.pad(w, (0, missing), mode="edge"), words)

    def local(words, run, plan):  # type: ignore[no-untyped-def]
        def replica(stream):  # type: ignore[no-untyped-def]
            one = run.under(stream)
            if plan is not None:
                return step_errors(one, plan, function)
            return (final_means if run.flow is None else limit_errors)(one, function)

        if words[0].shape[0] <= batch:
            return jax.vmap(replica)(words)
        return jax.lax.map(replica, words, batch_size=batch)

    split = ((words, (rows, rows)),)
    outputs = 1 if plan is None and run.flow is None else 4 if function is None else 5
    found = on_mesh(local, mesh, (rows,) * outputs, run, plan, split=split)
    return tuple(e[:count] for e in found)
