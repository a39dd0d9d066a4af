"""Brownian motion, compound Poisson processes, sums of processes and linear images."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, PRNGKeyArray, UInt32

from stablesde._arguments import as_parameter, as_real, is_concrete
from stablesde.noise._base import LevyNoise, as_complex, as_dim, frequencies, slots
from stablesde.noise._general import _combine
from stablesde.noise._rejection import attempt_words, poisson_sum
from stablesde.noise._subordinated import as_positive
from stablesde.stable._bits import Words, fold
from stablesde.stable._elementary import sealed
from stablesde.stable._sampling import symmetric_from_words

_STREAM_PART = 201
_STREAM_JUMP = 202


class Brownian(LevyNoise):
    """Standard Brownian motion in R^dim: `ψ(u) = ‖u‖²/2`, covariance t I.

    A stable law of index 2 is √2 times as large. Raises `ValueError` for a `dim` below 1.
    """

    dim: int = eqx.field(static=True, converter=as_dim)

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        size = scale * jnp.sqrt(jnp.asarray(dt).astype(dtype) / 2)
        return symmetric_from_words(slots(stream, index, 0, self.dim), 2, dtype, size)

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        return as_complex(jnp.sum(u * u, -1) / 2)


def _as_jump(value: Any) -> Any:
    return value if callable(value) else as_positive("jump", value)


class CompoundPoisson(LevyNoise):
    """Jumps at the times of a Poisson process: `ψ(u) = rate (1 - E exp(i⟨u, J⟩))`, J a jump.

    Nothing is compensated: E L_t = rate t E J. Drawn exactly, with as many jumps as fall into a
    step; a step costs in proportion to one more than the largest number of them in any particle,
    and each costs what `jump` costs. Steps in which more than 10⁶ are expected give NaN.

    **Arguments:**

    - `rate`: jumps per unit of time, > 0. `dim`: of L.
    - `jump`: a number s for J ~ N(0, s² I); or a function from a key to one J of shape (dim,).
    - `jump_characteristic`: for a function, u (dim,) to E exp(i⟨u, J⟩), for those who need ψ.
    - `jump_tail_index`: the order below which all moments of ‖J‖ are finite, at most 2.

    **Raises:** `ValueError` for a `rate` or `jump` that is none, or a function that fails or gives
    another shape; `exponent`, without the `jump_characteristic` that it needs.
    """

    rate: float | Float[Array, ""] = eqx.field(converter=partial(as_positive, "rate"))
    dim: int = eqx.field(static=True, converter=as_dim)
    jump: float | Float[Array, ""] | Callable[[PRNGKeyArray], Array] = eqx.field(
        default=1.0, converter=_as_jump
    )
    jump_characteristic: Callable[[Array], Array] | None = None
    jump_tail_index: float | Float[Array, ""] = eqx.field(
        default=2.0, converter=partial(as_parameter, "jump_tail_index", low=0.0)
    )

    def __check_init__(self) -> None:
        if not callable(self.jump):
            return
        try:
            value = jax.eval_shape(self.jump, jax.random.key(0))
        except Exception as error:
            raise ValueError(f"jump(key) fails for a PRNG key: {error}") from error
        shape = getattr(value, "shape", None)
        if shape != (self.dim,):
            raise ValueError(f"jump(key) must return a jump of shape ({self.dim},), got {shape}.")

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """The order below which all moments of L_1 are finite: that of the jumps."""
        return self.jump_tail_index

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        mean = jnp.asarray(self.rate, dtype) * jnp.asarray(dt).astype(dtype)
        jump = self.jump
        if not callable(jump):  # N independent normal jumps are one of variance N
            one = lambda j, index: jnp.ones((1, index.shape[0]), dtype)  # noqa: E731
            count = poisson_sum(
                stream, index, mean, one, jnp.zeros((1, index.shape[0]), dtype), dtype
            )
            size = scale * jnp.asarray(jump, dtype) * jnp.sqrt(count / 2)
            return symmetric_from_words(slots(stream, index, 0, self.dim), 2, dtype, size)
        jumps = fold(stream, 0, _STREAM_JUMP)

        def drawn(j: Array, index: Array) -> Float[Array, "dim n"]:
            words = attempt_words(jumps, index, j)
            data = jnp.stack(words, -1)[0]
            keys = jax.random.wrap_key_data(data, impl="threefry2x32")
            return sealed(jax.vmap(jump, out_axes=1)(keys).astype(dtype), words)

        start = jnp.zeros((self.dim, index.shape[0]), dtype)
        total = poisson_sum(stream, index, mean, drawn, start, dtype)
        return sealed(scale * total, slots(stream, index, 0, 1))

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        u = frequencies(u, self.dim)
        if not callable(self.jump):
            return as_complex(self.rate * -jnp.expm1(-jnp.sum(u * u, -1) * self.jump**2 / 2))
        if self.jump_characteristic is None:
            raise ValueError(
                "the exponent of a CompoundPoisson with a function as `jump` needs "
                "`jump_characteristic`, a function from u (dim,) to E exp(i⟨u, J⟩)."
            )
        flat = u.reshape(-1, self.dim)
        values = jax.vmap(self.jump_characteristic)(flat).reshape(u.shape[:-1])
        return self.rate * (1 - values) + 0j


class SumNoise(LevyNoise):
    """The sum of independent Lévy processes of one dimension, `SumNoise(first, second, …)`.

    ψ is the sum of theirs. Each draws from a stream of its own, so that two copies of one noise are
    independent. Raises `ValueError` for what is no noise, or of different `dim`.
    """

    parts: tuple[LevyNoise, ...]

    def __init__(self, *parts: LevyNoise) -> None:
        if not parts or not all(isinstance(part, LevyNoise) for part in parts):
            raise ValueError(f"parts must be stablesde.LevyNoise, at least one, got {parts!r}.")
        if len({part.dim for part in parts}) > 1:
            raise ValueError(f"parts must have one dim, got {[part.dim for part in parts]}.")
        self.parts = parts

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """Length of L."""
        return self.parts[0].dim

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """The least of the parts'."""
        least = self.parts[0].tail_index
        for part in self.parts[1:]:
            other = part.tail_index
            known = is_concrete(least) and is_concrete(other)
            least = min(least, other) if known else jnp.minimum(least, other)
        return least

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        total: Any = 0
        for i, part in enumerate(self.parts):
            own = fold(stream, i, _STREAM_PART)
            total = total + part.increments(own, index, dt, scale, dtype)
        largest = float(jnp.finfo(dtype).max)
        return jnp.clip(total, -largest, largest)

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        total: Any = 0
        for part in self.parts:
            total = total + part.exponent(u)
        return total


