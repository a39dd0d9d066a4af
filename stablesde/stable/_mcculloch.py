"""McCulloch's estimator of α for symmetric laws, with exact quantiles in place of his tables.

Source: McCulloch, Commun. Stat. Simul. 15 (1986): ν = (q95 - q05) / (q75 - q25) depends on α alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde.stable._density import log_density
from stablesde.stable._padding import Count, number, quantiles
from stablesde.stable._quantile import upper_quantile

_LEVELS = np.array([0.05, 0.25, 0.75, 0.95])
_SMALLEST = 0.3  # below, ν exceeds 600


def _log_ratio(inverse: Float[Array, "..."]) -> Float[Array, "..."]:
    """log ν at 1/α; increasing, and nearly linear."""
    p = jnp.stack([jnp.full_like(inverse, 0.05), jnp.full_like(inverse, 0.25)])
    outer, inner = upper_quantile(p, 1 / inverse)
    return jnp.log(outer / inner)


@jax.jit
def _index(log_nu: Float[Array, "..."]) -> Float[Array, "..."]:
    """α with this log ν, between 0.3 and 2, by secants in 1/α."""

    gap = 0.01  # the secant is as good as the tangent, and compiles in half the time

    def step(_: int, inverse: Float[Array, "..."]) -> Float[Array, "..."]:
        value, ahead = _log_ratio(jnp.stack([inverse, inverse + gap]))
        return jnp.clip(inverse + (log_nu - value) / (ahead - value) * gap, 0.5, 1 / _SMALLEST)

    return 1 / jax.lax.fori_loop(0, 8, step, jnp.full_like(log_nu, 0.6))


def mcculloch(
    x: Float[Array, " n"], count: Count, z: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """(lower, estimate, upper) of a `padded` sample: z standard errors of log ν, through α(ν)."""
    levels = jnp.asarray(_LEVELS, x.dtype)
    q = quantiles(x, count, levels)
    log_nu = jnp.log((q[3] - q[0]) / (q[2] - q[1]))
    alpha = _index(log_nu)
    # Asymptotic covariance of the sample quantiles at the fitted law, in units of its scale.
    points = upper_quantile(jnp.minimum(levels, 1 - levels), alpha)
    density = jnp.exp(log_density(points, alpha))
    shared = jnp.minimum(levels[:, None], levels[None]) * (
        1 - jnp.maximum(levels[:, None], levels[None])
    )
    covariance = shared / (density[:, None] * density[None])
    wide, narrow = 2 * points[0], 2 * points[1]
    gradient = jnp.stack([-1 / wide, 1 / narrow, -1 / narrow, 1 / wide])
    half = z * jnp.sqrt(gradient @ covariance @ gradient / number(x, count))
    # One-sided where the estimate is at the boundary: from the ratio of the Gaussian law.
    least = jnp.maximum(log_nu, _log_ratio(jnp.asarray([0.5], log_nu.dtype))[0])
    low, high = _index(jnp.stack([least + half, log_nu - half]))
    return low, alpha, high
