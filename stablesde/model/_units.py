"""Hidden units h_x(θ): R^p → R^l, with their bounds for Assumption 1 of the paper."""

import abc
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde._arguments import as_choice, as_count, as_flag, as_real
from stablesde.noise._base import as_dim


class Activation(NamedTuple):
    """A scalar function with the suprema of it and its first three derivatives."""

    function: Callable[[Array], Array]
    bound: float
    slope: float
    curvature: float
    third: float


_INF = math.inf
ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(jnp.tanh, 1.0, 1.0, 4 / (3 * math.sqrt(3)), 2.0),
    "sigmoid": Activation(jax.nn.sigmoid, 1.0, 0.25, 1 / (6 * math.sqrt(3)), 0.125),
    "erf": Activation(
        jax.scipy.special.erf,
        1.0,
        2 / math.sqrt(math.pi),
        2 * math.sqrt(2 / (math.pi * math.e)),
        4 / math.sqrt(math.pi),
    ),
    "sin": Activation(jnp.sin, 1.0, 1.0, 1.0, 1.0),
    "softplus": Activation(jax.nn.softplus, _INF, 1.0, 0.25, 1 / (6 * math.sqrt(3))),
    "relu": Activation(jax.nn.relu, _INF, 1.0, _INF, _INF),
    "linear": Activation(lambda t: t, _INF, 1.0, 0.0, 0.0),
}


class Unit(eqx.Module):
    """One hidden neuron with parameters θ of length `dim` and `num_outputs` outputs."""

    dim: eqx.AbstractVar[int]
    num_outputs: eqx.AbstractVar[int]

    @abc.abstractmethod
    def outputs(self, theta: Float[Array, " p"], x: Float[Array, "N d"]) -> Float[Array, "N l"]:
        """h_x(θ) at every row of x."""

    def output_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"]
    ) -> Float[Array, "N l n"]:
        """h_x(θ) of n particles given as columns."""
        return jax.vmap(self.outputs, in_axes=(1, None), out_axes=2)(theta, x)

    def pullback_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"], cotangent: Float[Array, "N l"]
    ) -> Float[Array, "p n"]:
        """Σ_x ∇h_x(θ)ᵀ cotangent_x of n particles given as columns."""

        def one(particle: Array) -> Array:
            return jax.vjp(lambda th: self.outputs(th, x), particle)[1](cotangent)[0]

        return jax.vmap(one, in_axes=1, out_axes=1)(theta)

    @abc.abstractmethod
    def bounds(self, x: np.ndarray) -> np.ndarray | None:
        """Suprema over θ for each row of x, shape (N, 4): of ‖h_x‖, ‖∇h_x‖, ‖∇²h_x‖, ‖∇³h_x‖.

        Norms are those of multilinear maps. (N, 3) leaves the third derivative open; None: unknown.
        """


class RidgeUnit(Unit):
    """`h_x(θ)_j = a(⟨w_j, x⟩)` with θ = (w_1, …, w_l) flattened, so p = l d.

    With l = 1 this is a neuron with a fixed output weight; with l > 1 each output has its own
    incoming weights, which keeps h bounded (an output weight inside θ would not).
    Raises `ValueError` for an unknown `activation`, or counts below 1.
    """

    activation: str = eqx.field(static=True)
    input_dim: int = eqx.field(static=True, converter=partial(as_count, "input_dim"))
    num_outputs: int = eqx.field(static=True, converter=partial(as_count, "num_outputs"))

    def __check_init__(self) -> None:
        as_choice("the activation of the unit", self.activation, ACTIVATIONS)

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """p = l d, the length of one particle θ."""
        return self.input_dim * self.num_outputs

    def outputs(self, theta: Float[Array, " p"], x: Float[Array, "N d"]) -> Float[Array, "N l"]:
        # A matrix product keeps the particles, over which this is mapped, on the last axis, where
        # XLA vectorises; at full precision, which accelerators otherwise lower.
        high = jax.lax.Precision.HIGHEST
        if self.num_outputs == 1:
            z = jnp.matmul(x, theta, precision=high)[:, None]
        else:
            weights = theta.reshape(self.num_outputs, self.input_dim)
            z = jnp.einsum("nd,ld->nl", x, weights, precision=high)
        return ACTIVATIONS[self.activation].function(z)

    def _preactivation(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"]
    ) -> Float[Array, "N l n"]:
        weights = theta.reshape(self.num_outputs, self.input_dim, -1)
        # A matrix product, which XLA does not merge into loops that would do it anew each time.
        high = jax.lax.Precision.HIGHEST
        columns = [jnp.matmul(x, w, precision=high) for w in weights]
        return jnp.stack(columns, 1)

    def output_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"]
    ) -> Float[Array, "N l n"]:
        return ACTIVATIONS[self.activation].function(self._preactivation(theta, x))

    def pullback_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"], cotangent: Float[Array, "N l"]
    ) -> Float[Array, "p n"]:
        z = self._preactivation(theta, x)
        _, pullback = jax.vjp(ACTIVATIONS[self.activation].function, z)
        (slope,) = pullback(jnp.broadcast_to(cotangent[:, :, None], z.shape))
        high = jax.lax.Precision.HIGHEST
        parts = [jnp.matmul(x.T, slope[:, j], precision=high) for j in range(self.num_outputs)]
        return jnp.concatenate(parts, 0)

    def bounds(self, x: np.ndarray) -> np.ndarray:
        # Operator norms: the Jacobian is block diagonal with blocks a'(·) x, so its norm is at
        # most slope ‖x‖; likewise curvature ‖x‖² and third ‖x‖³ for the higher derivatives.
        a = ACTIVATIONS[self.activation]
        norm = np.linalg.norm(np.asarray(x, float), axis=-1)
        zeroth = np.full_like(norm, math.sqrt(self.num_outputs) * a.bound)
        second = np.where(norm > 0, a.curvature, 0.0) * norm**2
        third = np.where(norm > 0, a.third, 0.0) * norm**3
        return np.stack([zeroth, a.slope * norm, second, third], -1)


