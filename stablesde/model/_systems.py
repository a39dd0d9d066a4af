"""Systems put together from functions or from other systems."""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_parameter
from stablesde.model._base import MeanFieldModel
from stablesde.model._declared import DriftBounds, declared
from stablesde.model._pairwise import PairwiseModel
from stablesde.noise._base import as_dim
from stablesde.stable._domain import number_text


class FunctionModel(MeanFieldModel):
    """A system from plain functions: `drift(t, θ, m)` and `statistic(θ)`, both of one particle.

    ```python
    force = lambda t, theta, m: theta - theta**3 / (1 + theta**2)
    double_well = ssd.FunctionModel(1, force)
    ```

    **Arguments:**

    - `dim`: length p of θ.
    - `drift_function`: t (a scalar), θ (p,) and the mean statistic m (M,) to the velocity (p,).
    - `statistic_function`: θ (p,) to φ(θ) (M,); None for a system without interaction (M = 0).
    - `bounds`: if you know them, the `DriftBounds`, from which studies take the theorems' bounds.

    The functions may close over arrays, traced ones and ones that are differentiated as well.
    Arrays are then constants of the compiled program, which is compiled anew for other functions:
    for a model with parameters, subclass `MeanFieldModel` and make them fields.

    **Raises:** `ValueError` for a `dim` below 1, functions that can't be called, or other `bounds`.
    """

    dim: int = eqx.field(static=True, converter=as_dim)
    drift_function: Callable[[Array, Array, Array], Array]
    statistic_function: Callable[[Array], Array] | None = None
    bounds: DriftBounds | None = eqx.field(static=True, default=None, converter=declared)

    def __check_init__(self) -> None:
        if not callable(self.drift_function):
            raise ValueError("drift_function must be a function of (t, theta, m).")
        if self.statistic_function is not None and not callable(self.statistic_function):
            raise ValueError("statistic_function must be a function of theta, or None.")

    def __repr__(self) -> str:
        functions = (self.drift_function, self.statistic_function)
        names = (getattr(f, "__name__", type(f).__name__) for f in functions if f is not None)
        return f"FunctionModel(dim={self.dim}, {', '.join(names)})"

    @property
    def statistic_growth(self) -> float | None:
        """The power of ‖θ‖ that the statistic grows like: 0 if it is bounded; None: unknown."""
        return 0.0 if self.statistic_function is None or self.bounds is not None else None

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        if self.statistic_function is None:
            return jnp.zeros((0,), theta.dtype)
        return self.statistic_function(theta)

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        """The velocity at t = 0."""
        return self.drift_at(jnp.zeros((), theta.dtype), theta, m)

    def drift_at(
        self, t: Float[Array, ""], theta: Float[Array, " p"], m: Float[Array, " M"]
    ) -> Float[Array, " p"]:
        return self.drift_function(t, theta, m)


class WeightDecay(MeanFieldModel):
    """Confinement: the drift of another model minus `rate · θ`.

    With it the law of θ_t has a limit as t grows, whose tail index is still that of the noise. The
    drift is no longer bounded, so Assumption 1 fails. `scheme="exponential"` of `ssd.simulate`
    integrates the linear part exactly and stays stable for steps beyond 2 / rate.

    Raises `ValueError` unless `model` is one and `rate` is finite and not negative.
    """

    model: MeanFieldModel
    rate: float | Float[Array, ""] = eqx.field(converter=partial(as_parameter, "rate", low=0.0))

    def __check_init__(self) -> None:
        if not isinstance(self.model, MeanFieldModel):
            raise ValueError(f"model must be a MeanFieldModel, got {type(self.model).__name__}.")
        if isinstance(self.model, PairwiseModel):
            raise ValueError("model is a PairwiseModel: put -rate θ into its drift_function.")

    def __repr__(self) -> str:
        return f"WeightDecay({self.model}, rate={number_text(self.rate)})"

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """p, the length of one particle θ."""
        return self.model.dim

    @property
    def linear_rate(self) -> float | Float[Array, ""]:
        """λ of the linear part -λθ of the drift, for exponential schemes."""
        return self.rate + getattr(self.model, "linear_rate", 0.0)

    @property
    def statistic_growth(self) -> float | None:
        """The power of ‖θ‖ that the statistic grows like; None: unknown."""
        return getattr(self.model, "statistic_growth", None)

    @property
    def is_random(self) -> bool:
        """Whether the model's drift is."""
        return self.model.is_random

    def at_step(self, key: PRNGKeyArray) -> "WeightDecay":
        """With the model of one step."""
        return eqx.tree_at(lambda decay: decay.model, self, self.model.at_step(key))

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        return self.model.statistic(theta)

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        return self.model.drift(theta, m) - self.rate * theta

    def drift_at(
        self, t: Float[Array, ""], theta: Float[Array, " p"], m: Float[Array, " M"]
    ) -> Float[Array, " p"]:
        return self.model.drift_at(t, theta, m) - self.rate * theta

    def statistic_columns(self, theta: Float[Array, "p n"]) -> Float[Array, "M n"]:
        return self.model.statistic_columns(theta)

    def drift_columns(
        self, t: Float[Array, ""], theta: Float[Array, "p n"], m: Float[Array, " M"]
    ) -> Float[Array, "p n"]:
        return self.model.drift_columns(t, theta, m) - self.rate * theta


