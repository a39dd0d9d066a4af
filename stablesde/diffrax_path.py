"""Stable Lévy processes as paths for `diffrax.diffeqsolve`; needs the extra `diffrax`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_count
from stablesde._extras import MissingExtraError
from stablesde.dynamics._grid import time_grid
from stablesde.dynamics._system import check_number
from stablesde.noise import LevyNoise
from stablesde.noise._base import STREAM_NOISE, particle_index
from stablesde.stable._bits import Words, fold, key_words
from stablesde.stable._domain import number_text
from stablesde.stable._sampling import float_dtype
from stablesde.stable._varying import vary_with

try:
    import diffrax
except ImportError as error:  # pragma: no cover
    raise MissingExtraError("stablesde.diffrax_path", "diffrax", "diffrax") from error


class StablePath(diffrax.AbstractPath[Any]):
    """The Lévy processes L of n particles on a grid of [0, t1], as a diffrax path.

    Its increments over one step of the grid are those that `ssd.simulate` draws under the same key,
    to the last bit; longer ones are their sums. Nothing is stored.

    A jump process has no bridge in closed form, so the path exists on the grid only: solve with
    `diffrax.ConstantStepSize()` and a step that is a multiple of `t1 / num_steps`.

    **Arguments:**

    - `noise`: the type of noise, with its α and dim. `key`: a JAX PRNG key.
    - `num_particles`: n. `t1`: end of the path. `num_steps`: steps of the grid.
    - `max_steps_at_once`: how many steps of the grid one solver step may cover. All of them are
      drawn in every step, so leave it at 1 if the solver uses the grid's own step.
    - `dtype`: float32 or float64 (JAX's default if None).

    Reverse-mode differentiable in `noise.alpha`, not in the times.

    **Raises:** `ValueError` for a `noise` or `key` that is none, counts below 1, a `t1` that is not
    positive and finite, or more steps than the dtype of times can tell apart. At run time, an error
    for times off the grid or a solver step over too many steps of the grid.
    """

    t0: float  # type: ignore[misc]
    t1: Array  # type: ignore[misc]
    noise: LevyNoise
    stream: Words
    step: Float[Array, ""]
    num_particles: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)
    max_steps_at_once: int = eqx.field(static=True)
    dtype: Any = eqx.field(static=True)

    def __init__(
        self,
        noise: LevyNoise,
        key: PRNGKeyArray,
        *,
        num_particles: int,
        t1: float,
        num_steps: int,
        max_steps_at_once: int = 1,
        dtype: jnp.dtype | None = None,
    ) -> None:
        if not isinstance(noise, LevyNoise):
            raise ValueError(f"noise must be a stablesde.LevyNoise, got {type(noise).__name__}.")
        num_particles = as_count("num_particles", num_particles)
        num_steps = as_count("num_steps", num_steps)
        max_steps_at_once = as_count("max_steps_at_once", max_steps_at_once)
        if num_particles >= 2**32:
            raise ValueError("num_particles must be below 2^32, the range of the noise's counters.")
        check_number("t1", t1)
        self.dtype = float_dtype(dtype)
        self.t0, self.t1 = 0.0, jnp.asarray(t1, float)
        if 4 * jnp.finfo(self.t1.dtype).eps * num_steps > 0.25:
            raise ValueError(
                f"{self.t1.dtype} times cannot tell num_steps={num_steps} steps apart: enable "
                "JAX's 64-bit mode, or take fewer steps."
            )
        self.noise, self.stream = noise, key_words(key)
        self.step = jnp.asarray(time_grid(t1, num_steps, None, self.dtype).step)
        self.num_particles, self.num_steps = num_particles, num_steps
        self.max_steps_at_once = min(max_steps_at_once, num_steps)

    def __repr__(self) -> str:
        return (
            f"StablePath({self.noise}, {self.num_particles} particles, {self.num_steps} steps to "
            f"{number_text(self.t1)}, {self.dtype})"
        )

    def evaluate(
        self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False
    ) -> Float[Array, "n dim"]:
        """L_{t1} - L_{t0}, or L_{t0} if `t1` is None; shape (num_particles, dim)."""
        del left, use_levy
        first = jnp.zeros((), int) if t1 is None else self._grid_index(t0)
        last = self._grid_index(t0 if t1 is None else t1)
        zero = jnp.zeros((self.num_particles, self.noise.dim), self.dtype)
        zero = vary_with(zero, self, t0, t1)
        if t1 is None:
            return jax.lax.fori_loop(first, last, lambda k, s: s + self._increment(k), zero)
        last = eqx.error_if(
            last,
            (last - first > self.max_steps_at_once) | (last < first),
            f"a solver step covers more than {self.max_steps_at_once} step(s) of the StablePath's "
            "grid: raise max_steps_at_once, or choose dt0 = t1 / num_steps.",
        )
        total = self._increment(first) if self.max_steps_at_once == 1 else zero
        if self.max_steps_at_once == 1:
            return jnp.where(last > first, total, 0)
        for j in range(self.max_steps_at_once):
            total = total + jnp.where(first + j < last, self._increment(first + j), 0)
        return total

    def _increment(self, k: Array) -> Float[Array, "n dim"]:
        words = fold(self.stream, k, STREAM_NOISE)
        index = particle_index(self.num_particles)
        return self.noise.increments(words, index, self.step, 1.0, self.dtype).T

    def _grid_index(self, t: Any) -> Array:
        position = jnp.asarray(t, float) * self.num_steps / self.t1
        nearest = jnp.round(position)
        rounding = 4 * jnp.finfo(position.dtype).eps * self.num_steps
        off = jnp.abs(position - nearest) > 1e-3 + rounding
        return eqx.error_if(
            nearest.astype(int),
            off | (nearest < 0) | (nearest > self.num_steps),
            "StablePath was asked for a time off its grid 0, t1 / num_steps, …, t1: a Lévy process "
            "has no bridge in closed form. Use diffrax.ConstantStepSize() and a dt0 that is a "
            "multiple of t1 / num_steps.",
        )


__all__ = ["StablePath"]
