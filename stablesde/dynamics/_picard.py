"""The law flow by Picard iteration: a fixed point over whole paths, without interaction."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_flag, by_name, is_concrete
from stablesde.dynamics._flow import STREAM_LAW, LawFlow, check_finite, flow_layout, statistics
from stablesde.dynamics._grid import time_grid
from stablesde.dynamics._mesh import on_mesh
from stablesde.dynamics._run import Run
from stablesde.dynamics._system import (
    Driver,
    check_antithetic,
    check_number,
    check_run,
)
from stablesde.model import PairwiseModel
from stablesde.stable._bits import check_key, fold, key_words
from stablesde.stable._domain import number_text
from stablesde.stable._varying import vary_with
from stablesde.system import System


class PicardFlow(eqx.Module):
    """The law flow found by Picard iteration, and how it got there.

    - `flow`: the last iterate.
    - `residuals` (iterations,): sup over times and statistics of |m^{j+1} - m^j|; NaN where the
      iteration had ended before.
    - `tolerance`: the residual at which it ends.
    """

    flow: LawFlow
    residuals: Float[Array, " J"]
    tolerance: Float[Array, ""]

    @property
    def iterations(self) -> Array:
        """How many iterations were done."""
        return jnp.sum(~jnp.isnan(self.residuals))

    @property
    def converged(self) -> Array:
        """Whether the last residual is at most the tolerance."""
        return self.residuals[self.iterations - 1] <= self.tolerance

    def __repr__(self) -> str:
        if self.residuals.ndim > 1 or not is_concrete(self.residuals):
            return f"PicardFlow({self.flow}, residuals {number_text(self.residuals)})"
        last = float(self.residuals[int(self.iterations) - 1])
        state = "converged" if bool(self.converged) else "not converged"
        return f"PicardFlow({state} after {int(self.iterations)} iterations, residual {last:.2g})"


@by_name
def picard_flow(
    system: System,
    key: PRNGKeyArray,
    *,
    t1: float | Array | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    num_particles: int = 100_000,
    scheme: str = "euler",
    iterations: int = 30,
    tolerance: float = 1e-5,
    antithetic: bool = False,
    stratified: bool = False,
    block_size: int | None = None,
    mesh: Mesh | None = None,
) -> PicardFlow:
    """The law flow as a fixed point: independent particles under m^j give m^{j+1}.

    m^0 is the initial mean statistic at all times. Every iteration uses the same noise, so the
    fixed point is the mean statistic of the interacting system that `law_flow` with `batches=1`
    simulates, and is reached after at most `num_steps` iterations; with a Lipschitz drift the
    residual falls faster than geometrically, like (C t1)^j / j! (Sznitman 1991, Theorem 1.1).
    Within an iteration the particles don't interact: nothing is communicated from step to step.

    **Arguments:** as `law_flow`, and `iterations`, the most that are done; `tolerance`, the
    residual at which the iteration ends.

    **Returns:** a `PicardFlow`; look at `converged`. Its flow's `standard_error` is the spread over
    the particles. **Raises:** as `law_flow`.
    """
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        num_particles=num_particles,
        num_steps=num_steps,
        block_size=block_size,
        iterations=iterations,
    )
    check_number("tolerance", tolerance)
    if isinstance(system.model, PairwiseModel) or system.model.is_random:
        raise ValueError(
            f"picard_flow needs a drift through the mean of a statistic, got {system.model}."
        )
    variants = as_flag("antithetic", antithetic), as_flag("stratified", stratified)
    if antithetic:
        check_antithetic(system)
    dtype = system.run_dtype
    check_key(key)
    grid = time_grid(t1, num_steps, times, dtype)
    plan = flow_layout(system, num_particles, block_size, mesh, grid, variants[0], richardson=False)
    run = Run(Driver.of(system), grid, None, plan, scheme)
    enough = jnp.asarray(tolerance, dtype)
    compiled = _compiled(run, key, *variants, int(iterations), enough, mesh)
    at, step, m, error, residuals = compiled
    check_finite(m)
    flow = LawFlow(system, at, m, error, step, plan.num_particles)
    return PicardFlow(flow, residuals, enough)


@eqx.filter_jit
def _compiled(  # type: ignore[no-untyped-def]
    run, key, antithetic, stratified, iterations, tolerance, mesh
):
    def local(run, words, tolerance):  # type: ignore[no-untyped-def]
        still = run.under(words, antithetic=int(antithetic), stratified=stratified)
        plan = still.layout._replace(followers=1)

        def given(flow, with_spread=False):  # type: ignore[no-untyped-def]
            driven = Run(still.driver, still.grid, flow, plan, still.scheme)
            m, spread = statistics(driven, 1, with_spread)
            return m[..., 0], spread

        m0 = still.means(still.theta(still.start()))[:, 0]
        flow = jnp.broadcast_to(m0, (still.grid.num_steps + 1, *m0.shape))

        def unfinished(carry):  # type: ignore[no-untyped-def]
            _, residuals, j = carry
            last = residuals[jnp.maximum(j - 1, 0)]
            return (j < iterations) & ((j == 0) | (last > tolerance))

        def iterate(carry):  # type: ignore[no-untyped-def]
            flow, residuals, j = carry
            new, _ = given(flow)
            return new, residuals.at[j].set(jnp.max(jnp.abs(new - flow), initial=0.0)), j + 1

        start = (flow, jnp.full(iterations, jnp.nan, tolerance.dtype), jnp.zeros((), int))
        start = vary_with(start, (still, tolerance))
        flow, residuals, _ = jax.lax.while_loop(unfinished, iterate, start)
        return *given(flow, True), residuals

    words = fold(fold(key_words(key), 0, STREAM_LAW), 0, STREAM_LAW)
    specs = (PartitionSpec(),) * 3
    m, spread, residuals = on_mesh(local, mesh, specs, run, words, tolerance)
    error = spread / run.layout.num_particles**0.5
    return run.grid.all_times(), run.grid.step, m, error, residuals


__all__ = ["PicardFlow", "picard_flow"]
