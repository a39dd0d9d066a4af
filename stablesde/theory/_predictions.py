"""Errors of the coupling studies without a fitted parameter: the limits of the rescaled errors.

- Strong error: `(θ - θ̂)/η` converges in law to U with
  `dU^i = (∂_θ b U^i + ∂_m b · mean_j[∇φ(θ^j) U^j]) dt + ξ dF^i`, F^i = b(θ^i, m), ξ uniform on
  (0, 1) for each jump: where in its step the jump falls (Jacod (2004), and the proof of the bound
  of order one, whose weight is ηξ).
- Chaos: `√n (θ^{i,n} - θ^{i,∞})` converges in law to V with
  `dV^i = (∂_θ b V^i + ∂_m b · (G_t + E[∇φ(θ_t) V_t | G])) dt`, G the Gaussian process with the
  covariances of φ(θ_t) in time (Sznitman (1991), Tanaka (1984)).

Derivatives are the model's, by automatic differentiation.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_count, as_number
from stablesde.dynamics._system import Driver, check_additive, check_run, check_stable, velocity
from stablesde.stable._bits import Keys, fold, key_words, threefry2x32
from stablesde.system import System

# Streams of the uniform ξ and the multipliers ε, beside those of the noise.
_STREAM_PLACE = 211
_STREAM_MULTIPLIER = 212
# Replicas that are advanced together.
_BATCH = 8
# Steps of the grid of U: finer ones change nothing that can be seen.
_GRID = 256


class Prediction(NamedTuple):
    """Predicted errors, one row for each simulated replica of the limit: independent draws.

    `sup` and `mean`, as the measures of the studies: of shape (R, widths, steps) for the strong
    error, (R, widths) for chaos.
    """

    sup: np.ndarray
    mean: np.ndarray

    def __repr__(self) -> str:
        return f"Prediction({len(self.sup)} replicas of {self.sup.shape[1:]} errors)"


def predict_strong_error(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    num_steps: Sequence[int],
    t1: float,
    fine_steps: int | None = None,
    replicas: int = 32,
) -> Prediction:
    """The strong error that `ssd.strong_error` measures, to first order in η, without a fit.

    U is simulated on one grid for all steps: of 128 or, if more, of all of `num_steps` up to 256, a
    multiple of each that it holds. If the reference of the study has `fine_steps`, ξ takes the
    values that a jump has in a step of that grid; None for the exact solution.

    **Arguments:** `system` with a drift that is differentiable; `key`; `widths`, `num_steps`, `t1`
    as in the study; `replicas` simulated.

    **Returns:** a `Prediction`, arrays (R, widths, num_steps).
    **Raises:** `ValueError` as `ssd.simulate`, or for counts that are none.
    """
    t1, widths, keys = _checked(key, t1, widths, replicas)
    steps = tuple(as_count("each of num_steps", k) for k in num_steps)
    check_stable(system, "the predicted error")
    check_run(system, num_particles=max(widths))
    held = [k for k in steps if k <= _GRID] or [1]
    least = int(np.lcm.reduce(held))
    grid = -(-128 // least) * least
    places = tuple(
        0 if fine_steps is None else as_count("fine_steps", fine_steps) // k for k in steps
    )
    driver = Driver.of(system)
    sup, mean = _strong(driver, keys, jnp.asarray(t1, float), widths, steps, places, grid)
    etas = t1 / np.asarray(steps)
    return Prediction(np.asarray(sup, float) * etas, np.asarray(mean, float) * etas)


def _checked(
    key: PRNGKeyArray, t1: float, widths: Sequence[int], replicas: int
) -> tuple[float, tuple[int, ...], Keys]:
    """t1 and the widths, checked, and a key for each replica."""
    t1 = as_number("t1", t1, 0, ends="(]")
    widths = tuple(as_count("each of widths", n) for n in widths)
    numbers = jnp.arange(as_count("replicas", replicas))
    return t1, widths, jax.vmap(functools.partial(jax.random.fold_in, key))(numbers)


@eqx.filter_jit
def _strong(  # type: ignore[no-untyped-def]
    driver, keys, t1, widths, steps, places, grid
):
    dtype = driver.dtype
    h = t1.astype(dtype) / grid

    def replica(words):  # type: ignore[no-untyped-def]
        drive = driver.under(words)
        system = drive.system
        stream = fold(words, 0, _STREAM_PLACE)
        index = jnp.arange(max(widths), dtype=jnp.uint32)
        theta0 = drive.initial(index)

        def start(n: int):  # type: ignore[no-untyped-def]
            theta = theta0[:, :n]
            rest = jnp.zeros((len(steps), *theta.shape), dtype)
            speed = velocity(system.model, jnp.zeros((), dtype), theta, _mean(system, theta))
            return theta, speed, rest, jnp.zeros((len(steps), n), dtype)

        def advance(carry: Any, k: Array) -> Any:
            noise = drive.increment(k, h, index)
            uniform = _uniform(stream, k, index, dtype)
            place = jnp.stack([_place(uniform, r) for r in places])
            return [_advance(c, k, noise, place) for c in carry], None

        def _advance(carry: Any, k: Array, noise: Array, place: Array) -> Any:
            theta, speed, tangent, top = carry
            n = theta.shape[1]
            t = k.astype(dtype) * h
            moved = theta + h * speed + noise[:, :n]
            fresh = velocity(system.model, t + h, moved, _mean(system, moved))
            drift = jax.vmap(lambda u: _tangent(system, t, theta, u))(tangent)
            tangent = tangent + h * drift + place[:, None, :n] * (fresh - speed)[None]
            size = jnp.sqrt(jnp.sum(tangent**2, 1))
            # The errors are read at the times of each coarse grid.
            at = jnp.asarray([(k + 1) % max(grid // s, 1) == 0 for s in steps])
            return moved, fresh, tangent, jnp.where(at[:, None], jnp.maximum(top, size), top)

        last, _ = jax.lax.scan(advance, [start(n) for n in widths], jnp.arange(grid))
        tops = [c[3] for c in last]
        return jnp.stack([t.max(1) for t in tops]), jnp.stack([t.mean(1) for t in tops])

    return jax.lax.map(replica, jax.vmap(key_words)(keys), batch_size=_BATCH)


def _mean(system: System, theta: Float[Array, "p n"]) -> Float[Array, " M"]:
    return jnp.mean(system.model.statistic_columns(theta), 1)


def _tangent(system: System, t: Array, theta: Array, tangent: Array) -> Array:
    """∂_θ b U^i + ∂_m b · mean_j[∇φ(θ^j) U^j] of every particle."""

    def speeds(theta: Array) -> Array:
        return velocity(system.model, t, theta, _mean(system, theta))

    return jax.jvp(speeds, (theta,), (tangent,))[1]


def _uniform(stream: Any, k: Array, index: Array, dtype: Any) -> Array:
    bits, _ = threefry2x32(stream, (index, jnp.full_like(index, k)))
    return (bits >> jnp.uint32(8)).astype(dtype) * 2.0**-24


def _place(uniform: Array, ratio: int) -> Array:
    """ξ: uniform on (0, 1); with a reference grid of `ratio` steps in one, on {0, …} / ratio."""
    return jnp.floor(uniform * ratio) / ratio if ratio else uniform


def predict_chaos(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    num_steps: int,
    t1: float,
    replicas: int = 64,
    copies: int = 512,
) -> Prediction:
    """The distance that `ssd.propagation_of_chaos` measures, to first order in n^-1/2.

    V is simulated on the grid of the study with `copies` independent particles and one multiplier
    ε ~ N(0, 1) for each: `G_t = copies^-1/2 Σ_j ε_j (φ(θ^j_t) - mean φ)`. Needs statistics of
    finite variance, as bounded ones are. The sup over n particles is that over the first n copies,
    at most all of them: NaN for larger n.

    **Arguments:** `system` with a drift that is differentiable; `key`; `widths`, `num_steps`, `t1`
    as in the study; `replicas`, each with copies and multipliers of its own.

    **Returns:** a `Prediction`, arrays (R, widths). **Raises:** as `predict_strong_error`.
    """
    t1, widths, keys = _checked(key, t1, widths, replicas)
    num_steps = as_count("num_steps", num_steps)
    copies = as_count("copies", copies, 2)
    check_additive(system, "the predicted error")
    check_run(system, num_particles=copies)
    driver = Driver.of(system)
    tops = np.asarray(_chaos(driver, keys, jnp.asarray(t1, float), num_steps, copies), float)
    root = np.sqrt(np.asarray(widths))
    highest = np.maximum.accumulate(tops, axis=1)
    sup = [highest[:, n - 1] if n <= copies else np.full(len(keys), np.nan) for n in widths]
    return Prediction(np.stack(sup, 1) / root, tops.mean(1)[:, None] / root)


@eqx.filter_jit
def _chaos(driver, keys, t1, num_steps, copies):  # type: ignore[no-untyped-def]
    dtype = driver.dtype
    h = t1.astype(dtype) / num_steps
    index = jnp.arange(copies, dtype=jnp.uint32)

    def replica(words):  # type: ignore[no-untyped-def]
        drive = driver.under(words)
        system = drive.system
        base = jnp.stack(fold(words, 0, _STREAM_MULTIPLIER))
        multiplier = jax.random.normal(
            jax.random.wrap_key_data(base, impl="threefry2x32"), (copies,), dtype
        )

        def advance(carry, k):  # type: ignore[no-untyped-def]
            theta, tangent, top = carry
            t = k.astype(dtype) * h
            phi, change = jax.jvp(system.model.statistic_columns, (theta,), (tangent,))
            m = jnp.mean(phi, 1)
            gauss = jnp.matmul(phi - m[:, None], multiplier, precision=jax.lax.Precision.HIGHEST)
            gauss = gauss / jnp.sqrt(jnp.asarray(copies, dtype))
            speed, drift = jax.jvp(
                lambda th, m: velocity(system.model, t, th, m),
                (theta, m),
                (tangent, gauss + jnp.mean(change, 1)),
            )
            tangent = tangent + h * drift
            top = jnp.maximum(top, jnp.sqrt(jnp.sum(tangent**2, 0)))
            return (theta + h * speed + drive.increment(k, h, index), tangent, top), None

        theta = drive.initial(index)
        start = (theta, jnp.zeros_like(theta), jnp.zeros(copies, dtype))
        return jax.lax.scan(advance, start, jnp.arange(num_steps))[0][2]

    return jax.lax.map(replica, jax.vmap(key_words)(keys), batch_size=_BATCH)
