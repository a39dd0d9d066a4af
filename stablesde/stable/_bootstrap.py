"""A test of the stable family with all four parameters estimated, by the parametric bootstrap."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_count, full_products
from stablesde.stable._bits import check_key, fold, key_words, threefry2x32
from stablesde.stable._domain import number_text, observations, require_spread
from stablesde.stable._ecf import means_of_waves
from stablesde.stable._fit import regression, turned_phase
from stablesde.stable._padding import Count, number, padded, quantiles
from stablesde.stable._sampling import counters
from stablesde.stable._skewed import s0_from_words
from stablesde.stable._varying import vary_with

_STEP = 0.1
_FREQUENCIES = _STEP * (np.arange(40) + 0.5)


class LawTest(eqx.Module):
    """Result of `bootstrap_test`: a distance, its p-value, and the law that was fitted (S0)."""

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]
    alpha: Float[Array, ""]
    beta: Float[Array, ""]
    scale: Float[Array, ""]
    loc: Float[Array, ""]
    replicas: int = eqx.field(static=True, default=0)

    def __repr__(self) -> str:
        names = ("alpha", "beta", "scale", "loc")
        law = (f"{name} {number_text(getattr(self, name))}" for name in names)
        return f"LawTest(p = {number_text(self.p_value, 3)}; {', '.join(law)})"


@full_products
def bootstrap_test(x: ArrayLike, key: PRNGKeyArray, *, replicas: int = 199) -> LawTest:
    r"""Tests whether a sample comes from *any* stable law S(α, β), all parameters estimated.

    The distance is $n \int |\varphi_n(u) - \varphi(u)|^2 e^{-u}\,du$ over (0, 4), with φ_n the
    empirical characteristic function of the data in units of the fitted scale and φ the fitted law,
    by Koutrouvelis' regression (1980). Samples of the fitted law, each fitted in turn, say what
    distances to expect, so that the level accounts for the estimation. For laws with
    0.4 ≤ α ≤ 2; it sees the body of the law, as `goodness_of_fit` does (a χ² test of the symmetric
    law, without simulation). Source: Matsui and Takemura (2008).

    **Arguments:** `x`, independent observations, any shape; `key`, a JAX PRNG key; `replicas`, the
    number of simulated samples: the least p-value is 1/(replicas + 1).

    **Returns:** a `LawTest`; a small `p_value` speaks against every stable law.

    **Raises:** `ValueError` for fewer than 20 observations, or concrete ones that are not finite or
    have equal quartiles; `replicas` below 19.
    """
    check_key(key)
    replicas = as_count("replicas", replicas, 19)
    data = observations(x, 20, "the test")
    require_spread(data, "the test")
    found = _tested(*padded(data), key, replicas=replicas)
    return LawTest(*found, replicas)  # type: ignore[call-arg]


@partial(jax.jit, static_argnames="replicas")
def _tested(x: Array, count: Count, key: PRNGKeyArray, *, replicas: int) -> tuple[Array, ...]:
    statistic, (alpha, beta, scale, loc) = _distance(x, count)
    words, index = key_words(key), jax.lax.iota(jnp.uint32, x.size)

    def one(replica: Array) -> Array:
        drawn = threefry2x32(fold(words, replica), counters(index))
        return _distance(s0_from_words(drawn, alpha, beta, x.dtype), count)[0]

    others = jax.lax.map(one, vary_with(jnp.arange(replicas, dtype=jnp.uint32), x))
    p_value = (1 + jnp.sum(others >= statistic)) / (1 + replicas)
    return statistic, p_value.astype(x.dtype), alpha, beta, scale, loc


def _distance(x: Array, count: Count) -> tuple[Array, Array]:
    """The distance from the fitted law, and (α, β, scale, loc) of that in S0."""
    q25, q50, q75 = quantiles(x, count, [0.25, 0.5, 0.75])
    unit = (q75 - q25) / 2
    standard = (x - q50) / unit
    alpha, beta, log_scale, loc = regression(standard, count)
    u = jnp.asarray(_FREQUENCIES, x.dtype)
    found = means_of_waves((standard - loc) * jnp.exp(-log_scale), count, u)
    modulus, phase = jnp.exp(-(u**alpha)), beta * turned_phase(u, alpha)
    gap = found - modulus[:, None] * jnp.stack([jnp.cos(phase), jnp.sin(phase)], 1)
    total = number(x, count) * jnp.sum(gap**2 * (_STEP * jnp.exp(-u))[:, None])
    return total, jnp.stack([alpha, beta, unit * jnp.exp(log_scale), q50 + unit * loc])
