"""The mean of the largest of n symmetric α-stable moduli."""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, ArrayLike, Float

from stablesde._arguments import as_choice, is_concrete
from stablesde.stable._constants import tail_constant
from stablesde.stable._density import log_density, survival
from stablesde.stable._domain import aligned, inside, law_arguments, mask_alpha
from stablesde.stable._inversion import legendre, nodes_like, widened
from stablesde.stable._quantile import upper_quantile

_NODES = 64


def _largest_n(n: Array) -> float:
    """The integrals hold n to a power a little above 1."""
    return float(10.0 ** math.floor(0.75 * math.log10(float(jnp.finfo(n.dtype).max))))


def _exceedance(log_x: Array, alpha: Array, n: Array) -> Array:
    """P(max > x)."""
    both = jnp.minimum(2 * survival(jnp.exp(log_x), alpha), 1 - float(jnp.finfo(n.dtype).eps))
    return -jnp.expm1(n * jnp.log1p(-both))


@jax.jit
def _exact(alpha: Array, n: Array) -> Array:
    """∫ P(max > x) dx, in log x, from the median outwards on exponentially growing steps."""
    alpha, n = jnp.broadcast_arrays(alpha, n)
    eps = float(jnp.finfo(alpha.dtype).eps)
    fixed_alpha, fixed_n = jax.lax.stop_gradient((alpha, n))
    p = -jnp.expm1(-math.log(2.0) / fixed_n) / 2
    median = upper_quantile(p, fixed_alpha)
    middle = jnp.log(median)
    # d log P(|Z| > x) / d log x at the median sets the width of the law of log max.
    width = jnp.exp(jnp.log(p) - middle - log_density(median, fixed_alpha))
    tail = jnp.log(jnp.maximum(tail_constant(fixed_alpha), eps * eps) * fixed_n / eps**0.5)
    end = jnp.maximum(jnp.maximum(tail / fixed_alpha, middle + 12 * width), math.log(50.0))

    nodes, weights = legendre(_NODES)
    s, w = nodes_like(nodes, alpha), nodes_like(weights, alpha)

    def half(reach: Array, sign: float) -> Array:
        sigma = jnp.log1p(reach / width)
        stretch = jnp.exp(s * widened(sigma))
        log_x = widened(middle) + sign * widened(width) * (stretch - 1)
        integrand = jnp.exp(log_x) * _exceedance(log_x, widened(alpha), widened(n))
        return jnp.sum(integrand * w * widened(sigma * width) * stretch, axis=0)

    depth = jnp.asarray(-math.log(eps), alpha.dtype)
    beyond = jnp.exp(middle - depth)  # where the probability is 1
    # P(max > x) = n c x^-α (1 + D x^-α + …) above `end`
    log_d = gammaln(2 * alpha) - gammaln(alpha)
    d = -jnp.exp(log_d) * jnp.cos(jnp.pi / 2 * alpha)
    first = n * tail_constant(alpha) * jnp.exp((1 - alpha) * end) / (alpha - 1)
    ratio = d * jnp.exp(-alpha * end) * (alpha - 1) / (2 * alpha - 1)
    return half(depth, -1.0) + half(end - middle, 1.0) + beyond + first * (1 + ratio)


def expected_maximum(
    alpha: ArrayLike, n: ArrayLike, *, method: Literal["exact", "frechet"] = "exact"
) -> Float[Array, "..."]:
    r"""$E\max_{i\le n}|Z_i|$ for independent symmetric α-stable $Z_i$ of unit scale.

    `"exact"` integrates $1 - (1 - P(|Z| > x))^n$; `"frechet"` is the limit
    $\Gamma(1 - 1/\alpha)(c_\alpha n)^{1/\alpha}$ (Embrechts, Klüppelberg and Mikosch 1997, Theorem
    3.3.7), which tends to 0 at α = 2 where the maximum grows like $2\sqrt{\log n}$ instead.
    Infinite for α ≤ 1.

    **Arguments:**

    - `alpha`, `n`: broadcast against each other; `n` need not be an integer, and lies between 1 and
      10²⁸ in float32, 10²³¹ in float64 (beyond, the integrand leaves the range of the type).

    **Returns:** an array of the broadcast shape, differentiable in `alpha`.

    **Raises:** `ValueError` for a concrete `alpha` outside (0, 2] or `n` outside its range (traced
    ones give NaN), or an unknown method.
    """
    as_choice("method", method, ("exact", "frechet"))
    a, n_ = law_arguments(alpha=alpha, n=n)
    largest = _largest_n(n_)
    if is_concrete(n_) and not np.all((np.asarray(n_) >= 1) & (np.asarray(n_) <= largest)):
        raise ValueError(f"n must be between 1 and {largest:.0e} in {n_.dtype}, got {n!r}.")
    return _expected(a, n_, method)


@partial(jax.jit, static_argnames="method")
def _expected(a: Array, n: Array, method: str) -> Array:
    a, n = aligned(a, n)
    n = inside(n, (n >= 1) & (n <= _largest_n(n)))
    finite = a > 1
    a_ = jnp.where(finite, a, 1.5)
    if method == "frechet":
        value = jnp.exp(gammaln(1 - 1 / a_)) * (tail_constant(a_) * n) ** (1 / a_)
    else:
        value = _exact(a_, n)
    return mask_alpha(jnp.where(finite, value, jnp.inf), a)
