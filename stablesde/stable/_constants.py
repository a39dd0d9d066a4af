"""Closed forms of the α-stable law: characteristic function, tail constant, moments, maxima.

S1 notation of Nolan, *Univariate Stable Distributions* (2020): the symmetric law has
E exp(iuZ) = exp(-|u|^α), so α = 2 is N(0, 2) and α = 1 is Cauchy.
"""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, ArrayLike, Complex, Float

from stablesde._arguments import as_choice
from stablesde.stable._domain import (
    aligned,
    law_arguments,
    mask_alpha,
    valid_beta,
    valid_loc,
    valid_scale,
)


def _sin_half_pi(alpha: Float[Array, "..."]) -> Float[Array, "..."]:
    """sin(πα/2), with full relative accuracy next to α = 2 (and exactly 0 there)."""
    return jnp.sin(jnp.pi / 2 * jnp.where(alpha > 1, 2 - alpha, alpha))


def tail_constant(alpha: ArrayLike) -> Float[Array, "..."]:
    r"""The $c_\alpha$ of $P(|Z| > t) \sim c_\alpha t^{-\alpha}$, Z symmetric with unit scale.

    $c_\alpha = \frac{2}{\pi}\Gamma(\alpha)\sin(\pi\alpha/2)$.

    Source: Nolan (2020), Theorem 1.2 (whose constant is per side, $c_\alpha/2$). It is 0 at
    $\alpha = 2$, where the tail is Gaussian, and 1 in the limit $\alpha \to 0$.

    **Arguments:**

    - `alpha`: $\alpha \in (0, 2]$, any shape.

    **Returns:** an array of the shape of `alpha`.

    **Raises:** `ValueError` for a concrete `alpha` outside (0, 2]; a traced one gives NaN.
    """
    return _tail_constant(*law_arguments(alpha=alpha))


@jax.jit
def _tail_constant(a: Float[Array, "..."]) -> Float[Array, "..."]:
    # Γ(α) sin(πα/2) = Γ(1 + α) · sin(πα/2) / α stays finite as α → 0.
    value = jnp.exp(gammaln(1 + a)) * _sin_half_pi(a) * (2 / jnp.pi) / a
    return mask_alpha(value, a)


def characteristic_function(
    u: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike = 0.0,
    *,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    parametrization: Literal["S1", "S0"] = "S1",
) -> Complex[Array, "..."]:
    r"""$E \exp(iuX)$ for $X \sim S(\alpha, \beta, \text{scale}, \text{loc})$.

    S1: $\exp(-|u|^\alpha(1 - i\beta\tan(\pi\alpha/2)\,\mathrm{sign}\,u))$, and
    $\exp(-|u|(1 + i\beta\frac{2}{\pi}\mathrm{sign}(u)\log|u|))$ at $\alpha = 1$.
    S0 shifts the law by $-\beta\tan(\pi\alpha/2)$, which makes it continuous in $\alpha$ at 1.
    Source: Nolan (2020), Definitions 1.5 and 1.4: X = scale·Z + loc, except that S1 at
    $\alpha = 1$ adds $\frac{2}{\pi}\beta\,\text{scale}\log\text{scale}$ (as scipy does), which
    makes the exponent $-\text{scale}|u|(1 + i\beta\frac{2}{\pi}\mathrm{sign}(u)\log|u|)$.

    **Arguments:**

    - `u`, `alpha`, `beta`, `loc`, `scale`: broadcast against each other.
    - `parametrization`: `"S1"` (default) or `"S0"`.

    **Returns:** a complex array of the broadcast shape.

    **Raises:** `ValueError` for a concrete `alpha` outside (0, 2] or `beta` outside [-1, 1], a
    `scale` that is not positive and finite, a `loc` that is not finite, what is no number, or an
    unknown parametrization; a traced `alpha` outside gives NaN, as does a `u` that is not finite.
    """
    as_choice("parametrization", parametrization, ("S1", "S0"))
    arguments = law_arguments(u=u, alpha=alpha, beta=beta, loc=loc, scale=scale)
    return _transform(*arguments, continuous=parametrization == "S0")


