"""The particle system and independent copies of the McKean–Vlasov limit."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from stablesde._arguments import as_count, by_name
from stablesde._frames import data_frame, long_columns
from stablesde.dynamics._flow import LawFlow, check_is_flow
from stablesde.dynamics._grid import TimeGrid, time_grid
from stablesde.dynamics._layout import Layout, default_block, layout, scratch_bytes
from stablesde.dynamics._lost import lost, num_lost, warn_if_lost
from stablesde.dynamics._memory import require_memory
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._nested import advance, run_and_save
from stablesde.dynamics._run import Run, State
from stablesde.dynamics._system import Driver, check_run
from stablesde.stable._bits import check_key, key_words
from stablesde.system import System

if TYPE_CHECKING:
    from pandas import DataFrame


Moving = tuple[Float[Array, "dim drawn"], Float[Array, "dim blocks block"]]


class Trajectory(eqx.Module):
    """A simulated system at the saved times, split as `θ = θ₀ + σL + D`.

    - `times` (S,); `initial` (n, dim): θ₀.
    - `levy` (S, n, dim): σ L_t; 0 where sigma is a function. `displacement` (S, n, dim): D_t, the
      integrated drift, and with it the integral of σ dL where sigma is a function.
    - `mean_statistic` (S, M): the m_t on which the drift depends: the mean of φ(θ_t) over the
      particles, or the law flow's for copies of the limit.

    Compare coupled trajectories through `displacement`: their θ₀ and L are identical. Under `vmap`
    every array gets leading axes, and so do `theta` and `final`.
    """

    times: Float[Array, " S"]
    initial: Float[Array, "n dim"]
    levy: Float[Array, "S n dim"]
    displacement: Float[Array, "S n dim"]
    mean_statistic: Float[Array, "S M"]

    @property
    def theta(self) -> Float[Array, "S n dim"]:
        """θ_t at the saved times."""
        return self.initial[..., None, :, :] + self.levy + self.displacement

    @property
    def final(self) -> Float[Array, "n dim"]:
        """θ at the last saved time."""
        return _final(self.initial, self.levy, self.displacement)

    @property
    def num_nonfinite(self) -> Int[Array, " S"]:
        """How many particles are not finite at the saved times: 0 in a run that can be trusted.

        A particle that is lost stays lost, and through a mean statistic takes others with it.
        """
        return _num_lost(self.initial, self.levy, self.displacement)

    def to_frame(self) -> "DataFrame":
        """The particles as a long table.

        **Returns:** a pandas `DataFrame` with the columns `time`, `particle` (from 0),
        `coordinate` (from 0) and `theta`, one row for each θ; S · n · dim rows, in this order.

        **Raises:** `ImportError` without pandas, an extra (`pip install "stablesde[pandas]"`);
        `ValueError` for the trajectories of a `vmap`: take one of them first.
        """
        theta = np.asarray(self.theta)
        particles, coordinates = np.arange(theta.shape[-2]), np.arange(theta.shape[-1])
        axes = {"time": self.times, "particle": particles, "coordinate": coordinates}
        return data_frame(long_columns({"theta": theta}, **axes))

    def __repr__(self) -> str:
        *batch, saved, n, dim = self.levy.shape
        runs = f"{'x'.join(map(str, batch))} runs, " if batch else ""
        return (
            f"Trajectory({runs}{n} particles in dimension {dim}, {saved} saved times, "
            f"{self.levy.dtype})"
        )


@by_name
def simulate(
    system: System,
    key: PRNGKeyArray,
    *,
    num_particles: int,
    t1: float | Array | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    save_every: int | None = None,
    scheme: str = "euler",
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> Trajectory:
    """Simulates n particles `dθ^i = b(θ^i, μ^n) dt + σ dL^i` with the Euler scheme (eq. 2–4).

    `θ_{k+1} = θ_k + η b(θ_k, μ_k) + σ η^(1/α) X_k`, η = t1 / num_steps, or another `scheme`.

    **Arguments:**

    - `system`: the `ssd.System`: drift, noise, σ and the law of θ₀.
    - `key`: a JAX PRNG key. Initial values and increments are functions of (key, particle, step).
    - `num_particles`: n. `t1`: end time. `num_steps`: number of equal steps.
    - `times`: instead of these two, the grid 0 = t_0 < … < t_K, shape (K + 1,), of a scheme with
      steps of different sizes, such as a decreasing schedule.
    - `save_every`: save θ₀ and every so many steps (must divide `num_steps`); None: the end only.
    - `scheme`: "euler"; "heun", which averages the drift over both ends of a step; "exponential",
      which integrates the linear part of `WeightDecay` and `MeanReversion` exactly; "tamed", for
      drifts that grow faster than linearly: `b / (1 + η ‖b‖)` in place of b.
    - `block_size`: particles per block; temporary memory is O(block_size (M + dim)). None chooses
      blocks that suit the device's caches.
    - `mesh`: a `jax.sharding.Mesh` over whose devices the particles are spread (over all axes but
      one named "replicas"). Noise does not depend on blocks or devices; sums over particles do,
      to rounding.

    **Returns:** a `Trajectory`. Differentiable in `t1` and the numbers of the `system`: `sigma`,
    `init`, `noise.alpha` and what the `model` is made of, at fixed random numbers ("pathwise"), in
    reverse mode in the memory of a few dozen states.

    **Raises:** `ValueError` for counts below 1, a negative or non-finite `t1`, an `init` that lists
    another number of particles, a `save_every` that does not divide the number of steps or an
    unknown scheme; `MemoryError`, before anything is computed, if the result and
    its temporaries will not fit. **Warns:** `RuntimeWarning` if particles are not finite at the
    end, with the first of them and its step, which a second run finds. Inside of a transformation
    (`jax.jit`, `jax.grad`, `jax.vmap`) nothing is told: look at `Trajectory.num_nonfinite`.
    """
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        num_particles=num_particles,
        num_steps=num_steps,
        save_every=save_every,
        block_size=block_size,
    )
    grid = time_grid(t1, num_steps, times, system.run_dtype)
    return _simulated(
        system,
        key,
        None,
        grid,
        num_particles,
        save_every,
        scheme,
        block_size,
        mesh,
    )


@by_name
def simulate_limit(
    flow: LawFlow,
    key: PRNGKeyArray,
    *,
    num_particles: int,
    save_every: int | None = None,
    scheme: str = "euler",
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> Trajectory:
    """Simulates independent copies of the limit `dθ = b(θ, law(θ)) dt + σ dL` (eq. 5).

    Under the same key they have the same initial values and the same noise as the particles of
    `simulate` with the flow's system and grid: particle i and copy i are coupled.

    **Arguments:** `flow`, from `law_flow`, `picard_flow` or `fokker_planck`, which carries its
    system and time grid; the rest as in `simulate`.

    **Returns:** a `Trajectory`. **Raises:** as `simulate`. **Warns:** as `simulate`.
    """
    check_is_flow(flow)
    check_run(
        flow.system,
        scheme=scheme,
        num_particles=num_particles,
        save_every=save_every,
        block_size=block_size,
    )
    return _simulated(
        flow.system,
        key,
        flow.m,
        flow.grid(flow.system.run_dtype),
        num_particles,
        save_every,
        scheme,
        block_size,
        mesh,
    )


def _simulated(
    system: System,
    key: PRNGKeyArray,
    flow: Float[Array, "K1 M"] | None,
    grid: TimeGrid,
    num_particles: int,
    save_every: int | None,
    scheme: str,
    block_size: int | None,
    mesh: Mesh | None,
) -> Trajectory:
    """Plans the run, checks that it fits into memory, and runs it."""
    num_particles = as_count("num_particles", num_particles)
    save_every = None if save_every is None else as_count("save_every", save_every)
    if save_every is not None and grid.num_steps % save_every:
        raise ValueError(f"save_every={save_every} must divide num_steps={grid.num_steps}.")
    check_key(key)
    size, dim, itemsize = system.statistic_size, system.dim, system.run_dtype.itemsize
    limit = block_size or default_block(size, dim, itemsize)
    plan = layout(num_particles, int(limit), mesh, follows=flow is not None)
    saved = 1 if save_every is None else grid.num_steps // save_every + 1
    check_fits(plan, saved, size, dim, itemsize, scheme)
    run = Run(Driver.of(system), grid, flow, plan, scheme)
    every = save_every or grid.num_steps
    trajectory, number = _compiled(run, key, every, save_every is not None, mesh)
    warn_if_lost(number, run, key, mesh, stacklevel=4)
    return trajectory


def check_fits(plan: Layout, saved: int, size: int, dim: int, itemsize: int, scheme: str) -> None:
    """Raises `MemoryError` if a run that saves so many times will not fit."""
    states = plan.drawn * dim * itemsize
    # θ₀, L and D twice (old and new), and the result with its transposed copy.
    held = states * (5 + 2 * (scheme == "heun") + 4 * saved + 1) + saved * size * itemsize
    require_memory(
        held + plan.block * scratch_bytes(size, dim, itemsize),
        f"num_particles={plan.num_particles} on {plan.num_devices} device(s), dim={dim}, "
        f"{saved} saved times, M={size} statistics in blocks of {plan.block}, "
        f"{8 * itemsize}-bit numbers",
        "Lower num_particles, the number of saved times (raise save_every or leave it out) or "
        "block_size, or spread the particles over more devices with mesh.",
    )


@eqx.filter_jit
def _compiled(  # type: ignore[no-untyped-def]
    run, key, every, save_start, mesh
):
    axes = run.layout.axes
    particles = PartitionSpec(None, axes)
    specs = (PartitionSpec(axes), particles, particles, PartitionSpec(), PartitionSpec())

    def local(run, words):  # type: ignore[no-untyped-def]
        return _swept(run.under(words), every, save_start)

    initial, levy, displacement, m, number = on_mesh(local, mesh, specs, run, key_words(key))
    n = run.layout.num_particles
    times = run.grid.all_times()[0 if save_start else every :: every]
    trajectory = Trajectory(times, initial[:n], levy[:, :n], displacement[:, :n], m)
    return trajectory, number


def _swept(run: Run, every: int, save_start: bool) -> tuple[Array, ...]:
    """θ₀, and σL, D and m at the saved times, of this device's particles; how many are lost."""
    start, num_steps = run.start(), run.grid.num_steps
    moving = (start.levy, start.displacement)
    if save_start:
        moving, saved = stretches(run, start.initial, moving, 0, every, num_steps // every)
    else:
        step = _step_of(run, start.initial, 0)
        moving, saved = advance(step, moving, num_steps), None
    levy, displacement, m = with_end(run, start.initial, moving, num_steps, saved)
    number = num_lost(run.layout, jax.lax.stop_gradient(State(start.initial, *moving)))
    return rows(start.initial), levy, displacement, m, number


def stretches(
    run: Run,
    initial: Array,
    moving: Moving,
    first: Array | int,
    every: int,
    count: int,
) -> tuple[Moving, tuple[Array, ...]]:
    """`count` times `every` steps from step `first` on.

    **Returns:** (σL, D) at the end; and at the start of every stretch σL and D, particles as rows,
    with m, which the first step of the stretch uses: it is computed once.
    """
    step = _step_of(run, initial, first)
    moving, starts, m = run_and_save(step, moving, every, count)
    return moving, (rows(starts[0]), slot_rows(starts[1]), m)


def _step_of(run: Run, initial: Array, first: Array | int) -> Any:
    """(σL, D) and k to what they are after step `first` + k, and the m that drove them."""

    def step(moving: Moving, k: Array) -> tuple[Moving, Array]:
        state, m = run.step(State(initial, *moving), first + k)
        return (state.levy, state.displacement), m[:, 0]

    return step


def with_end(
    run: Run, initial: Array, moving: Moving, k: Array | int, saved: tuple[Array, ...] | None
) -> tuple[Array, ...]:
    """What is saved, and with it the state (σL, D) at t_k and its m."""
    m = run.driving(run.theta(State(initial, *moving)), jnp.asarray(k))[:, 0]
    end = (rows(moving[0])[None], slot_rows(moving[1])[None], m[None])
    if saved is None:
        return end
    return tuple(jnp.concatenate(pair) for pair in zip(saved, end, strict=True))


@jax.jit
def _num_lost(initial: Array, levy: Array, displacement: Array) -> Array:
    return jnp.sum(lost(initial[..., None, :, :] + levy, displacement), -1)


@jax.jit
def _final(initial: Array, levy: Array, displacement: Array) -> Array:
    return initial + levy[..., -1, :, :] + displacement[..., -1, :, :]


def rows(columns: Float[Array, "*S dim n"]) -> Float[Array, "*S n dim"]:
    """Particles as rows."""
    return jnp.moveaxis(columns, -2, -1)


def slot_rows(columns: Float[Array, "*S dim blocks block"]) -> Float[Array, "*S slots dim"]:
    """The particles of all slots as rows."""
    return rows(columns.reshape(*columns.shape[:-2], -1))


__all__ = ["Trajectory", "simulate", "simulate_limit"]