def _as_bound(bound: Any) -> tuple[float, ...] | None:
    if bound is None:
        return None
    values = np.asarray(as_real("bound (bounds of a model)", bound), float)
    if values.shape not in ((3,), (4,)) or not np.all(values >= 0):
        raise ValueError(
            "bound (bounds of a model) must be three numbers, the suprema of ‖h‖, ‖∇h‖ and ‖∇²h‖, "
            f"or four, with that of ‖∇³h‖, got {bound!r}."
        )
    return tuple(values.tolist())


class UserUnit(Unit):
    """A unit given as a function `function(theta, x) -> (num_outputs,)` or a scalar.

    `bound`, if given, is `(||h||, ||∇h||, ||∇²h||)` as numbers, suprema over θ and all data, with
    a fourth, `||∇³h||`, if it is known. Raises `ValueError` for a `function` that cannot be called,
    counts below 1, or a `bound` that is not such numbers of at least 0.
    """

    function: Callable[[Array, Array], Array]
    dim: int = eqx.field(static=True, converter=as_dim)
    num_outputs: int = eqx.field(static=True, converter=partial(as_count, "num_outputs"))
    bound: tuple[float, ...] | None = eqx.field(
        static=True, default=None, converter=lambda bound: _as_bound(bound)
    )

    def __check_init__(self) -> None:
        if not callable(self.function):
            raise ValueError(f"function must be one of (theta, x), got {self.function!r}.")

    def outputs(self, theta: Float[Array, " p"], x: Float[Array, "N d"]) -> Float[Array, "N l"]:
        values = jax.vmap(self.function, in_axes=(None, 0))(theta, x)
        return jnp.reshape(values, (x.shape[0], self.num_outputs))

    def bounds(self, x: np.ndarray) -> np.ndarray | None:
        if self.bound is None:
            return None
        return np.tile(np.asarray(self.bound, float), (len(x), 1))


class WeightedUnit(Unit):
    """A unit with an output weight of its own that is trained, `h_x(c, w) = s(c) g_x(w)`.

    θ = (c, w), so p is one more than the unit's. `bounded`: s = tanh, and if g meets Assumption 1
    of the paper, so does h, with the constants that `bounds` computes. Otherwise s(c) = c, the
    second layer of a usual network: h and its derivative in w are unbounded, and Assumption 1
    fails.
    Raises `ValueError` for a `unit` that is none.
    """

    unit: Unit
    bounded: bool = eqx.field(static=True, default=True, converter=partial(as_flag, "bounded"))

    def __check_init__(self) -> None:
        if not isinstance(self.unit, Unit):
            raise ValueError(f"unit must be a stablesde.model.Unit, got {self.unit!r}.")

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """p, the length of θ = (c, w)."""
        return self.unit.dim + 1

    @property  # type: ignore[misc]
    def num_outputs(self) -> int:  # type: ignore[override]
        """l."""
        return self.unit.num_outputs

    def _weight(self, c: Array) -> Array:
        return jnp.tanh(c) if self.bounded else c

    def outputs(self, theta: Float[Array, " p"], x: Float[Array, "N d"]) -> Float[Array, "N l"]:
        return self._weight(theta[0]) * self.unit.outputs(theta[1:], x)

    def output_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"]
    ) -> Float[Array, "N l n"]:
        return self._weight(theta[0]) * self.unit.output_columns(theta[1:], x)

    def pullback_columns(
        self, theta: Float[Array, "p n"], x: Float[Array, "N d"], cotangent: Float[Array, "N l"]
    ) -> Float[Array, "p n"]:
        g = self.unit.output_columns(theta[1:], x)
        high = jax.lax.Precision.HIGHEST
        total = jnp.matmul(cotangent.reshape(-1), g.reshape(-1, g.shape[-1]), precision=high)
        weight, pullback = jax.vjp(self._weight, theta[0])
        inner = self.unit.pullback_columns(theta[1:], x, cotangent)
        return jnp.concatenate([pullback(total)[0][None], weight * inner])

    def bounds(self, x: np.ndarray) -> np.ndarray | None:
        # |s|, |s'| ≤ 1 and |s''| ≤ 4/(3√3). The second derivative is a form in (dc, dw) whose
        # blocks are s'' g, s' ∇g and s ∇²g: its norm is at most that of the matrix of their norms.
        inner = self.unit.bounds(x)
        if inner is None:
            return None
        if not self.bounded:
            return np.full((len(x), 3), _INF)
        g, slope, curvature = inner[:, :3].T
        corner = ACTIVATIONS["tanh"].curvature * g
        with np.errstate(invalid="ignore"):
            half = np.hypot((corner - curvature) / 2, slope)
        second = np.where(np.isfinite(curvature), (corner + curvature) / 2 + half, _INF)
        return np.stack([g, np.hypot(g, slope), second], -1)
