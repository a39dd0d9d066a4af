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
from typing import NamedTuple

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


class _Parts(NamedTuple):
    """What S0 and S1 share; ε = 1 - α, U the angle."""

    sin_u: Array
    cos_u: Array
    u: Array
    size: Array  # |β|
    side: Array  # its sign
    a: Array  # π/2 + side U, in quarter turns, precise where it is small
    log_b: Array
    sin_alpha: Array


def _parts(words: Words, alpha: Array, beta: Array, dtype: jnp.dtype) -> _Parts:
    # Kept, as are the sines: what each use would compute again makes XLA of JAX 0.12 compile for
    # minutes.
    modulus, v, e = jax.lax.optimization_barrier(angle_and_exponential(words, dtype))
    sign = jnp.where((words[1] >> jnp.uint32(31)) == 0, 1.0, -1.0).astype(dtype)
    u = sign * _HALF_PI * modulus  # in (-π/2, π/2)
    cos_u, sin_u = jax.lax.optimization_barrier((el.sin_quarter(v), sign * el.sin_quarter(modulus)))
    eps = 1 - alpha
    side = jnp.where(beta >= 0, 1.0, -1.0).astype(dtype)
    size = side * beta  # with the right derivative at 0
    a = jnp.where(side * sign > 0, 1 + modulus, v)
    one_sided = a * jnp.sinc(eps * a / 2) / jnp.sinc(eps / 2)
    cos_eps = jnp.cos(eps * u)
    # Sealed: programs differ in what they fuse with a sum, and so in its last bit.
    numerator = el.sealed((1 - size) * cos_eps, words) + el.sealed(size * one_sided, words)
    log_b = el.log(jnp.maximum(numerator, jnp.finfo(dtype).tiny) / e) - el.log(cos_u)
    sin_alpha = el.sealed(sin_u * cos_eps, words) - el.sealed(cos_u * jnp.sin(eps * u), words)
    return _Parts(sin_u, cos_u, u, size, side, a, log_b, sin_alpha)


def _largest_log(dtype: jnp.dtype) -> float:
    return math.log(float(jnp.finfo(dtype).max)) - 2  # np.log gives a double, which promotes


def s0_from_words(
    words: Words, alpha: Float[Array, "..."], beta: Float[Array, "..."], dtype: jnp.dtype
) -> Float[Array, "..."]:
    """Standard S0 numbers from pairs of random words."""
    of, eps = _parts(words, alpha, beta, dtype), 1 - alpha
    y = eps / alpha * of.log_b
    # ζ ε = β ε cot(πε/2), finite at ε = 0.
    zeta_eps = beta * jnp.cos(_HALF_PI * eps) / (_HALF_PI * jnp.sinc(eps / 2))
    turn = jnp.sinc(eps * of.u / np.pi)  # sin(εU) / (εU)
    half_turn = jnp.sinc(eps * of.u / (2 * np.pi))
    # ζ (cos αU - cos U) / cos U = ζ (tan U sin εU - 2 sin²(εU/2))
    tan_u = of.sin_u / of.cos_u
    bend = el.sealed(tan_u * turn, words) - el.sealed(eps * of.u / 2 * half_turn**2, words)
    q = of.sin_alpha / of.cos_u + el.sealed(zeta_eps * of.u * bend, words)
    y = jnp.minimum(y, _largest_log(dtype) - jnp.log1p(jnp.abs(q)))
    log_b = jnp.where(eps == 0, of.log_b, y * alpha / jnp.where(eps == 0, 1, eps))
    shift = el.sealed(zeta_eps * log_b / alpha * _expm1_ratio(y), words)
    return el.sealed(q * jnp.exp(y), words) + shift


def s1_from_words(
    words: Words,
    alpha: Float[Array, "..."],
    beta: Float[Array, "..."],
    log_scale: Float[Array, "..."],
    dtype: jnp.dtype,
) -> Float[Array, "..."]:
    """S1 numbers, to be multiplied by the scale.

    S1 has no limit at α = 1; there it is S0, with the shift (2/π) β log(scale).
    """
    of, at_one = _parts(words, alpha, beta, dtype), alpha == 1
    away = jnp.where(at_one, 1.5, alpha)
    ray = of.size * jnp.sin(away * _HALF_PI * of.a) * of.side / jnp.cos(_HALF_PI * away)
    q = (el.sealed((1 - of.size) * of.sin_alpha, words) + el.sealed(ray, words)) / of.cos_u
    y = (1 - alpha) / alpha * of.log_b
    power = q * jnp.exp(jnp.minimum(y, _largest_log(dtype) - jnp.log1p(jnp.abs(q))))
    # At α = 1 the numerator of B is 1 + 2βU/π, and log B what is left of (B^ε - 1) / ε.
    numerator = el.sealed(1 - of.size, words) + el.sealed(of.size * of.a, words)
    shift = el.sealed(2 / math.pi * beta * (of.log_b + log_scale), words)
    return jnp.where(at_one, el.sealed(numerator * of.sin_u / of.cos_u, words) + shift, power)