def _as_matrix(value: Any) -> Any:
    if not is_concrete(value):
        return value
    matrix = np.asarray(as_real("matrix", value), float)
    if matrix.ndim != 2 or matrix.size == 0 or not np.all(np.isfinite(matrix)):
        raise ValueError(
            f"matrix must be a finite array of shape (p, q), got shape {matrix.shape}."
        )
    return jnp.asarray(matrix, float)


class LinearImage(LevyNoise):
    """`A L`: a linear image of a Lévy process, `ψ_AL(u) = ψ_L(Aᵀu)`.

    **Arguments:** `matrix` A, shape (p, q); `noise` L of dimension q.
    **Raises:** `ValueError` for another shape, or what is no noise.
    """

    matrix: Float[Array, "p q"] = eqx.field(converter=_as_matrix)
    noise: LevyNoise

    def __init__(self, matrix: ArrayLike, noise: LevyNoise) -> None:
        if not isinstance(noise, LevyNoise):
            raise ValueError(f"noise must be a stablesde.LevyNoise, got {type(noise).__name__}.")
        self.matrix, self.noise = matrix, noise  # type: ignore[assignment]

    def __check_init__(self) -> None:
        if self.matrix.shape[1:] != (self.noise.dim,):
            raise ValueError(
                f"matrix must have shape (p, {self.noise.dim}), the noise's dim last, got "
                f"{self.matrix.shape}."
            )

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """Length of A L."""
        return self.matrix.shape[0]

    @property
    def tail_index(self) -> float | Float[Array, ""]:
        """That of L."""
        return self.noise.tail_index

    def increments(
        self,
        stream: Words,
        index: UInt32[Array, " n"],
        dt: float | Float[Array, ""],
        scale: float | Float[Array, ""],
        dtype: jnp.dtype,
    ) -> Float[Array, "dim n"]:
        x = self.noise.increments(stream, index, dt, scale, dtype)
        return image(self.matrix.astype(dtype), x, slots(stream, index, 2**31 - 1, 1))

    def exponent(self, u: Float[Array, "*shape dim"]) -> Complex[Array, "*shape"]:
        turned = jnp.matmul(frequencies(u, self.dim), self.matrix, precision="highest")
        return self.noise.exponent(turned)


def image(matrix: Float[Array, "p q"], x: Float[Array, "q n"], words: Words) -> Float[Array, "p n"]:
    """matrix @ x, the same to the last bit in every program, and finite."""
    largest = float(jnp.finfo(x.dtype).max)
    limit = largest / (matrix.shape[1] * jnp.maximum(jnp.max(jnp.abs(matrix)), 1))
    return sealed(_combine(matrix, jnp.clip(x, -limit, limit)), words)


__all__ = ["Brownian", "CompoundPoisson", "LinearImage", "SumNoise", "image"]
