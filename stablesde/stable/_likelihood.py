"""Maximum likelihood for the symmetric α-stable law: index, scale and location."""

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import full_products, is_concrete
from stablesde.stable._blocks import check_blocks, over_blocks
from stablesde.stable._density import log_density
from stablesde.stable._domain import number_text, observations, require_spread
from stablesde.stable._ecf import ecf_fit, fit_test
from stablesde.stable._padding import Count, number, padded, selected, total, weights

_LARGEST = 2 - 1e-5  # at 2 the score in α has no variance
_SMALLEST = 0.2
_STEPS = 8
# Below it the data contradict the law that was fitted.
LEAST_P_VALUE = 1e-3


class StableFit(eqx.Module):
    """A fitted symmetric law. `covariance` is that of (alpha, log scale, loc), asymptotically.

    Printed with its standard errors: `StableFit(alpha 1.509 ± 0.022, …)`. They mean nothing where
    the data are no sample of such a law: `p_value` is that of `goodness_of_fit` (None if
    the covariance is from blocks), and `rejected` says whether it is below 0.001.
    """

    alpha: Float[Array, ""]
    scale: Float[Array, ""]
    loc: Float[Array, ""]
    covariance: Float[Array, "3 3"]
    log_likelihood: Float[Array, ""]
    p_value: Float[Array, ""] | None = None

    @property
    def rejected(self) -> Array:
        """Whether the data contradict every symmetric stable law (p < 0.001)."""
        return rejects(self.p_value)

    def __repr__(self) -> str:
        errors = [math.nan] * 3
        if is_concrete(self.covariance) and np.shape(self.covariance) == (3, 3):
            variances = np.diag(np.asarray(self.covariance)).tolist()
            errors = [math.sqrt(v) if v >= 0 else math.nan for v in variances]
            errors[1] *= float(self.scale)
        names = ("alpha", "scale", "loc")
        law = (
            f"{name} {number_text(getattr(self, name))}" + f" ± {e:.2g}" * math.isfinite(e)
            for name, e in zip(names, errors, strict=True)
        )
        return f"StableFit({', '.join(law)}{verdict_text(self.p_value)})"


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


@full_products
def fit_symmetric(
    x: ArrayLike,
    *,
    where: ArrayLike | None = None,
    block_length: int | None = None,
    key: PRNGKeyArray | None = None,
    resamples: int = 200,
) -> StableFit:
    """Maximum likelihood estimates of (alpha, scale, loc) of a symmetric stable sample.

    Scoring steps with the outer product of the scores (Berndt, Hall, Hall and Hausman 1974) from
    the estimates of the characteristic-function regression, whose error such a step shrinks by a
    factor of order n^-1/2; then the observed information (the Hessian) for the covariance. Regular
    for α < 2 (DuMouchel 1973); α is kept in [0.2, 2 - 1e-5].

    **Arguments:**

    - `x`: observations, any shape, independent and finite.
    - `where`, `block_length`, `key`, `resamples`: as in `tail_index`; with blocks the covariance is
      that of the fits of the resamples.

    **Returns:** a `StableFit`; look at `rejected`. Works under `jit` and `vmap`.

    **Raises:** `ValueError` for fewer than 20 observations, or concrete ones that are not finite or
    have equal quartiles; and as `tail_index` for the last four arguments.
    """
    chosen, count = selected(x, where)
    data = observations(chosen, 20, "a fit")
    require_spread(data, "a fit")
    blocks = check_blocks(data.size, block_length, key, resamples, 0.95)
    if blocks is None:
        return _compiled(*padded(data, count))
    return _with_blocks(*padded(data, count), key, np.asarray(blocks[0], np.int32), blocks[1])


def symmetric_fit(data: Float[Array, " n"], count: Count) -> StableFit:
    """The fit of a `padded` sample."""
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
    return StableFit(
        alpha=theta[0],
        scale=start.scale * jnp.exp(theta[1]),
        loc=start.loc + start.scale * theta[2],
        covariance=unit[:, None] * unit[None] * covariance,
        log_likelihood=likelihood(theta) - number(data, count) * jnp.log(start.scale),
        p_value=fit_test(data, count, None, None, None, (0, 1, 2)).p_value,
    )


_compiled = jax.jit(symmetric_fit)


@partial(jax.jit, static_argnames="resamples")
def _with_blocks(
    data: Float[Array, " n"], count: Count, key: PRNGKeyArray, length: Array, resamples: int
) -> StableFit:
    def estimate(x: Float[Array, " n"]) -> Float[Array, " 3"]:
        fit = symmetric_fit(x, count)
        return jnp.stack([fit.alpha, jnp.log(fit.scale), fit.loc])

    fit = symmetric_fit(data, count)
    spread = jnp.cov(over_blocks(estimate, data, count, key, length, resamples), rowvar=False)
    return StableFit(fit.alpha, fit.scale, fit.loc, spread, fit.log_likelihood)