@partial(jax.jit, static_argnames="continuous")
def _transform(
    u_: Array, a: Array, b: Array, location: Array, s: Array, continuous: bool
) -> Complex[Array, "..."]:
    u_, a, b, location, s = aligned(u_, a, b, location, s)
    b, location, s = valid_beta(b), valid_loc(location), valid_scale(s)
    v = u_ * s
    size = jnp.abs(v)
    log_size = jnp.log(jnp.where(size > 0, size, 1.0))
    modulus = jnp.where(size > 0, jnp.exp(a * log_size), 0.0)  # |v|^α
    d = a - 1
    at_one = d == 0
    if not continuous:
        # tan(πα/2) from the exactly representable α - 1 and 2 - α, for accuracy at both.
        d_ = jnp.where(at_one | (a > 1.5), 1.0, d)
        tangent = jnp.where(a > 1.5, -jnp.tan(jnp.pi / 2 * (2 - a)), -1 / jnp.tan(jnp.pi / 2 * d_))
        log_u = jnp.log(jnp.where(u_ != 0, jnp.abs(u_), 1.0))
        skew = jnp.where(at_one, -size * log_u * (2 / jnp.pi), modulus * tangent)
    else:
        # |v|^α tan(πα/2) (1 - |v|^(1-α)) = |v| · (|v|^(α-1) - 1) · tan(πα/2)
        d_ = jnp.where(at_one, 1.0, d)
        growth = jnp.expm1(d_ * log_size) / jnp.tan(jnp.pi / 2 * d_)
        skew = -size * jnp.where(at_one, log_size * (2 / jnp.pi), growth)
        skew = jnp.where(size > 0, skew, 0.0)
    phase = b * jnp.sign(v) * skew + u_ * location
    magnitude = mask_alpha(jnp.exp(-modulus), a)
    return jax.lax.complex(magnitude * jnp.cos(phase), magnitude * jnp.sin(phase))


def absolute_moment(
    alpha: ArrayLike, p: ArrayLike, *, beta: ArrayLike = 0.0
) -> Float[Array, "..."]:
    r"""$E|Z|^p$ at scale 1 and loc 0 in S1, $-1 < p < \alpha$ (every $p > -1$ if $\alpha = 2$).

    $E|Z|^p = 2^p\,\frac{\Gamma((1+p)/2)\,\Gamma(1-p/\alpha)}{\sqrt\pi\,\Gamma(1-p/2)}
    \,(1+\zeta^2)^{p/2\alpha}\cos(\tfrac p\alpha\arctan\zeta)$, $\zeta = \beta\tan(\pi\alpha/2)$;
    source: Shanbhag and Sreehari (1977); Nolan (2020), section 3.7. Infinite outside that range; at
    α = 1, where S1 has no such form, NaN for β ≠ 0.

    **Arguments:**

    - `alpha`, `p`, `beta`: broadcast against each other.

    **Returns:** an array of the broadcast shape.

    **Raises:** `ValueError` for a concrete `alpha` outside (0, 2] or `beta` outside [-1, 1] (a
    traced one gives NaN), or what is no number.
    """
    return _moment(*law_arguments(alpha=alpha, p=p, beta=beta))


@jax.jit
def _moment(
    a: Float[Array, "..."], p_: Float[Array, "..."], b: Float[Array, "..."]
) -> Float[Array, "..."]:
    a, p_, b = aligned(a, p_, b)
    gaussian = a == 2
    finite = (p_ > -1) & ((p_ < a) | gaussian)
    q = jnp.where(finite, p_, 0.0)
    # At α = 2 the two gamma functions cancel; they have poles for p ≥ 2.
    r = jnp.where(gaussian & (q >= 2), 0.0, q)
    log_ratio = gammaln(1 - r / a) - gammaln(1 - r / 2)
    value = jnp.exp(q * jnp.log(2.0).astype(q.dtype) + gammaln((1 + q) / 2) + log_ratio)
    value = value / jnp.sqrt(jnp.asarray(jnp.pi, value.dtype))
    # arctan ζ, and 1 + ζ² = 1 / cos² of it
    cosine = jnp.sin(jnp.pi / 2 * (1 - a))
    safe = jnp.where(a == 1, 1.0, cosine)
    zeta = valid_beta(b) * _sin_half_pi(a) / safe
    angle = jnp.arctan(zeta)
    skew = jnp.exp(q / (2 * a) * jnp.log1p(zeta * zeta)) * jnp.cos(q / a * angle)
    value = value * jnp.where((a == 1) & (b != 0), jnp.nan, jnp.where(b == 0, 1.0, skew))
    return mask_alpha(jnp.where(finite, value, jnp.inf), a)
