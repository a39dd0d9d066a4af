"""A mean-field drift is a pair: a statistic of one particle, and the drift given its mean.

In the notation of Wan, Zaidi and Şimşekli (2023), `b(θ, μ)` depends on the measure μ only through
m = ∫ φ dμ, so a step of n particles costs O(n).
"""

import abc
from functools import partial

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_parameter
from stablesde.noise._base import as_dim


class MeanFieldModel(eqx.Module):
    """A drift `b(θ, m)` with `m` the mean over particles of `statistic(θ)`.

    Subclass it with a field or property `dim` (length p of θ) and the two methods; both are
    written for **one** particle, the library maps them over all. A drift that depends on time
    overrides `drift_at` (or use `FunctionModel`). The `*_columns` methods do the mapping; override
    them only to compute the same numbers faster.

    Simulations see fields that are floats as traced arrays, so that one program serves all values.
    A model whose drift is bounded and Lipschitz may say so in a field or property `bounds`, a
    `stablesde.model.DriftBounds`: its studies then have the theorems' bounds.

    A model whose statistic grows like a power of ‖θ‖ may say so in a field or property
    `statistic_growth` (0: bounded; 1: linearly), from which `ssd.propagation_of_chaos` takes its
    rate: for a drift that grows at most linearly θ_t has the tail of the noise.

    A number on which Python code branches (`if self.power > 1`) must be an integer or a static
    field, `equinox.field(static=True)`; the program is compiled anew for each of its values.

    ```python
    class Kuramoto(ssd.MeanFieldModel):
        coupling: float
        dim: int = 1

        def statistic(self, theta):
            return jnp.concatenate([jnp.cos(theta), jnp.sin(theta)])

        def drift(self, theta, m):
            return self.coupling * (m[1] * jnp.cos(theta) - m[0] * jnp.sin(theta))
    ```
    """

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        """φ(θ), shape (M,), of one particle θ of shape (p,)."""

    @abc.abstractmethod
    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        """b(θ, m), shape (p,): the velocity of one particle given the mean statistic."""

    def drift_at(
        self, t: Float[Array, ""], theta: Float[Array, " p"], m: Float[Array, " M"]
    ) -> Float[Array, " p"]:
        """b(t, θ, m); `drift(theta, m)` unless overridden. This is what simulations call."""
        return self.drift(theta, m)

    @property
    def is_random(self) -> bool:
        """Whether the drift of a step is drawn, by `at_step`; False unless overridden."""
        return False

    def at_step(self, key: PRNGKeyArray) -> "MeanFieldModel":
        """The model of one step, such as one on a batch of the data, if `is_random`.

        `key` is a function of the simulation's key and the number of the step. Statistic and drift
        of the step are those of what is returned, a model of the same shapes.
        """
        return self

    def statistic_columns(self, theta: Float[Array, "p n"]) -> Float[Array, "M n"]:
        """φ of n particles, given and returned as columns."""
        return jax.vmap(self.statistic, in_axes=1, out_axes=1)(theta)

    def drift_columns(
        self, t: Float[Array, ""], theta: Float[Array, "p n"], m: Float[Array, " M"]
    ) -> Float[Array, "p n"]:
        """b(t, ·, m) of n particles, given and returned as columns."""
        return jax.vmap(self.drift_at, in_axes=(None, 1, None), out_axes=1)(t, theta, m)


class MeanReversion(MeanFieldModel):
    """Linear mean-field drift `b(θ, m) = -rate (θ - coupling m)`, m the mean of θ.

    An Ornstein–Uhlenbeck system with an unbounded drift: Assumption 1 of the paper fails, and the
    strong error attains the width exponent 1/α of Theorem 4.1 (see `ssd.strong_error`). The
    statistic is unbounded, too: for 1 < α < 2 its mean, and with it the system, approaches the
    limit like n^(1/α - 1), more slowly than the n^(-1/2) of Theorem 4.2.
    Raises `ValueError` unless `dim` ≥ 1 and `rate`, `coupling` are finite numbers.
    """

    dim: int = eqx.field(converter=as_dim)
    rate: float | Float[Array, ""] = eqx.field(default=1.0, converter=partial(as_parameter, "rate"))
    coupling: float | Float[Array, ""] = eqx.field(
        default=0.5, converter=partial(as_parameter, "coupling")
    )

    @property
    def linear_rate(self) -> float | Float[Array, ""]:
        """λ of the linear part -λθ of the drift, for exponential schemes."""
        return self.rate

    @property
    def statistic_growth(self) -> float:
        """The power of ‖θ‖ that the statistic grows like."""
        return 1.0

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " p"]:
        return theta

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " p"]) -> Float[Array, " p"]:
        return -self.rate * (theta - self.coupling * m)
