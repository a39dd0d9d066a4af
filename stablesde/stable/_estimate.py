"""Estimators of the stability index α, each with an interval and a stated domain of validity.

Two kinds. Hill's estimator uses the largest absolute values only, so it holds for every sample
whose *tail* is that of a stable law (a norm, or a stable number plus a bounded drift). The others
use all of the sample and hold for samples *of* a symmetric stable law.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import (
    as_choice,
    as_count,
    as_host_reals,
    as_number,
    as_reals,
    full_products,
    is_concrete,
)
from stablesde.stable._blocks import check_blocks, over_blocks
from stablesde.stable._domain import number_text, observations, precise, require_spread
from stablesde.stable._ecf import ecf_fit, fit_test
from stablesde.stable._likelihood import rejects, symmetric_fit, verdict_text
from stablesde.stable._mcculloch import mcculloch
from stablesde.stable._padding import Count, mean, number, padded, selected, total, weights

# A sample whose median is this many interquartile ranges from 0 is shifted: at 15, Hill's 95 %
# interval covers in 13 % of samples.
_FARTHEST = 5.0

_Interval = tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]  # low, mid, high
Method = Literal["hill", "log-moment", "quantile", "ecf", "mle"]


class TailIndex(eqx.Module):
    """An estimate of the stability index, with its interval. Frozen; a pytree.

    - `estimate`, `lower`, `upper`: scalars. Except for Hill's they are at most 2, the largest index
      that a stable law can have; the law at an endpoint equal to 2 is Gaussian.
    - `level`: confidence level of the interval, e.g. 0.95.
    - `method`: which estimator.
    - `num_used`: how many of the observations enter (k for Hill's estimator; all, where a traced
      mask tells which).
    - `p_value`: of `goodness_of_fit`, for the law that all methods but Hill's assume of the whole
      sample (None for Hill's, and for intervals from blocks). Where it is small the interval means
      nothing, however tight: see `rejected`.
    """

    estimate: Float[Array, ""]
    lower: Float[Array, ""]
    upper: Float[Array, ""]
    level: float = eqx.field(static=True, default=0.95)
    method: str = eqx.field(static=True, default="")
    num_used: int = eqx.field(static=True, default=0)
    p_value: Float[Array, ""] | None = None

    def __repr__(self) -> str:
        estimate, lower, upper = map(number_text, (self.estimate, self.lower, self.upper))
        traced = isinstance(self.estimate, jax.core.Tracer)
        where = "" if traced or not np.all(self.at_boundary) else ", at the boundary"
        law = verdict_text(self.p_value)
        return f"TailIndex({estimate} [{lower}, {upper}], {100 * self.level:.6g} %{where}{law})"

    @property
    def rejected(self) -> Array:
        """Whether the data contradict the law that the interval assumes (p < 0.001)."""
        return rejects(self.p_value)

    @property
    def at_boundary(self) -> Array:
        """Whether the estimate is 2, the largest index, so that the interval is one-sided."""
        return (self.estimate >= 2 - 1e-4) & (self.method != "hill")

    def contains(self, alpha: ArrayLike) -> Array:
        """Whether `alpha` lies in the interval. Raises `ValueError` unless it is a number."""
        (index,) = as_reals(alpha=alpha)
        return (self.lower <= index) & (index <= self.upper)


def normal_quantile(level: float) -> float:
    """z with P(|N(0, 1)| < z) = level."""
    return float(scipy.special.ndtri(0.5 + level / 2))


def default_hill_k(n: float) -> int:
    """Number of upper order statistics: (n/50)^(2/3), at least 10.

    The tail of |Z| is c x^-α (1 + D x^-α + …), D = -Γ(2α) cos(πα/2) / Γ(α), so the bias of Hill's
    estimator is D/(2c) · k/n of α, against a standard error of α/√k: their ratio is
    D/(2c) · k^(3/2)/n. D/c is 0.75, 4.0, 11, 21, 50 at α = 1.2, 1.5, 1.7, 1.8, 1.9, so this k keeps
    the bias below 0.2 standard errors for α ≤ 1.8; at α = 1.9 it is 0.5 to first order and 0.6 in
    simulations. Source of the expansion: Zolotarev (1986), (2.4.8); of the bias: Hall (1982).

    **Arguments:** `n`, the size of the sample. **Returns:** k.
    **Raises:** `ValueError` unless n is a finite number of at least 0.
    """
    n = as_number("n", n, 0)
    return max(10, int((n / 50) ** (2 / 3)))


@partial(jax.jit, static_argnames="k")
def _hill(x: Float[Array, " n"], ends: Float[Array, " 2"], k: int) -> _Interval:
    """`ends`: the quantiles of the Gamma(k) law, which is that of α · total for a Pareto tail."""
    top, _ = jax.lax.top_k(jnp.abs(x), k + 1)
    total = jnp.sum(jnp.log(top[:k] / top[k]))
    return ends[0] / total, k / total, ends[1] / total


def _log_moment(x: Float[Array, " n"], count: Count, z: Float[Array, ""]) -> _Interval:
    logs = jnp.log(jnp.abs(x))
    squares = total((logs - mean(logs, count)) ** 2, count)
    variance = squares / (number(x, count) - 1)  # π²/12 + π²/(6 α²)

    def index(v: Float[Array, ""]) -> Float[Array, ""]:
        # v at α = 2 is π²/8; below it no stable law fits and the nearest is Gaussian.
        inverse_square = jnp.maximum(6 / jnp.pi**2 * v - 0.5, 0.25)
        return jax.lax.rsqrt(inverse_square)

    estimate = index(variance)
    kappa2 = jnp.pi**2 * (1 / 12 + 1 / (6 * estimate**2))
    kappa4 = jnp.pi**4 * (7 / 120 + 1 / (15 * estimate**4))
    half = z * jnp.sqrt((kappa4 + 2 * kappa2**2) / number(x, count))
    # One-sided where the estimate is at the boundary, from the variance there.
    least = jnp.maximum(variance, jnp.pi**2 / 8)
    return index(least + half), estimate, index(variance - half)


def _ecf(x: Float[Array, " n"], count: Count, z: Float[Array, ""]) -> _Interval:
    fit = ecf_fit(x, count)
    return _clipped(fit.alpha, z * jnp.sqrt(fit.variance / number(x, count)))


def _mle(x: Float[Array, " n"], count: Count, z: Float[Array, ""]) -> _Interval:
    result = symmetric_fit(x, count)
    variance = result.covariance[0, 0]
    # Where the likelihood has no curvature, at its boundary above all, nothing is excluded.
    half = jnp.where(variance > 0, z * jnp.sqrt(jnp.where(variance > 0, variance, 1)), jnp.inf)
    return _clipped(result.alpha, half)


def _clipped(alpha: Float[Array, ""], half: Float[Array, ""]) -> _Interval:
    # One-sided where the estimate is at the boundary: its interval keeps a width.
    mid = jnp.clip(alpha, 0.0, 2.0)
    low, high = jnp.clip(mid - half, 0.0, 2.0), jnp.clip(mid + half, 0.0, 2.0)
    return low, mid, high


_LAW_METHODS: dict[str, Callable[[Float[Array, " n"], Count, Float[Array, ""]], _Interval]] = {
    "log-moment": _log_moment,
    "quantile": mcculloch,
    "ecf": _ecf,
    "mle": _mle,
}
METHODS = ("hill", *_LAW_METHODS)
_SHIFTED = ("quantile", "ecf", "mle")  # no shift changes them


@partial(jax.jit, static_argnames="method")
def _by_law(
    x: Float[Array, " n"], count: Count, z: Float[Array, ""], method: str
) -> tuple[_Interval, Float[Array, ""]]:
    """The interval of a `padded` sample, and the p-value of the law that it assumes."""
    centre, free = (jnp.zeros((), x.dtype), (0, 1)) if method == "log-moment" else (None, (0, 1, 2))
    test = fit_test(x, count, None, centre, None, free)
    return _LAW_METHODS[method](x, count, z), test.p_value


@partial(jax.jit, static_argnames=("method", "k", "resamples"))
def _by_blocks(
    x: Float[Array, " n"], count: Count, key: PRNGKeyArray, length: Array, ends: Float[Array, " 2"],
    method: str, k: int | None, resamples: int,
) -> _Interval:  # fmt: skip
    """The estimate of a `padded` sample, and the quantiles of those of its resamples."""

    def estimate(x: Float[Array, " n"]) -> Float[Array, ""]:
        if method == "hill":
            return _hill(x * weights(x, count), jnp.ones(2, x.dtype), k)[1]
        return _LAW_METHODS[method](x, count, jnp.ones((), x.dtype))[1]

    low, high = jnp.quantile(over_blocks(estimate, x, count, key, length, resamples), ends)
    return low, estimate(x), high


@full_products
def tail_index(
    x: Any,
    method: Method = "hill",
    *,
    level: float = 0.95,
    k: int | None = None,
    where: ArrayLike | None = None,
    block_length: int | None = None,
    key: PRNGKeyArray | None = None,
    resamples: int = 200,
) -> Any:
    r"""Estimates the stability index of a sample, with an interval of confidence `level`.

    | method | holds for | interval |
    |---|---|---|
    | `"hill"` | any sample with the tail of a stable law, α ≤ 1.8 | exact for a Pareto tail |
    | `"log-moment"` | symmetric stable about 0, any scale | delta method, exact cumulants |
    | `"quantile"` | symmetric stable, any scale and location | delta method, exact densities |
    | `"ecf"` | symmetric stable, any scale and location, 0.5 ≤ α ≤ 2 | generalised least squares |
    | `"mle"` | symmetric stable, any scale and location, 0.5 ≤ α < 2 | observed information |

    Where the observed information is not positive, the interval of `"mle"` is all of [0, 2].
    At α = 2 itself all but Hill's have a boundary problem: the interval is then one-sided, up to 2,
    and `at_boundary` says so. For Hill's estimator above α = 1.8 the second-order term of the tail
    shows, above 1.9 it dominates at every feasible k, and the estimate is biased upwards, through
    2: an interval above 2 is then no evidence of a finite variance. Hill's estimator is not
    invariant under shifts: a sample far from 0 beside its spread, such as prices, is refused.

    Sources: Hill (1975); Nikias and Shao (1995), section 5.7 (log-moment);
    McCulloch (1986), with exact quantiles in place of his tables; Koutrouvelis (1980), with the
    weights of his 1981 paper.

    **Arguments:**

    - `x`: observations, any shape, independent, finite (and non-zero for `"log-moment"`).
    - `method`: see above.
    - `level`: confidence level.
    - `k`: for `"hill"`, how many upper order statistics (default: (n/50)^(2/3) of n,
      at least 10).
    - `where`: bools of the shape of x: which entries are observations (None: all). So zeros that
      mean nothing, as the gradients of dead inputs are, are left out at a fixed shape, `x != 0`.
    - `block_length`, with a `key`: the observations depend on their neighbours, in the order of
      `x.ravel()`, over less than this length. The interval then holds the quantiles of `resamples`
      estimates, each of a sample of blocks (circular block bootstrap, Politis and Romano 1992).

    Of a dictionary or an `eqx.Module`, such as gradients or weights, every array is taken apart.

    **Returns:** a `TailIndex`; look at `rejected`; for a tree one per array, None for one of fewer
    than 20 numbers. Works under `jit` and `vmap`, where data are
    not inspected: non-finite ones give NaN.

    **Raises:** `ValueError` for a `where` of another shape, fewer than 5 blocks, blocks without
    a key or too few resamples for the level, an unknown method, `k` outside [2, n), `k` given
    for another method than Hill's, fewer than 20 observations, a `level` outside (0, 1), or
    concrete data that are not finite, have too many equal values for the method, or for Hill's
    a median of over five times the interquartile range.
    """
    level = as_number("level", level, 0, 1, "()")
    as_choice("method", method, METHODS)
    if isinstance(x, (Mapping, eqx.Module)):
        if where is not None or block_length is not None:
            raise ValueError("x is a tree: where and block_length are for one array.")

        def of_leaf(leaf: Any) -> Any:
            return tail_index(leaf, method, level=level, k=k) if np.size(leaf) >= 20 else None

        arrays = eqx.filter(x, eqx.is_inexact_array)
        if not jax.tree.leaves(arrays):
            raise ValueError("x is a tree without arrays of numbers.")
        return jax.tree.map(of_leaf, arrays)
    if method in _SHIFTED and where is None:
        x = precise(x)[0]
    chosen, count = selected(x, where)
    data = observations(chosen, 20, "a tail index")
    if method == "hill":
        k = default_hill_k(data.size) if k is None else as_count("k", k)
        if not 2 <= k < data.size:
            raise ValueError(f"k must lie in [2, {data.size}), the sample size, got {k}")
        _check_top(data, k)
    elif k is not None:
        raise ValueError(f"k belongs to method='hill', not to {method!r}")
    else:
        _check_body(data, method)
    blocks = check_blocks(data.size, block_length, key, resamples, level)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    used = data.size if k is None else k
    if blocks is not None:
        length, ends = np.asarray(blocks[0], np.int32), tails.astype(data.dtype)
        many = _by_blocks(*padded(data, count), key, length, ends, method, k, blocks[1])
        return TailIndex(many[1], many[0], many[2], level, method, used)
    if k is not None:
        data = data if count is None else data * weights(data, count)
        ends = scipy.special.gammaincinv(k, tails).astype(data.dtype)
        lower, estimate, upper = _hill(data, ends, k)
        return TailIndex(estimate, lower, upper, level, method, used)
    z: Any = np.asarray(normal_quantile(level), data.dtype)
    (lower, estimate, upper), p_value = _by_law(*padded(data, count), z, method)
    return TailIndex(estimate, lower, upper, level, method, used, p_value)


def block_tail_index(x: ArrayLike, *, block: int | None = None, level: float = 0.95) -> TailIndex:
    r"""The index from sums of blocks: $1/\alpha = E(\log\|Y\| - \log\|X\|)/\log K$.

    Y is the sum of K observations, with the law of $K^{1/\alpha} X$ for any strictly stable law
    (symmetric ones; loc 0 in S1 for α ≠ 1), in any dimension. Unbiased in 1/α; the interval is the
    normal one over the blocks. Sources: Mohammadi, Mohammadpour and Ogata (2015); for gradients of
    neural networks Şimşekli, Sagun and Gürbüzbalaban (2019).

    **Arguments:**

    - `x`: observations, shape (n,), or (n, d) for vectors; independent, not 0.
    - `block`: K, the size of a block; by default the integer part of √n.
    - `level`: confidence level.

    **Returns:** a `TailIndex`, at most 2. Works under `jit` and `vmap`.

    **Raises:** `ValueError` for fewer than 20 observations, a `block` outside [2, n/4], a `level`
    outside (0, 1), or concrete data that are not finite or have a vector that is 0.
    """
    level = as_number("level", level, 0, 1, "()")
    (data,) = as_host_reals(x=x)
    if data.ndim not in (1, 2) or data.shape[0] < 20:
        raise ValueError(
            f"x must have at least 20 observations, as shape (n,) or (n, d), got {data.shape}."
        )
    observations(data, 20, "a tail index")
    data = data.reshape(data.shape[0], -1)
    size = int(data.shape[0] ** 0.5) if block is None else as_count("block", block)
    if not 2 <= size <= data.shape[0] // 4:
        raise ValueError(f"block must lie in [2, n/4 = {data.shape[0] // 4}], got {size}.")
    if is_concrete(data) and not np.all(np.any(np.asarray(data) != 0, axis=1)):
        raise ValueError("x: the logarithms need observations other than 0; leave them out.")
    z: Any = np.asarray(normal_quantile(level), data.dtype)
    lower, estimate, upper = _block_sums(data, z, size)
    return TailIndex(estimate, lower, upper, level, "block", data.shape[0])


@partial(jax.jit, static_argnames="size")
def _block_sums(x: Float[Array, "n d"], z: Float[Array, ""], size: int) -> _Interval:
    count = x.shape[0] // size
    x = x[: count * size].reshape(count, size, -1)
    # Sums of numbers that may be next to the largest one, in units of that block's largest.
    unit = jnp.max(jnp.abs(x), axis=(1, 2), keepdims=True)

    def log_norm(v: Float[Array, "... d"]) -> Float[Array, "..."]:
        size = jnp.abs(v)
        most = jnp.max(size, axis=-1, keepdims=True)
        if v.shape[-1] == 1:
            return jnp.log(most[..., 0])
        squares = jnp.square(size / most)  # of which one is 1: nothing is lost
        return jnp.log(most[..., 0]) + 0.5 * jnp.log(jnp.sum(squares, axis=-1))

    total = jnp.log(unit[:, 0, 0]) + log_norm(jnp.sum(x / unit, axis=1))
    gains = total - jnp.mean(log_norm(x), axis=1)
    gains = gains / math.log(size)
    inverse, half = jnp.mean(gains), z * jnp.std(gains, ddof=1) / math.sqrt(count)
    low, mid, high = (1 / jnp.maximum(v, 0.5) for v in (inverse + half, inverse, inverse - half))
    return low, mid, high


def _check_top(data: Float[Array, " n"], k: int) -> None:
    """Raises `ValueError` unless the k + 1 largest concrete moduli are positive and differ."""
    if not is_concrete(data):
        return
    sizes = np.abs(np.asarray(data))
    top = np.partition(sizes, data.size - k - 1)[data.size - k - 1 :]
    if not 0 < top.min() < top.max():
        raise ValueError(
            f"Hill's estimator needs positive, different moduli among the k + 1 = {k + 1} largest, "
            f"which run from {top.min():g} to {top.max():g}: choose another k, or leave out values "
            "that are cut off or filled in"
        )
    low, middle, high = np.quantile(np.asarray(data), [0.25, 0.5, 0.75])
    if abs(middle) > _FARTHEST * (high - low):
        raise ValueError(
            f"Hill's estimator is changed by shifts, and x has the median {middle:g} beside an "
            f"interquartile range of {high - low:g}: subtract a centre first, or take "
            "method='quantile', 'ecf' or 'mle', which no shift changes"
        )


def _check_body(data: Float[Array, " n"], method: str) -> None:
    """Raises `ValueError` for concrete data without logarithms, or without a spread."""
    if method != "log-moment":
        require_spread(data, f"method={method!r}")
    elif is_concrete(data) and not np.all(np.asarray(data)):
        raise ValueError(
            "method='log-moment' needs observations other than 0: leave them out with "
            "where=(x != 0), or choose another method"
        )
