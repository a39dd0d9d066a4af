"""Systems coupled through one noise: step sizes against a reference step, widths against the limit.

Both functions advance everything along one sweep of the finest grid, so that each increment is
drawn once and nothing is stored; errors are differences of the displacements D (see `_system`).
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde.dynamics._simulate import LawFlow
from stablesde.dynamics._system import (
    Driver,
    InitialLaw,
    check_run,
    drift,
    mean_statistic,
    particle_index,
)
from stablesde.model import MeanFieldModel
from stablesde.noise import StableNoise
from stablesde.stable._bits import key_words
from stablesde.stable._sampling import float_dtype


class CoupledErrors(eqx.Module):
    """Distances of coupled systems, per replica: `e^i = sup over the grid of ‖θ^i - θ'^i‖`.

    - `sup`: sup over particles of e^i. `mean`: mean over particles of e^i.
    - `final_sup`, `final_mean`: the same with the distance at the end time only.

    Shapes (R, widths, steps) from `coupled_steps`, (R, widths) from `coupled_limit`.
    """

    sup: Float[Array, "R *grid"]
    mean: Float[Array, "R *grid"]
    final_sup: Float[Array, "R *grid"]
    final_mean: Float[Array, "R *grid"]


def coupled_steps(
    model: MeanFieldModel,
    noise: StableNoise,
    keys: PRNGKeyArray,
    *,
    widths: tuple[int, ...],
    num_steps: tuple[int, ...],
    fine_steps: int,
    t1: float,
    sigma: float | Array = 1.0,
    init: InitialLaw = None,
    dtype: jnp.dtype | None = None,
) -> CoupledErrors:
    """Distance of Euler schemes with several steps from one with a fine step, on the same noise.

    Every width is a system of its own (its particles interact with each other only), made of the
    first particles of the largest. Distances are taken at the times of the coarse grid.

    **Arguments:**

    - `keys`: PRNG keys, shape (R,): one replica each.
    - `widths`: numbers of particles. `num_steps`: numbers of coarse steps, each a divisor of
      `fine_steps`, the number of steps of the reference.
    - the rest as in `simulate`.

    **Returns:** `CoupledErrors` of shape (R, len(widths), len(num_steps)).

    **Raises:** `ValueError` as `simulate`, or if a number of steps does not divide `fine_steps`.
    """
    check_run(
        model,
        noise,
        t1=t1,
        sigma=sigma,
        init=init,
        fine_steps=fine_steps,
        num_particles=max(widths, default=0),
    )
    for k in num_steps:
        if k < 1 or fine_steps % k or k == fine_steps:
            raise ValueError(
                f"every num_steps must divide fine_steps={fine_steps} and be smaller, got {k}."
            )
    run = functools.partial(
        _steps_replica,
        model,
        noise,
        t1=jnp.asarray(t1, float),
        sigma=jnp.asarray(sigma, float),
        init=init,
        widths=tuple(int(n) for n in widths),
        strides=tuple(int(fine_steps // k) for k in num_steps),
        fine_steps=int(fine_steps),
        dtype=float_dtype(dtype),
    )
    return _replicas(run, keys)


def coupled_limit(
    model: MeanFieldModel,
    noise: StableNoise,
    keys: PRNGKeyArray,
    flow: LawFlow,
    *,
    widths: tuple[int, ...],
    sigma: float | Array = 1.0,
    init: InitialLaw = None,
    dtype: jnp.dtype | None = None,
) -> CoupledErrors:
    """Distance of the systems of several widths from their limit copies, on the same noise.

    Both run on the grid of `flow`, so the distance is due to the width alone.

    **Arguments:** `keys` (R,), one per replica; `flow` from `law_flow`; the rest as in `simulate`.
    **Returns:** `CoupledErrors` of shape (R, len(widths)). **Raises:** `ValueError` as `simulate`.
    """
    t1 = flow.times[-1]
    check_run(model, noise, t1=t1, sigma=sigma, init=init, num_particles=max(widths, default=0))
    run = functools.partial(
        _limit_replica,
        model,
        noise,
        flow=flow.m,
        t1=jnp.asarray(t1, float),
        sigma=jnp.asarray(sigma, float),
        init=init,
        widths=tuple(int(n) for n in widths),
        dtype=float_dtype(dtype),
    )
    return _replicas(run, keys)


@eqx.filter_jit
def _replicas(run, keys):  # type: ignore[no-untyped-def]
    words = jax.vmap(key_words)(keys)
    return jax.vmap(run)(words)


def _distance(a: Array, b: Array) -> Float[Array, " n"]:
    return jnp.sqrt(jnp.sum((a - b) ** 2, 0))


def _summaries(running: list[Array], final: list[Array]) -> tuple[list[Array], ...]:
    return (
        [jnp.max(e) for e in running],
        [jnp.mean(e) for e in running],
        [jnp.max(e) for e in final],
        [jnp.mean(e) for e in final],
    )


def _steps_replica(  # type: ignore[no-untyped-def]
    model, noise, words, *, t1, sigma, init, widths, strides, fine_steps, dtype
):
    driver = Driver(noise, words, sigma.astype(dtype), dtype)
    index = particle_index(max(widths))
    theta0 = driver.initial(init, index)
    dt = (t1 / fine_steps).astype(dtype)
    zeros = [theta0[:, :n] * 0 for n in widths]
    no_error = [jnp.zeros(n, dtype) for n in widths]

    def euler(base, displacement, h):  # type: ignore[no-untyped-def]
        theta = base[:, : displacement.shape[1]] + displacement
        return displacement + h * drift(model, theta, mean_statistic(model, theta))

    def coarse_step(base, reference, stride, level):  # type: ignore[no-untyped-def]
        displacements, errors = level
        errors = [
            jnp.maximum(e, _distance(d, r))
            for e, d, r in zip(errors, displacements, reference, strict=True)
        ]
        return [euler(base, d, stride * dt) for d in displacements], errors

    def step(carry, k):  # type: ignore[no-untyped-def]
        levy, reference, levels = carry
        base = theta0 + levy
        # The predicate does not depend on the replica, so the branch stays one under vmap.
        levels = [
            jax.lax.cond(
                k % stride == 0,
                functools.partial(coarse_step, base, reference, stride),
                lambda level: level,
                level,
            )
            for stride, level in zip(strides, levels, strict=True)
        ]
        reference = [euler(base, d, dt) for d in reference]
        return (levy + driver.increment(k, dt, index), reference, levels), None

    start = (theta0 * 0, zeros, [(zeros, no_error) for _ in strides])
    (_, reference, levels), _ = jax.lax.scan(step, start, jnp.arange(fine_steps))
    columns = []
    for displacements, errors in levels:
        final = [_distance(d, r) for d, r in zip(displacements, reference, strict=True)]
        running = [jnp.maximum(e, f) for e, f in zip(errors, final, strict=True)]
        columns.append(_summaries(running, final))
    return CoupledErrors(*(jnp.array([list(c[i]) for c in columns]).T for i in range(4)))


def _limit_replica(model, noise, words, *, flow, t1, sigma, init, widths, dtype):  # type: ignore[no-untyped-def]
    driver = Driver(noise, words, sigma.astype(dtype), dtype)
    num_steps = flow.shape[0] - 1
    index = particle_index(max(widths))
    theta0 = driver.initial(init, index)
    dt = (t1 / num_steps).astype(dtype)

    def step(carry, k):  # type: ignore[no-untyped-def]
        levy, limit, systems, errors = carry
        base = theta0 + levy
        limit = limit + dt * drift(model, base + limit, flow[k].astype(dtype))
        advanced = []
        for n, displacement in zip(widths, systems, strict=True):
            theta = base[:, :n] + displacement
            advanced.append(displacement + dt * drift(model, theta, mean_statistic(model, theta)))
        errors = [
            jnp.maximum(e, _distance(d, limit[:, : d.shape[1]]))
            for e, d in zip(errors, advanced, strict=True)
        ]
        return (levy + driver.increment(k, dt, index), limit, advanced, errors), None

    start = (
        theta0 * 0,
        theta0 * 0,
        [theta0[:, :n] * 0 for n in widths],
        [jnp.zeros(n, dtype) for n in widths],
    )
    (_, limit, systems, errors), _ = jax.lax.scan(step, start, jnp.arange(num_steps))
    final = [_distance(d, limit[:, : d.shape[1]]) for d in systems]
    return CoupledErrors(*(jnp.array(s) for s in _summaries(errors, final)))