class KineticModel(MeanFieldModel):
    """Particles with velocities, θ = (x, v): `dx = v dt`, `dv = (b(t, x, m) - friction v) dt`.

    b is the drift of another model and m the mean of its statistic over positions. The noise acts
    on the velocities by a matrix sigma, which `on_velocity` gives:

    ```python
    kinetic = ssd.KineticModel(ssd.MeanReversion(2), friction=1.0)
    noise = ssd.stable_noise("III", 1.5, 2)
    system = ssd.System(kinetic, noise, sigma=kinetic.on_velocity(0.5))
    ```

    Euler's scheme with step η is gradient descent with momentum (heavy ball) of learning rate η²
    and momentum 1 - friction η, whose gradient is that of one step before.

    Raises `ValueError` unless `model` is one without pairs, and `friction` is finite and not
    negative.
    """

    model: MeanFieldModel
    friction: float | Float[Array, ""] = eqx.field(
        default=1.0, converter=partial(as_parameter, "friction", low=0.0)
    )

    def __check_init__(self) -> None:
        if not isinstance(self.model, MeanFieldModel) or isinstance(self.model, PairwiseModel):
            raise ValueError(
                f"model must be a MeanFieldModel without pairs, got {type(self.model).__name__}."
            )

    def __repr__(self) -> str:
        return f"KineticModel({self.model}, friction={number_text(self.friction)})"

    @property  # type: ignore[misc]
    def dim(self) -> int:  # type: ignore[override]
        """Twice the model's."""
        return 2 * self.model.dim

    def on_velocity(self, scale: float | Array = 1.0) -> Float[Array, "dim half"]:
        """The matrix sigma of a noise of the model's dimension that acts on velocities alone.

        **Arguments:** `scale`, a number or one for each coordinate.
        **Returns:** an array (dim, dim / 2).
        """
        half = self.model.dim
        kicks = scale * jnp.eye(half)
        return jnp.concatenate([jnp.zeros_like(kicks), kicks])

    @property
    def statistic_growth(self) -> float | None:
        """The power of ‖θ‖ that the statistic grows like; None: unknown."""
        return getattr(self.model, "statistic_growth", None)

    @property
    def is_random(self) -> bool:
        """Whether the model's drift is."""
        return self.model.is_random

    def at_step(self, key: PRNGKeyArray) -> "KineticModel":
        """With the model of one step."""
        return eqx.tree_at(lambda kinetic: kinetic.model, self, self.model.at_step(key))

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        return self.model.statistic(theta[: self.model.dim])

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        """The velocity and the acceleration at t = 0."""
        return self.drift_at(jnp.zeros((), theta.dtype), theta, m)

    def drift_at(
        self, t: Float[Array, ""], theta: Float[Array, " p"], m: Float[Array, " M"]
    ) -> Float[Array, " p"]:
        return self.drift_columns(t, theta[:, None], m)[:, 0]

    def statistic_columns(self, theta: Float[Array, "p n"]) -> Float[Array, "M n"]:
        return self.model.statistic_columns(theta[: self.model.dim])

    def drift_columns(
        self, t: Float[Array, ""], theta: Float[Array, "p n"], m: Float[Array, " M"]
    ) -> Float[Array, "p n"]:
        half = self.model.dim
        force = self.model.drift_columns(t, theta[:half], m)
        return jnp.concatenate([theta[half:], force - self.friction * theta[half:]])
