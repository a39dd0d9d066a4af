"""Fourier inversion of exp(-|u|^α) on two contours, by fixed quadratures: the symmetric law.

    f(x) = (1/π) Re ∫ exp(ixu - u^α) du,      P(Z > x) = -(1/π) Im ∫ exp(ixu) expm1(-u^α) du/u

over any path from 0 to infinity in the sector where the integrand decays. Nothing is singular at
α = 1 (unlike in Zolotarev's integral, whose exponents hold 1/(α-1)), so one form serves every α.

- x < 1: the ray of angle φ(α) halfway into the sector, by the trapezoidal rule in log|u|, with a
  double-exponential map towards 0 (Takahasi and Mori 1974).
- x ≥ 1: in v = xu, first up the imaginary axis, where the integrand is the positive function
  exp(-v - X C v^α) sin(X S v^α), X = x^-α, C + iS = exp(iπα/2); this part has full *relative*
  accuracy however small the tail is. For α > 1 it grows again beyond the saddle
  V = (α X |C|)^(-1/(α-1)), so the path turns there: the second piece is the Gaussian-like part of
  the law, again without cancellation. Both by Gauss-Legendre.

The paths are held fixed in derivatives: the integral does not depend on them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from stablesde.stable._varying import vary_with

Kind = Literal["density", "survival"]
_X_SPLIT = 1.0
_PHASE_CAP = 12.0  # radians on the imaginary axis; beyond, the quadrature would undersample
_POWER = 4  # v = V t^4 / min(α, 1) makes v^α smooth at 0


@dataclass(frozen=True)
class _Rule:
    """Node counts and -log tolerance; measured errors in docs/stable.md."""

    ray: int
    axis: int
    turn: int
    depth: float  # log-depth of the double-exponential map at the left end
    shift: float
    tolerance: float


_RULES = {
    np.dtype("float64"): _Rule(ray=56, axis=44, turn=36, depth=3.55, shift=-1.5, tolerance=39.0),
    np.dtype("float32"): _Rule(ray=26, axis=22, turn=18, depth=2.7, shift=-1.1, tolerance=19.0),
}


def rule_for(dtype: np.dtype) -> _Rule:
    # Half precisions are computed with the float32 rule.
    return _RULES.get(np.dtype(dtype), _RULES[np.dtype("float32")])


def widened(value: Array) -> Array:
    """`value` with a leading axis for nodes, unless it is a scalar."""
    return value[None] if value.ndim else value


def nodes_like(values: np.ndarray, alpha: Array) -> Array:
    """Nodes along a new leading axis of what depends on α alone."""
    return jnp.asarray(values.reshape((-1,) + (1,) * alpha.ndim), alpha.dtype)


def sum_nodes(term: Callable[..., Array], x: Array, alpha: Array, *nodes: Array) -> Array:
    """Σ over the leading axis of `nodes` of term(*node), each of the shape of x and α together.

    A scan holds one value per point; a sum over an array of (node, point) is not fused by XLA on
    the CPU, and would take gigabytes for a million points.
    """
    zero = vary_with(jnp.zeros(jnp.broadcast_shapes(x.shape, alpha.shape), x.dtype), x, alpha)
    step = lambda total, node: (total + term(*node), None)  # noqa: E731
    return jax.lax.scan(step, zero, nodes, unroll=2)[0]


@lru_cache
def legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2  # on (0, 1)


def cos_sin_half_pi(alpha: Array) -> tuple[Array, Array]:
    """cos(πα/2) and sin(πα/2), each with full relative accuracy at its zero."""
    s = jnp.sin(jnp.pi / 2 * jnp.where(alpha > 1, 2 - alpha, alpha))
    return jnp.sin(jnp.pi / 2 * (1 - alpha)), s


def ray_part(x: Array, alpha: Array, kind: Kind) -> Array:
    """f(x) or P(Z > x) for 0 ≤ x < 1."""
    rule = rule_for(x.dtype)
    x_like, alpha = alpha, widened(alpha)
    a = jax.lax.stop_gradient(alpha)
    # The sector of decay is (0, π/(2α)) ∩ (0, π); for α > 1 it reaches a little below the axis,
    # since x < 1, and the best ray lies lower.
    phi = jnp.where(a > 1, jnp.pi / (4 * a * a), jnp.minimum(jnp.pi / (4 * a), jnp.pi / 2))
    last = jnp.log(rule.tolerance / jnp.cos(a * phi)) / a - rule.shift
    h = (last + rule.depth) / (rule.ray - 1)
    tau = h * nodes_like(np.arange(rule.ray), x_like) - rule.depth
    y = rule.shift + tau - jnp.exp(-tau)
    dy = h * (1 + jnp.exp(-tau))
    modulus = jnp.exp(alpha * y)  # |u^α|
    r_cos, r_sin = jnp.exp(y) * jnp.cos(phi), jnp.exp(y) * jnp.sin(phi)
    weight = dy * jnp.exp(-modulus * jnp.cos(alpha * phi))
    phase = modulus * jnp.sin(alpha * phi)

    def wave(w: Array, c: Array, s: Array, p: Array) -> Array:
        return w * jnp.exp(-x * s) * jnp.cos(x * c + p)

    if kind == "density":
        nodes = (weight * jnp.exp(y), r_cos, r_sin, phi - phase)
        return sum_nodes(wave, x, x_like, *nodes) / jnp.pi
    nodes = (weight, r_cos, r_sin, -phase - jnp.pi / 2)
    total = sum_nodes(wave, x, x_like, *nodes) + jnp.sum(weight * jnp.sin(phase), axis=0)
    return 0.5 - total / jnp.pi


def _sinc(angle: Array) -> Array:
    small = angle < 1e-3
    safe = jnp.where(small, 1.0, angle)
    return jnp.where(small, 1 - angle * angle / 6, jnp.sin(safe) / safe)


def _turning_point(log_x: Array, alpha: Array, tolerance: float) -> tuple[Array, Array, Array]:
    """V, the end of the axis piece; the length of the other one; whether that one counts."""
    c, s = cos_sin_half_pi(alpha)
    log_s = jnp.log(jnp.maximum(s, math.exp(-tolerance)))
    # exp(-limit) is negligible against the integral, about S X / x (S / x here, X outside).
    limit = tolerance + (1 + alpha) * log_x - log_s
    upper = alpha > 1
    a = jnp.where(upper, alpha, 1.5)
    c_ = jnp.where(upper, -c, 0.5)
    log_saddle = (a * log_x - jnp.log(a * c_)) / (a - 1)
    log_cap = log_x + (math.log(_PHASE_CAP) - log_s) / a
    log_v = jnp.minimum(jnp.minimum(log_saddle, log_cap), jnp.log(limit))
    v = jnp.where(upper, jnp.exp(log_v), limit)
    length = jnp.exp(log_x + math.log(tolerance) / a) + (2 - a) * v / jnp.tan(jnp.pi / (2 * a))
    # The tilted part of the path decays like exp(-length sin ψ) whatever x is.
    length = jnp.minimum(length, limit / jnp.maximum(jnp.sin((2 - a) / 2), 1e-6))
    height = v - c_ * jnp.exp(a * (jnp.log(v) - log_x))
    return v, length, upper & (height < 0.95 * limit)


def tail_part(log_x: Array, alpha: Array, kind: Kind) -> Array:
    """π x^(1+α) f(x), or π x^α P(Z > x), for x ≥ 1."""
    rule = rule_for(log_x.dtype)
    fixed = jax.lax.stop_gradient((log_x, alpha))
    v_end, length, keep = _turning_point(*fixed, rule.tolerance)
    c, s = cos_sin_half_pi(alpha)
    axis = s * axis_piece(log_x, alpha, (c, s), v_end, kind)
    return axis + jnp.where(keep, _turned_piece(log_x, alpha, v_end, length, keep, kind), 0.0)


def axis_piece(
    log_x: Array, alpha: Array, direction: tuple[Array, Array], v_end: Array, kind: Kind
) -> Array:
    """∫ exp(-v - C (v/x)^α) v^α sinc(S (v/x)^α) dv (or dv/v) from 0 to v_end; C, S: `direction`."""
    c, s = direction
    t, w = legendre(rule_for(log_x.dtype).axis)
    wide = widened(alpha)
    power = _POWER / jnp.minimum(jax.lax.stop_gradient(wide), 1.0)
    log_t = power * nodes_like(np.log(t), alpha)
    end_alpha, shrink = jnp.exp(alpha * jnp.log(v_end)), jnp.exp(-alpha * log_x)

    def term(t_power: Array, t_alpha: Array, w: Array) -> Array:
        v = v_end * t_power
        v_alpha = end_alpha * t_alpha
        scaled = v_alpha * shrink
        value = v_alpha * jnp.exp(-v - c * scaled) * _sinc(s * scaled) * w
        return value * v if kind == "density" else value

    weight = nodes_like(w / t, alpha) * power  # dv / v
    return sum_nodes(term, log_x, alpha, jnp.exp(log_t), jnp.exp(wide * log_t), weight)


def _turned_piece(
    log_x: Array, alpha: Array, v_end: Array, length: Array, keep: Array, kind: Kind
) -> Array:
    """The integral from i v_end outwards, at an angle ψ above the horizontal, times x^α."""
    t, w = legendre(rule_for(log_x.dtype).turn)
    psi = (2 - jax.lax.stop_gradient(alpha)) / 2
    cos_psi, sin_psi = jnp.cos(psi), jnp.sin(psi)

    def term(t: Array, w: Array) -> Array:
        re, im = length * t * cos_psi, v_end + length * t * sin_psi
        log_modulus = 0.5 * jnp.log(re * re + im * im)
        theta = jnp.arctan2(im, re)
        modulus = jnp.exp(alpha * (log_modulus - log_x))
        exponent = alpha * log_x - im - modulus * jnp.cos(alpha * theta)
        angle = re - modulus * jnp.sin(alpha * theta) + psi
        if kind == "survival":  # -Im(· / v) instead of Re(·)
            exponent, angle = exponent - log_modulus, angle - theta + jnp.pi / 2
        return w * jnp.exp(jnp.where(keep, exponent, 0.0)) * jnp.cos(angle)

    scalar = jnp.zeros((), log_x.dtype)
    return length * sum_nodes(term, log_x, alpha, nodes_like(t, scalar), nodes_like(w, scalar))


def split(x: Array) -> tuple[Array, Array, Array]:
    """Whether |x| < 1, an argument for `ray_part`, and one for `tail_part`, both always valid."""
    inner = x < _X_SPLIT
    largest = float(jnp.finfo(x.dtype).max) ** 0.9
    return inner, jnp.where(inner, x, 0.5), jnp.log(jnp.clip(x, _X_SPLIT, largest))
