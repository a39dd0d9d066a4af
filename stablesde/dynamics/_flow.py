"""The law flow m_t = E φ(θ_t) of the McKean–Vlasov limit, estimated from particles."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_flag, by_name
from stablesde._frames import data_frame, long_columns
from stablesde.dynamics._grid import TimeGrid, time_grid
from stablesde.dynamics._layout import Layout, default_block, halved, layout, scratch_bytes
from stablesde.dynamics._lost import DIVERGES
from stablesde.dynamics._memory import require_memory
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._run import Run
from stablesde.dynamics._system import (
    Driver,
    PairedSteps,
    check_antithetic,
    check_run,
)
from stablesde.model import PairwiseModel
from stablesde.stable._bits import check_key, fold, key_words
from stablesde.stable._varying import settled
from stablesde.system import HeldSystem, System, check_initial_law, traced

if TYPE_CHECKING:
    from pandas import DataFrame

# The law flow draws everything under its own key: a limit estimated from the very particles that
# it is then compared with would be biased towards them.
STREAM_LAW = 101

BATCHES = 16
# Below this many particles a batch, the systematic error O(1 / particles) would show.
_LEAST_BATCH = 256


class LawFlow(eqx.Module):
    """The mean statistic m_t of the limit of `system` on the grid `times`.

    - `times` (K + 1,); `m` (K + 1, M).
    - `standard_error` (K + 1, M): of each entry of m, by chance: it knows nothing of the error of
      the time steps. Zero from a deterministic solver.
    - `time_error` (K + 1, M), if it was asked for: m less what half the number of steps gives on
      the same noise. About the error that the steps leave in m, whose sign it has reversed.
    - `step_size`: of the scheme, () or (K,), as the numbers it computed with.
    - `num_particles`: how many gave the estimate (0: none).
    - `system`: whose limit it is.

    For a `PairwiseModel`, m_t holds the positions of the particles of one large system, (dim, N)
    flattened, over whose law the kernel is averaged, and `standard_error` is NaN.
    """

    times: Float[Array, " K1"]
    m: Float[Array, "K1 M"]
    standard_error: Float[Array, "K1 M"]
    step_size: Float[Array, " *K"]
    held: HeldSystem
    num_particles: int = eqx.field(static=True)
    time_error: Float[Array, "K1 M"] | None = None

    def __init__(
        self,
        system: System,
        times: Float[Array, " K1"],
        m: Float[Array, "K1 M"],
        standard_error: Float[Array, "K1 M"],
        step_size: Float[Array, " *K"],
        num_particles: int,
        time_error: Float[Array, "K1 M"] | None = None,
    ) -> None:
        self.held = HeldSystem(system)
        self.time_error = time_error
        self.times, self.m, self.standard_error = times, m, standard_error
        self.step_size, self.num_particles = step_size, num_particles

    @property
    def system(self) -> System:
        """The system of which this is the limit's flow."""
        return self.held.whole

    @property
    def num_steps(self) -> int:
        """K."""
        return self.m.shape[-2] - 1

    def grid(self, dtype: jnp.dtype) -> TimeGrid:
        """The grid of the scheme, for systems that are to share its noise."""
        uniform = self.step_size.ndim == 0
        times = None if uniform else self.times.astype(dtype)
        return TimeGrid(self.step_size.astype(dtype), times, self.num_steps)

    def to_frame(self) -> "DataFrame":
        """The mean statistic as a long table.

        **Returns:** a pandas `DataFrame` with the columns `time`, `statistic` (from 0), `m`,
        `standard_error` and, if the flow has it, `time_error`, one row for each entry of m;
        (K + 1) · M rows, in this order.

        **Raises:** as `Trajectory.to_frame`.
        """
        values = {"m": self.m, "standard_error": self.standard_error}
        values |= {} if self.time_error is None else {"time_error": self.time_error}
        axes = {"time": self.times, "statistic": np.arange(self.m.shape[-1])}
        return data_frame(long_columns(values, **axes))

    def __repr__(self) -> str:
        source = f"{self.num_particles} particles" if self.num_particles else "deterministic"
        *batch, _, size = self.m.shape
        runs = f"{'x'.join(map(str, batch))} flows, " if batch else ""
        return f"LawFlow({runs}{self.num_steps} steps, {size} statistics, {source})"


