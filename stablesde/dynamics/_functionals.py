"""What a path was on the way: integrals, maxima and first exits, without storing it."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_count, by_name
from stablesde.dynamics._grid import time_grid
from stablesde.dynamics._layout import default_block, layout
from stablesde.dynamics._lost import lost, warn_if_lost
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._run import Run
from stablesde.dynamics._simulate import check_fits, slot_rows
from stablesde.dynamics._system import Driver, check_run
from stablesde.stable._bits import check_key, key_words
from stablesde.stable._varying import settled
from stablesde.system import System

Observable = Callable[[Array, Array], Array]


class Functionals(eqx.Module):
    """Functionals of the paths of n particles up to t1, from `functionals`.

    - `final` (n, dim): θ at t1.
    - `integral` (n, *shape): the integral of f(t, θ_t) over [0, t1], by left end points.
    - `maximum` (n, *shape): the largest g(t_k, θ_k) on the grid, entry by entry.
    - `exit_time` (n,): the first t_k at which θ_k is outside, `inf` for those that never are;
      `exit_place` (n, dim): θ_k then, θ at t1 for the others.

    None for what was not asked for. Exit times hold `inf`: take their median, or a mean of
    `jnp.minimum(exit_time, t1)`. A particle that loses its numbers is told, and counts as inside.
    """

    final: Float[Array, "n dim"]
    integral: Float[Array, "n *f"] | None
    maximum: Float[Array, "n *g"] | None
    exit_time: Float[Array, " n"] | None
    exit_place: Float[Array, "n dim"] | None

    def __repr__(self) -> str:
        names = ("integral", "maximum", "exit_time")
        asked = [name for name in names if getattr(self, name) is not None]
        n, dim = self.final.shape[-2:]
        return f"Functionals({n} particles in dimension {dim}, {', '.join(asked) or 'no path'})"


@by_name
def functionals(
    system: System,
    key: PRNGKeyArray,
    *,
    num_particles: int,
    integral: Observable | None = None,
    maximum: Observable | None = None,
    inside: Observable | None = None,
    t1: float | Array | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    scheme: str = "euler",
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> Functionals:
    """Simulates as `simulate`, under the same noise, and keeps functionals of each particle's path.

    Memory does not grow with the number of steps. Paths are seen at the times of the grid: a
    maximum is the grid's, and an excursion between two times is missed, so that exits come late:
    for a stable process of α > 1 by a mean time of order η^(1/α), as measured on an interval.

    **Arguments:** as `simulate`, and three functions of t and one particle θ (dim,):

    - `integral`: f to an array of any shape.
    - `maximum`: g to an array of any shape; of -g it is the minimum.
    - `inside`: to whether θ is in the region whose first exit is asked for.

    **Returns:** `Functionals`. **Raises:** as `simulate`, and `ValueError` for functions that can't
    be called, or an `inside` that gives no single truth value.
    """
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        num_particles=num_particles,
        num_steps=num_steps,
        block_size=block_size,
    )
    dtype = system.run_dtype
    grid = time_grid(t1, num_steps, times, dtype)
    check_key(key)
    num_particles = as_count("num_particles", num_particles)
    observed = {"integral": integral, "maximum": maximum, "inside": inside}
    sizes = {name: _shape(name, f, system.dim, dtype) for name, f in observed.items()}
    size, dim = system.statistic_size, system.dim
    limit = block_size or default_block(size, dim, dtype.itemsize)
    plan = layout(num_particles, int(limit), mesh)
    kept = sum(math.prod(shape) for shape in sizes.values())
    check_fits(plan, 1 + -(-kept // dim), size, dim, dtype.itemsize, scheme)
    run = Run(Driver.of(system), grid, None, plan, scheme)
    found = _compiled(run, key, observed, sizes, mesh)
    warn_if_lost(jnp.sum(lost(found.final)), run, key, mesh, stacklevel=3)
    return found


def _shape(name: str, function: Observable | None, dim: int, dtype: jnp.dtype) -> tuple[int, ...]:
    """The shape of what an observable gives; () for None."""
    if function is None:
        return ()
    if not callable(function):
        raise ValueError(f"{name} must be a function of (t, theta), got {function!r}.")
    arguments = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((), (dim,)))
    try:
        value = eqx.filter_eval_shape(lambda *a: jnp.asarray(function(*a)), *arguments)
    except Exception as error:
        raise ValueError(
            f"{name}(t, theta) fails for a theta of shape ({dim},): {error}"
        ) from error
    if name == "inside" and (value.shape != () or value.dtype != bool):
        raise ValueError(f"inside must give one truth value, got {value.dtype}{value.shape}.")
    return tuple(value.shape)


@eqx.filter_jit
def _compiled(run, key, observed, sizes, mesh):  # type: ignore[no-untyped-def]
    def local(run, words):  # type: ignore[no-untyped-def]
        return _observed(run.under(words), observed, sizes)

    axes = run.layout.axes
    names = [name for name, f in observed.items() if f is not None]
    specs = {"final": PartitionSpec(axes)}
    specs |= {name: PartitionSpec(axes) for name in names}
    specs |= {"place": PartitionSpec(axes)} if "inside" in names else {}
    found = on_mesh(local, mesh, specs, run, key_words(key))
    n = run.layout.num_particles
    found = {name: value[:n] for name, value in found.items()}
    return Functionals(
        found["final"],
        found.get("integral"),
        found.get("maximum"),
        found.get("inside"),
        found.get("place"),
    )


def _observed(run, observed, sizes):  # type: ignore[no-untyped-def]
    """What was asked for, of this device's particles, as rows."""
    dtype, start = run.driver.dtype, run.start()

    def values(name, t, theta):  # type: ignore[no-untyped-def]
        one = lambda th: jnp.asarray(observed[name](t, th))  # noqa: E731
        return jax.vmap(one, in_axes=1)(theta.reshape(theta.shape[0], -1))  # (slots, *shape)

    slots = run.layout.slots
    empty = {"integral": 0.0, "maximum": -jnp.inf, "inside": jnp.inf}
    kept = {
        name: jnp.full((slots, *sizes[name]), empty[name], dtype)
        for name, f in observed.items()
        if f is not None
    }
    if "inside" in kept:
        kept["place"] = slot_rows(run.theta(start))

    def look(kept, t, theta):  # type: ignore[no-untyped-def]
        """With the path at one time of the grid."""
        kept = dict(kept)
        if "maximum" in kept:
            kept["maximum"] = jnp.maximum(kept["maximum"], values("maximum", t, theta))
        if "inside" in kept:
            still = jnp.isinf(kept["inside"])
            known = ~lost(slot_rows(theta))  # what has lost its numbers has not been seen outside
            out = still & known & ~values("inside", t, theta)
            kept["place"] = jnp.where(still[:, None], slot_rows(theta), kept["place"])
            kept["inside"] = jnp.where(out, t, kept["inside"])
        return kept

    def step(carry, k):  # type: ignore[no-untyped-def]
        state, kept = carry
        (t, h), theta = run.grid.at(k), run.theta(state)
        kept = look(kept, t, theta)
        if "integral" in kept:
            kept["integral"] = kept["integral"] + h * values("integral", t, theta)
        return (run.step(state, k)[0], kept), None

    indices = jnp.arange(run.grid.num_steps)
    step, carry = settled(step, (start, kept), indices[0])
    (state, kept), _ = jax.lax.scan(step, carry, indices)
    theta = run.theta(state)
    end = run.grid.time(jnp.asarray(run.grid.num_steps))
    return {"final": slot_rows(theta), **look(kept, end, theta)}


__all__ = ["Functionals", "functionals"]
