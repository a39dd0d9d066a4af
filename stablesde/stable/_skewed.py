"""Skewed stable numbers, continuous through α = 1.

With U the angle, E the exponential, ε = 1 - α and ζ = β tan(πα/2) = β cot(πε/2), the formula of
Chambers, Mallows and Stuck (1976) in the form of Weron (1996) can be written without the angle
arctan(ζ)/α, which is where it breaks down at α = 1:

    Z₁ = (sin αU + ζ cos αU) / cos U · B^{ε/α},   B = (cos εU + ζ sin εU) / (E cos U),

and Nolan's continuous S0 variable is Z₁ - ζ = Q P + ζ (P - 1), P = B^{ε/α},
Q = (sin αU + ζ (cos αU - cos U)) / cos U. Each ζ is multiplied by something of order ε, so with
sinc(·) and expm1(y)/y every term is smooth in ε, and exact at ε = 0.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde.stable import _elementary as el
from stablesde.stable._bits import Words
from stablesde.stable._sampling import angle_and_exponential

_HALF_PI = np.pi / 2


def _expm1_ratio(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """(e^y - 1) / y."""
    small = jnp.abs(y) < 1e-3
    safe = jnp.where(small, 1.0, y)
    series = 1 + y / 2 * (1 + y / 3 * (1 + y / 4))
    return jnp.where(small, series, jnp.expm1(safe) / safe)


def skewed_from_words(
    words: Words,
    alpha: Float[Array, "..."],
    beta: Float[Array, "..."],
    continuous: bool,
    dtype: jnp.dtype,
) -> Float[Array, "..."]:
    """Standard S0 (`continuous`) or S1 numbers from pairs of random words."""
    # Kept, as are the sines below: what each use would compute again makes XLA of JAX 0.12 compile
    # for minutes.
    modulus, v, e = jax.lax.optimization_barrier(angle_and_exponential(words, dtype))
    sign = jnp.where((words[1] >> jnp.uint32(31)) == 0, 1.0, -1.0).astype(dtype)
    u = sign * _HALF_PI * modulus  # the angle, in (-π/2, π/2)
    cos_u, sin_u = jax.lax.optimization_barrier((el.sin_quarter(v), sign * el.sin_quarter(modulus)))
    eps = 1 - alpha
    side = jnp.where(beta >= 0, 1.0, -1.0).astype(dtype)
    size = side * beta  # |β|, with the right derivative at 0
    # π/2 + side U, in quarter turns, precise where it is small.
    a = jnp.where(side * sign > 0, 1 + modulus, v)
    one_sided = a * jnp.sinc(eps * a / 2) / jnp.sinc(eps / 2)
    numerator = (1 - size) * jnp.cos(eps * u) + size * one_sided
    log_b = el.log(jnp.maximum(numerator, jnp.finfo(dtype).tiny) / e) - el.log(cos_u)
    y = eps / alpha * log_b
    # ζ ε = β ε cot(πε/2), finite at ε = 0.
    zeta_eps = beta * jnp.cos(_HALF_PI * eps) / (_HALF_PI * jnp.sinc(eps / 2))
    turn = jnp.sinc(eps * u / np.pi)  # sin(εU) / (εU)
    half_turn = jnp.sinc(eps * u / (2 * np.pi))
    sin_alpha = sin_u * jnp.cos(eps * u) - cos_u * jnp.sin(eps * u)
    largest = math.log(float(jnp.finfo(dtype).max)) - 2  # np.log gives a double, which promotes
    if not continuous:
        ray = size * jnp.sin(alpha * _HALF_PI * a) * side / jnp.cos(_HALF_PI * alpha)
        q = ((1 - size) * sin_alpha + ray) / cos_u
        return q * jnp.exp(jnp.minimum(y, largest - jnp.log1p(jnp.abs(q))))
    # ζ (cos αU - cos U) / cos U = ζ (tan U sin εU - 2 sin²(εU/2))
    bend = sin_u / cos_u * turn - eps * u / 2 * half_turn**2
    q = sin_alpha / cos_u + zeta_eps * u * bend
    y = jnp.minimum(y, largest - jnp.log1p(jnp.abs(q)))
    log_b = jnp.where(eps == 0, log_b, y * alpha / jnp.where(eps == 0, 1, eps))
    return q * jnp.exp(y) + zeta_eps * log_b / alpha * _expm1_ratio(y)