def check_is_flow(flow: object) -> None:
    """Raises `ValueError` for what is no `LawFlow`."""
    if not isinstance(flow, LawFlow):
        raise ValueError(f"flow must be a LawFlow, from law_flow, got {type(flow).__name__}.")
    if flow.m.ndim != 2:
        raise ValueError(f"flow holds several, m has shape {flow.m.shape}: use jax.vmap over it.")


def check_finite(m: Array) -> None:
    """Raises `ValueError` if a law flow that is not traced has lost its numbers."""
    if isinstance(m, jax.core.Tracer) or not m.is_fully_addressable:
        return
    finite = np.isfinite(np.asarray(m)).all(-1)
    if not finite.all():
        raise ValueError(
            f"the mean statistic is not finite from step {int(np.argmin(finite))} on: the scheme "
            f"diverges. {DIVERGES}"
        )


@by_name
def law_flow(
    system: System,
    key: PRNGKeyArray,
    *,
    t1: float | Array | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    num_particles: int = 100_000,
    scheme: str = "euler",
    antithetic: bool = False,
    stratified: bool = False,
    richardson: bool = False,
    batches: int | None = None,
    time_error: bool = False,
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> LawFlow:
    """Estimates the law flow m_t = E φ(θ_t) of the limit from large particle systems.

    The particles draw from streams of their own: they are independent of what `simulate` and
    `simulate_limit` draw under the same key. They form `batches` independent systems, whose mean
    is the estimate and whose spread gives `standard_error`, interaction included: the error of m
    is O(num_particles^-1/2), and in a study it must be far below the effect that is measured. The
    systematic error of a system of N particles is O(1/N); that of the time steps, O(η) with the
    Euler scheme, may be far larger, is in no standard error, and is what `time_error` estimates.

    **Arguments:** as `simulate`, and

    - `num_particles`: in all batches; rounded up to a multiple of what the batches need.
    - `antithetic`: pairs of particles with opposite noise and, for normal initial values, opposite
      θ₀. Cuts the error where φ is mostly odd (tanh units), doubles the variance where it is even.
      For symmetric noise.
    - `stratified`: normal initial values from a randomly shifted lattice in place of random ones.
    - `richardson`: extrapolates in the number of particles, `2 m_N - m_{N/2}` on the same noise,
      which removes the systematic error O(1/N) at twice the cost. Pays for small batches.
    - `batches`: number of independent systems; None: 16, or 1 if they would have fewer than 256
      particles. With 1, `standard_error` is the spread over particles, which leaves out what the
      particles' interaction adds.
    - `time_error`: whether to run half the number of steps, too, on the same noise, for the field
      `time_error`. Costs about as much again. `m + time_error` is then Richardson's extrapolation
      in the step: it lacks the error of first order.

    **Returns:** a `LawFlow`. **Raises:** as `simulate`, and `ValueError` if the scheme diverges, or
    for a `time_error` of an odd number of steps.
    """
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        num_particles=num_particles,
        all_listed=False,
        num_steps=num_steps,
        batches=batches,
        block_size=block_size,
    )
    check_initial_law(system, "a law flow")
    check_key(key)
    grid = time_grid(t1, num_steps, times, system.run_dtype)
    check_has_limit(system)
    if isinstance(system.model, PairwiseModel):
        return _reference(
            system,
            key,
            grid,
            num_particles,
            scheme,
            block_size,
            mesh,
            plain=not (antithetic or stratified or richardson or time_error or (batches or 1) > 1),
        )
    antithetic, stratified = as_flag("antithetic", antithetic), as_flag("stratified", stratified)
    if antithetic:
        check_antithetic(system)
    richardson = as_flag("richardson", richardson)
    if as_flag("time_error", time_error) and grid.num_steps % 2:
        raise ValueError(f"time_error needs an even number of steps, got {grid.num_steps}.")
    reduced = antithetic or stratified or richardson
    if reduced and batches == 1:
        raise ValueError("with variance reduction the error is that of batches: give at least 2.")
    enough = reduced or num_particles >= BATCHES * _LEAST_BATCH
    batches = int(batches or (BATCHES if enough else 1))
    plan = flow_layout(
        system, -(-num_particles // batches), block_size, mesh, grid, antithetic, richardson
    )
    run = Run(Driver.of(system), grid, None, plan, scheme)
    at, step, m, error = _compiled(run, key, batches, antithetic, stratified, mesh)
    check_finite(m)
    gap = None
    if time_error:
        driver = PairedSteps(traced(system), None, system.run_dtype, fine=grid)
        coarse = Run(driver, grid.halved(), None, plan, scheme)
        gap = _time_error(m, _compiled(coarse, key, batches, antithetic, stratified, mesh)[2])
    return LawFlow(system, at, m, error, step, plan.num_particles * batches, gap)


@jax.jit
def _time_error(m: Float[Array, "K1 M"], coarse: Float[Array, "L1 M"]) -> Float[Array, "K1 M"]:
    """m less that of half the number of steps; between their times, the mean of both ends."""
    gap = m[::2] - coarse
    middle = (gap[:-1] + gap[1:]) / 2
    return jnp.insert(gap, jnp.arange(1, len(gap)), middle, axis=0)


def check_has_limit(system: System) -> None:
    """Raises `ValueError` for a drift that is drawn in each step."""
    if system.model.is_random:
        raise ValueError(
            f"{system.model} draws its drift in each step, of which the limit of many particles is "
            "no law: take the law flow of the model without batch_size."
        )


def _reference(
    system: System,
    key: PRNGKeyArray,
    grid: TimeGrid,
    num_particles: int,
    scheme: str,
    block_size: int | None,
    mesh: Mesh | None,
    plain: bool,
) -> LawFlow:
    """The flow of particles that interact in pairs: the positions of one large system."""
    if not plain:
        raise ValueError(
            "the limit of a PairwiseModel is one large system: leave out batches, antithetic, "
            "stratified, richardson and time_error."
        )
    size = (grid.num_steps + 1) * num_particles * system.dim * system.run_dtype.itemsize
    require_memory(
        4 * size,
        f"the positions of {num_particles} particles at {grid.num_steps + 1} times",
        "Lower num_particles or num_steps.",
    )
    plan = layout(num_particles, int(block_size or num_particles), mesh)
    run = Run(Driver.of(system), grid, None, plan, scheme)
    times, step, m = _positions(run, key, mesh)
    check_finite(m)
    return LawFlow(system, times, m, jnp.full_like(m, jnp.nan), step, num_particles)


@eqx.filter_jit
def _positions(run, key, mesh):  # type: ignore[no-untyped-def]
    def local(run, words):  # type: ignore[no-untyped-def]
        one = run.under(fold(words, 0, STREAM_LAW))

        def step(state, k):  # type: ignore[no-untyped-def]
            return one.step(state, k)[0], one.theta(state)

        indices = jnp.arange(one.grid.num_steps)
        step, start = settled(step, one.start(), indices[0])
        state, before = jax.lax.scan(step, start, indices)
        all_times = jnp.concatenate([before, one.theta(state)[None]])
        return all_times.reshape(*all_times.shape[:2], -1)

    axes = run.layout.axes
    words = fold(key_words(key), 0, STREAM_LAW)
    theta = on_mesh(local, mesh, PartitionSpec(None, None, axes), run, words)
    m = theta[:, :, : run.layout.num_particles].reshape(theta.shape[0], -1)
    return run.grid.all_times(), run.grid.step, m


def flow_layout(
    system: System,
    batch: int,
    block_size: int | None,
    mesh: Mesh | None,
    grid: TimeGrid,
    antithetic: bool,
    richardson: bool,
) -> Layout:
    """A layout without empty slots, for at least `batch` particles in pairs and halves."""
    size, dim, itemsize = system.statistic_size, system.dim, system.run_dtype.itemsize
    limit = int(block_size or default_block(size, dim, itemsize))
    multiple = (2 if antithetic else 1) * (2 if richardson else 1)
    plan = layout(batch, limit, mesh, multiple=multiple)
    plan = halved(plan) if richardson else plan
    state = plan.slots * dim * itemsize
    flows = (grid.num_steps + 1) * size * itemsize
    require_memory(
        7 * state
        + 4 * BATCHES * flows
        + plan.block * plan.chunk * scratch_bytes(size, dim, itemsize),
        f"{plan.num_particles} particles a batch, dim={dim}, {grid.num_steps} steps with M={size} "
        f"statistics each",
        "Lower num_particles or num_steps, raise batches, or lower block_size.",
    )
    return plan


@eqx.filter_jit
def _compiled(  # type: ignore[no-untyped-def]
    run, key, batches, antithetic, stratified, mesh
):
    systems = len(run.layout.members)
    # Each half of the particles has its own pairs, where halves are systems.
    pairs = antithetic * (1 if systems == 1 else 2)

    def local(run, words):  # type: ignore[no-untyped-def]
        def batch(b):  # type: ignore[no-untyped-def]
            stream = fold(words, b, STREAM_LAW)
            one = run.under(stream, antithetic=pairs, stratified=stratified)
            return statistics(one, systems, batches == 1)

        return jax.lax.map(batch, jnp.arange(batches))

    words = fold(key_words(key), 0, STREAM_LAW)
    means, spread = on_mesh(local, mesh, (PartitionSpec(), PartitionSpec()), run, words)
    m = means[..., 0]
    if systems > 1:
        m = 2 * m - (means[..., 1] + means[..., 2]) / 2
    times, step = run.grid.all_times(), run.grid.step
    if batches == 1:
        return times, step, m[0], spread[0] / run.layout.num_particles**0.5
    return times, step, jnp.mean(m, 0), jnp.std(m, 0, ddof=1) / batches**0.5


def statistics(
    run: Run, systems: int, with_spread: bool
) -> tuple[Float[Array, "K1 M J"], Float[Array, "K1 M"]]:
    """The mean statistics of the first systems at every time of the grid, and the spread over the
    particles of the first system if asked (zeros otherwise)."""

    def measured(theta, m):  # type: ignore[no-untyped-def]
        spread = jnp.sqrt(run.variance(theta, m[:, 0])) if with_spread else jnp.zeros_like(m[:, 0])
        return m, spread

    def step(state, k):  # type: ignore[no-untyped-def]
        theta = run.theta(state)
        driving = run.driving(theta, k)
        m = driving if run.flow is None else run.means(theta, systems)
        return run.step_given(state, k, driving), measured(theta, m)

    indices = jnp.arange(run.grid.num_steps)
    step, start = settled(step, run.start(), indices[0])
    state, (m, spread) = jax.lax.scan(step, start, indices)
    theta = run.theta(state)
    last = measured(theta, run.means(theta, systems))
    ends = [jnp.concatenate([a, b[None]]) for a, b in zip((m, spread), last, strict=True)]
    return ends[0], ends[1]


__all__ = [
    "STREAM_LAW",
    "LawFlow",
    "check_finite",
    "check_is_flow",
    "flow_layout",
    "law_flow",
    "statistics",
]
