"""Maximum likelihood for the symmetric α-stable law: index, scale and location."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import is_concrete
from stablesde.stable._blocks import over_blocks
from stablesde.stable._density import log_density
from stablesde.stable._ecf import ecf_fit
from stablesde.stable._padding import Count, total, weights

_LARGEST = 2 - 1e-5  # at 2 the score in α has no variance
_SMALLEST = 0.2
_STEPS = 8
# Below it the data contradict the law that was fitted.
LEAST_P_VALUE = 1e-3


class SymmetricFit(NamedTuple):
    """(alpha, scale, loc) of a symmetric sample; `covariance` of (alpha, log scale, loc)."""

    alpha: Float[Array, ""]
    scale: Float[Array, ""]
    loc: Float[Array, ""]
    covariance: Float[Array, "3 3"]


def rejects(p_value: Any) -> Array:
    """Whether a p-value, if there is one, contradicts the law."""
    return jnp.asarray(False) if p_value is None else jnp.asarray(p_value) < LEAST_P_VALUE


def verdict_text(p_value: Any) -> str:
    """What a repr adds where a fitted law is rejected."""
    if p_value is None or not is_concrete(p_value) or np.ndim(p_value) or not rejects(p_value):
        return ""
    return f"; LAW REJECTED, p = {float(p_value):.2g}"


def _log_likelihoods(theta: Float[Array, " 3"], x: Float[Array, " n"]) -> Float[Array, " n"]:
    z = (x - theta[2]) * jnp.exp(-theta[1])
    return log_density(jnp.abs(z), theta[0]) - theta[1]


def _scores(theta: Float[Array, " 3"], x: Float[Array, " n"]) -> Float[Array, "3 n"]:
    """Derivatives of each observation's log-likelihood."""
    z = (x - theta[2]) * jnp.exp(-theta[1])
    size = jnp.abs(z)
    in_x = jax.jvp(lambda s: log_density(s, theta[0]), (size,), (jnp.ones_like(size),))[1]
    one = jnp.ones_like(theta[0])
    in_alpha = jax.jvp(lambda a: log_density(size, a), (theta[0],), (one,))[1]
    return jnp.stack([in_alpha, -1 - size * in_x, -jnp.sign(z) * in_x * jnp.exp(-theta[1])])


def symmetric_fit(data: Float[Array, " n"], count: Count) -> SymmetricFit:
    """Maximum likelihood of a `padded` sample.

    Scoring steps with the outer product of the scores from the estimates of the
    characteristic-function regression, whose error such a step shrinks by a factor of order
    n^-1/2; then the observed information (the Hessian) for the covariance.
    """
    start = ecf_fit(data, count)
    standard = (data - start.loc) / start.scale

    def step(_: int, theta: Float[Array, " 3"]) -> Float[Array, " 3"]:
        scores = _scores(theta, standard) * weights(standard, count)[None]
        move = jnp.linalg.solve(scores @ scores.T, jnp.sum(scores, axis=1))
        theta = theta + jnp.clip(move, -0.3, 0.3)
        return theta.at[0].set(jnp.clip(theta[0], _SMALLEST, _LARGEST))

    alpha = jnp.clip(start.alpha, 2 * _SMALLEST, 1.98)
    theta = jnp.stack([alpha, jnp.zeros_like(alpha), jnp.zeros_like(alpha)])
    theta = jax.lax.fori_loop(0, _STEPS, step, theta)

    def likelihood(theta: Float[Array, " 3"]) -> Float[Array, ""]:
        return total(_log_likelihoods(theta, standard), count)

    covariance = jnp.linalg.inv(-jax.hessian(likelihood)(theta))
    unit = jnp.stack([jnp.ones_like(alpha), jnp.ones_like(alpha), start.scale])
    return SymmetricFit(
        alpha=theta[0],
        scale=start.scale * jnp.exp(theta[1]),
        loc=start.loc + start.scale * theta[2],
        covariance=unit[:, None] * unit[None] * covariance,
    )


def block_covariance(
    data: Float[Array, " n"], count: Count, key: PRNGKeyArray, length: Array, resamples: int
) -> Float[Array, "3 3"]:
    """The covariance of (alpha, log scale, loc) over the fits of samples of blocks."""

    def estimate(x: Float[Array, " n"]) -> Float[Array, " 3"]:
        fit = symmetric_fit(x, count)
        return jnp.stack([fit.alpha, jnp.log(fit.scale), fit.loc])

    return jnp.cov(over_blocks(estimate, data, count, key, length, resamples), rowvar=False)
