"""The mean-field network of Wan, Zaidi and Şimşekli (2023) as a `MeanFieldModel`.

`f(x) = (1/n) Σ_i h_x(θ^i)`, risk `R = E_π ℓ(f(x), y)`, drift
`b(θ, μ) = -E_π[∇h_x(θ)ᵀ ∂₁ℓ(μ(h_x), y)] = -n ∂R/∂θ^i`, π the uniform measure on the data.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_count, as_reals
from stablesde.model._base import MeanFieldModel
from stablesde.model._losses import encode_targets, loss
from stablesde.model._units import ACTIVATIONS, RidgeUnit, Unit, UserUnit, WeightedUnit
from stablesde.stable._domain import number_text

_SHOWN = ("B", "phi", "drift_bound", "lipschitz_theta", "lipschitz_mean", "fluctuation")


@dataclass(frozen=True)
class AssumptionConstants:
    """Constants of Assumption 1 of the paper for one model, all finite where `holds`.

    - `psi` (N,): Ψ(x) = sup ‖h_x‖ + sup ‖∇h_x‖ + sup ‖∇²h_x‖ for each data point.
    - `phi`: Φ = sup ‖∂₁ℓ‖ + sup ‖∂₁²ℓ‖ (the same for every y in the losses shipped).
    - `B`: the least number with E[Ψ²(1 + Φ²)] ≤ B².
    - `drift_bound`, `lipschitz_theta`, `lipschitz_mean`: sup ‖b‖, and the Lipschitz constants of b
      in θ and in μ (Wasserstein-1), computed term by term; sharper than B.
    - `fluctuation`: K in E‖b(θ, μ^n) - b(θ, μ)‖ ≤ K/√n for the empirical measure μ^n of n
      independent particles of law μ.
    - `unit` (N, 4): sup ‖h_x‖, ‖∇h_x‖, ‖∇²h_x‖, ‖∇³h_x‖; `loss` (3,): sup ‖∂₁ℓ‖, ‖∂₁²ℓ‖, ‖∂₁³ℓ‖.
      The bound of order η(1 + log n) takes them (`ssd.theory.strong_error_bound`); Assumption 1
      does not ask for the third derivatives, which may be infinite.
    - `holds`, and `reason` if it does not.
    """

    psi: np.ndarray
    phi: float
    B: float
    drift_bound: float
    lipschitz_theta: float
    lipschitz_mean: float
    fluctuation: float
    unit: np.ndarray
    loss: np.ndarray
    holds: bool
    reason: str

    @property
    def mean_psi(self) -> float:
        """E Ψ."""
        return float(np.mean(self.psi))

    def __repr__(self) -> str:
        if not self.holds:
            return f"AssumptionConstants(Assumption 1 fails: {self.reason})"
        numbers = (f"{name}={number_text(getattr(self, name))}" for name in _SHOWN)
        return f"AssumptionConstants({', '.join(numbers)}, {np.shape(self.psi)[-1]} data points)"


class NetworkModel(MeanFieldModel):
    """A one-hidden-layer network in mean-field scaling on a finite data set.

    The statistic of a particle θ is `(h_x(θ))_x`, flattened: M = N l numbers for N data points
    and l outputs.

    **Arguments:**

    - `unit`: "tanh", "sigmoid", "erf", "sin", "softplus", "relu" or "linear" for
      `h_x(θ) = a(⟨θ, x⟩)` (see `RidgeUnit`; p = d for one output); a `Unit`, such as a
      `WeightedUnit` with an output weight of its own; or a callable `unit(theta, x) -> (l,)`, which
      needs `dim`.
    - `loss`: "logistic" (labels {0, 1} or {-1, 1}), "cross-entropy" (class numbers), "squared" or
      "huber" (real targets).
    - `x`: inputs, shape (N, d). `y`: targets, shape (N,) or (N, l).
    - `batch_size`: data of a step, drawn anew in each, without replacement, as a function of the
      simulation's key and the step: stochastic gradients. All particles see the same. None: all of
      the data. The constants of Assumption 1, risks and limits are those of all of the data.
    - `dim`, `num_outputs`, `bounds`: for a callable unit, the length of θ, l (default: the number
      of columns of the targets) and, if known, the suprema of (‖h‖, ‖∇h‖, ‖∇²h‖), or of these and
      ‖∇³h‖.

    **Raises:** `ValueError` for an unknown unit or loss, x and y of different length, empty or
    non-finite data, targets that the loss cannot take, or a unit that fails or has another shape.
    """

    x: Float[Array, "N d"]
    y: Float[Array, "N l"]
    unit: Unit
    loss: str = eqx.field(static=True)
    batch_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        unit: str | Unit | Callable[[Array, Array], Array],
        loss: str,
        x: np.ndarray | Array,
        y: np.ndarray | Array,
        *,
        dim: int | None = None,
        num_outputs: int | None = None,
        bounds: tuple[float, ...] | None = None,
        batch_size: int | None = None,
    ) -> None:
        loss_of(loss)
        inputs, targets = _checked_data(x, y)
        encoded = encode_targets(loss, targets)
        outputs = encoded.shape[1] if num_outputs is None else as_count("num_outputs", num_outputs)
        if outputs != encoded.shape[1]:
            raise ValueError(
                f"num_outputs is {outputs}, but the targets have {encoded.shape[1]} columns."
            )
        if isinstance(unit, str):
            unit = RidgeUnit(  # type: ignore[call-arg]
                activation=unit, input_dim=inputs.shape[1], num_outputs=outputs
            )
        elif not isinstance(unit, Unit):
            if not callable(unit):
                raise ValueError(
                    f"unit must be one of {', '.join(ACTIVATIONS)} or a callable, got {unit!r}."
                )
            if dim is None:
                raise ValueError("a callable unit needs dim, the length of one particle theta.")
            unit = UserUnit(function=unit, dim=dim, num_outputs=outputs, bound=bounds)
        _check_unit(unit, inputs.shape[1], outputs)
        self.x = jnp.asarray(inputs, dtype=float)
        self.y = jnp.asarray(encoded, dtype=float)
        self.unit = unit
        self.loss = loss
        self.batch_size = None if batch_size is None else as_count("batch_size", batch_size)
        if self.batch_size is not None and self.batch_size > len(inputs):
            raise ValueError(
                f"batch_size={self.batch_size} is more than the {len(inputs)} data points."
            )

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """p, the length of one particle θ."""
        return self.unit.dim

    @property
    def is_random(self) -> bool:
        """Whether steps draw their data."""
        return self.batch_size is not None

    def at_step(self, key: PRNGKeyArray) -> "NetworkModel":
        """The network on the data of one step."""
        if self.batch_size is None:
            return self
        chosen = jnp.argsort(jax.random.bits(key, (self.x.shape[0],)))[: self.batch_size]
        drawn = {"x": self.x[chosen], "y": self.y[chosen], "batch_size": None}
        batch = object.__new__(type(self))  # what is checked is checked
        for field in dataclasses.fields(self):
            value = drawn.get(field.name, getattr(self, field.name))
            object.__setattr__(batch, field.name, value)
        return batch

    def __repr__(self) -> str:
        unit = self.unit.activation if isinstance(self.unit, RidgeUnit) else repr(self.unit)
        batch = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        return f"NetworkModel({unit}, {self.loss}, x {self.x.shape}, dim={self.dim}{batch})"

    def outputs(self, theta: Float[Array, " p"]) -> Float[Array, "N l"]:
        """h_x(θ) of one particle at every data point.

        Raises `ValueError` for a `theta` of another shape than (p,).
        """
        (theta,) = as_reals(theta=theta)
        if theta.shape != (self.dim,):
            raise ValueError(f"theta must have shape ({self.dim},), got {theta.shape}.")
        return self.unit.outputs(theta, self.x.astype(theta.dtype))

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        return self.outputs(theta).reshape(-1)

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        return self.drift_columns(jnp.zeros((), theta.dtype), theta[:, None], m)[:, 0]

    def statistic_columns(self, theta: Float[Array, "p n"]) -> Float[Array, "M n"]:
        h = self.unit.output_columns(theta, self.x.astype(theta.dtype))
        return h.reshape(-1, theta.shape[1])

    def drift_columns(
        self, t: Float[Array, ""], theta: Float[Array, "p n"], m: Float[Array, " M"]
    ) -> Float[Array, "p n"]:
        y = self.y.astype(theta.dtype)
        residual = loss_of(self.loss).gradient(m.reshape(y.shape).astype(theta.dtype), y)
        x = self.x.astype(theta.dtype)
        return self.unit.pullback_columns(theta, x, -residual / y.shape[0])

    def risk(self, theta: Float[Array, "n p"]) -> Float[Array, ""]:
        """R(Θ) = E_π ℓ((1/n) Σ_i h_x(θ^i), y) of a network with units theta (n, p).

        Raises `ValueError` for a `theta` of another shape.
        """
        (theta,) = as_reals(theta=theta)
        if theta.ndim != 2 or theta.shape[1] != self.dim or theta.shape[0] == 0:
            raise ValueError(f"theta must have shape (n, {self.dim}), got {theta.shape}.")
        f = jnp.mean(jax.vmap(self.outputs)(theta), 0)
        return jnp.mean(loss_of(self.loss).value(f, self.y.astype(f.dtype)))

    @property
    def statistic_growth(self) -> float | None:
        """The power of ‖θ‖ that h grows like: 0 if it is bounded; None: unknown."""
        return _growth(self.unit, np.asarray(self.x))

    def assumption_constants(self) -> AssumptionConstants:
        """Ψ, Φ and B of Assumption 1 for this unit, loss and data.

        Where the assumption fails (a ReLU or softplus unit, the squared loss) or cannot be decided
        (a callable unit without `bounds`), `holds` is False, `reason` says why, and the constants
        concerned are infinite.
        """
        rule = loss_of(self.loss)
        outputs = self.y.shape[1]
        slope, curvature, third = rule.slope(outputs), rule.curvature(outputs), rule.third(outputs)
        sup = self.unit.bounds(np.asarray(self.x))
        reason = _failure(self.unit, sup, self.loss, slope)
        if sup is None:
            sup = np.full((self.x.shape[0], 3), math.inf)
        sup = np.pad(sup, ((0, 0), (0, 4 - sup.shape[1])), constant_values=math.inf)
        psi = sup[:, :3].sum(-1)
        phi = slope + curvature
        h, dh, ddh, _ = sup.T
        derivatives = np.array([slope, curvature, third])
        if reason:
            return AssumptionConstants(
                psi, phi, *(math.inf,) * 5, sup, derivatives, holds=False, reason=reason
            )
        return AssumptionConstants(
            psi=psi,
            phi=phi,
            B=math.sqrt(float(np.mean(psi**2)) * (1 + phi**2)),
            drift_bound=float(np.mean(dh)) * slope,
            lipschitz_theta=float(np.mean(ddh)) * slope,
            lipschitz_mean=float(np.mean(dh**2)) * curvature,
            # E‖mean of n h_x - E h_x‖ ≤ sup‖h_x‖/√n, through ∂₁²ℓ and ∇h_x into the drift.
            fluctuation=float(np.mean(dh * h)) * curvature,
            unit=sup,
            loss=derivatives,
            holds=True,
            reason="",
        )


def _growth(unit: Unit, x: np.ndarray) -> float | None:
    sup = unit.bounds(x)
    if sup is not None and np.all(np.isfinite(sup[:, 0])):
        return 0.0
    if isinstance(unit, WeightedUnit):
        inner = _growth(unit.unit, x)
        return inner if inner is None or unit.bounded else inner + 1
    return 1.0 if isinstance(unit, RidgeUnit) else None


def loss_of(name: str):  # type: ignore[no-untyped-def]
    """`model.loss` under a name that the argument called `loss` does not shadow."""
    return loss(name)


def _failure(unit: Unit, sup: np.ndarray | None, loss_name: str, slope: float) -> str:
    """Why Assumption 1 fails, or an empty string."""
    reasons = []
    if sup is None:
        reasons.append("the bounds of the unit are not known: pass bounds=(‖h‖, ‖∇h‖, ‖∇²h‖)")
    elif not np.all(np.isfinite(sup[:, :3])):
        name = unit.activation if isinstance(unit, RidgeUnit) else "given"
        what = "is unbounded"
        if isinstance(unit, RidgeUnit) and math.isinf(ACTIVATIONS[name].curvature):
            what += " and not twice differentiable"
        reasons.append(f"the {name} unit {what}")
    if math.isinf(slope):
        reasons.append(f"the {loss_name} loss has an unbounded derivative")
    return "; ".join(reasons)


def _check_unit(unit: Unit, input_dim: int, num_outputs: int) -> None:
    """Raises `ValueError` unless the unit takes such inputs, and gives so many outputs."""
    if unit.num_outputs != num_outputs:
        raise ValueError(
            f"the unit has num_outputs={unit.num_outputs}, but the targets y have {num_outputs} "
            "columns."
        )
    if isinstance(unit, WeightedUnit):
        return _check_unit(unit.unit, input_dim, num_outputs)
    if isinstance(unit, RidgeUnit) and unit.input_dim != input_dim:
        raise ValueError(f"the unit has input_dim={unit.input_dim}, but x has {input_dim} columns.")
    if isinstance(unit, UserUnit):
        dtype = jnp.zeros(0).dtype
        shapes = (jax.ShapeDtypeStruct((n,), dtype) for n in (unit.dim, input_dim))
        try:
            value = eqx.filter_eval_shape(unit.function, *shapes)
        except Exception as error:
            raise ValueError(
                f"unit(theta, x) fails for a theta of shape ({unit.dim},) and an x of shape "
                f"({input_dim},): {error}"
            ) from error
        shape = getattr(value, "shape", None)
        if shape != (num_outputs,) and (shape != () or num_outputs != 1):
            raise ValueError(f"unit(theta, x) must have shape ({num_outputs},), got {shape}.")


def _checked_data(x: object, y: object) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = _numbers("x", x), _numbers("y", y)
    if inputs.ndim != 2 or inputs.shape[0] == 0 or inputs.shape[1] == 0:
        raise ValueError(f"x must have shape (N, d) with N, d ≥ 1, got {inputs.shape}.")
    if targets.ndim not in (1, 2) or len(targets) != len(inputs) or targets.size == 0:
        raise ValueError(
            f"x and y must have the same length, got {len(inputs)} inputs and targets of shape "
            f"{targets.shape}."
        )
    return inputs, targets


def _numbers(name: str, values: object) -> np.ndarray:
    """Data as an array; labels may be bools."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # rows of different length
        array = np.asarray(None)
    largest = float(jnp.finfo(jnp.zeros(0).dtype).max)
    if array.dtype.kind not in "fiub" or not np.all(np.abs(array.astype(float)) < largest):
        raise ValueError(f"{name} must hold finite numbers only (found NaN, inf or text).")
    return array
