"""The time grid of a scheme: uniform, or with step sizes of its own."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from stablesde._arguments import as_real


class TimeGrid(eqx.Module):
    """Times 0 = t_0 < … < t_K, as the numbers with which the scheme computes.

    `step` is the step size η (a scalar) of a uniform grid, or the K step sizes, and `times` then
    holds the K + 1 times. Systems that are to share noise must share these very numbers.
    """

    step: Float[Array | np.ndarray, " *K"]
    times: Float[Array, " K1"] | None
    num_steps: int = eqx.field(static=True)

    def at(self, k: Array) -> tuple[Float[Array, ""], Any]:
        """Start and length of step k."""
        return self.time(k), self.step if self.times is None else self.step[k]

    def time(self, k: Array) -> Float[Array, ""]:
        """t_k."""
        return k.astype(self.step.dtype) * self.step if self.times is None else self.times[k]

    def halved(self) -> "TimeGrid":
        """Every second time, for an even number of steps."""
        if self.times is None:
            return TimeGrid(2 * self.step, None, self.num_steps // 2)
        return TimeGrid(self.step[::2] + self.step[1::2], self.times[::2], self.num_steps // 2)

    def all_times(self) -> Float[Array, " K1"]:
        """t_0, …, t_K."""
        if self.times is not None:
            return self.times
        return jnp.arange(self.num_steps + 1).astype(self.step.dtype) * self.step


def time_grid(
    t1: float | Array | None,
    num_steps: int | None,
    times: ArrayLike | None,
    dtype: jnp.dtype,
) -> TimeGrid:
    """The grid of `num_steps` equal steps up to t1, or of the given `times`.

    Raises `ValueError` unless either `times`, or `t1` and `num_steps`, are given and valid.
    """
    if times is not None:
        if t1 is not None or num_steps is not None:
            raise ValueError("give either times, or t1 and num_steps, not both.")
        return _given(times, dtype)
    if t1 is None or num_steps is None:
        raise ValueError("give t1 and num_steps, or times.")
    if isinstance(t1, jax.core.Tracer):
        return TimeGrid((t1 / num_steps).astype(dtype), None, int(num_steps))
    # In double precision, so that it is the number that `noise.increment` makes of t1 / num_steps.
    step = np.asarray(np.float64(t1) / int(num_steps), dtype)
    if float(step) == 0 or not math.isfinite(float(step)):
        raise ValueError(f"the step t1 / num_steps = {t1} / {num_steps} is not a {dtype} number.")
    return TimeGrid(step, None, int(num_steps))  # NumPy's: JAX would compile a program for it


def _given(times: ArrayLike, dtype: jnp.dtype) -> TimeGrid:
    if isinstance(times, jax.core.Tracer):
        return TimeGrid(jnp.diff(times).astype(dtype), times.astype(dtype), times.shape[0] - 1)
    values = np.asarray(as_real("times", times), dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.all(np.isfinite(values)):
        raise ValueError("times must be a finite array of shape (K + 1,) with K ≥ 1.")
    steps = np.diff(values)
    if values[0] != 0 or not np.all(
        (steps.astype(dtype) > 0) & (values[1:].astype(dtype) < np.inf)
    ):
        raise ValueError(f"times must start at 0 and increase, in {dtype}.")
    return TimeGrid(jnp.asarray(steps, dtype), jnp.asarray(values, dtype), len(steps))


def check_divisors(num_steps: Sequence[int], fine_steps: int) -> None:
    """Raises `ValueError` unless every number of steps divides `fine_steps` and is smaller."""
    for k in num_steps:
        if fine_steps % k or k == fine_steps:
            raise ValueError(
                f"every num_steps must divide fine_steps={fine_steps} and be smaller, got {k}."
            )


__all__ = ["TimeGrid", "check_divisors", "time_grid"]
