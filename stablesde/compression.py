"""Pruning by column norm, and how much of the weight it loses.

`theta` has shape (n, p): its rows are the paper's columns θ^1, …, θ^n (the incoming weights of the
n hidden units). Notation of Wan, Zaidi and Şimşekli (2023), section 2: Θ^(κn) keeps the κn columns
of largest norm and sets the others to zero.
"""

import fractions

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stablesde._arguments import as_flag, as_number, as_real


def prune(theta: Float[Array, "n p"], kappa: float) -> Float[Array, "n p"]:
    """Θ^(κn): keeps the ⌊κn⌋ rows of largest Euclidean norm, the others become zero.

    **Arguments:** `theta` (n, p); `kappa`, the kept fraction in (0, 1].
    **Returns:** an array of the same shape and dtype.
    **Raises:** `ValueError` for another shape, κ out of range, or non-finite concrete entries.
    """
    theta = _checked(theta)
    kept = kept_rows(theta.shape[0], kappa)
    order = jnp.argsort(-row_sizes(theta))
    keep = jnp.zeros(theta.shape[0], bool).at[order[:kept]].set(True)
    return jnp.where(keep[:, None], theta, 0)


def kept_rows(n: int, kappa: float) -> int:
    """⌊κn⌋, where κn within rounding of an integer is that integer: 7 for κ = 0.7 and n = 10.

    The floor is the paper's. Rounding: a few units in the last place of κ's own precision, so that
    float32 0.7 keeps 7 of 10, too. Raises `ValueError` unless 0 < κ ≤ 1.
    """
    fraction = as_number("kappa, the kept fraction,", kappa, 0, 1, "(]")
    exact = fractions.Fraction(fraction) * n
    return min(int(exact * (1 + fractions.Fraction(_slack(np.asarray(kappa).dtype))) // 1), n)


def _slack(dtype: np.dtype) -> float:
    """How far κn may be off by rounding, relative to it."""
    return 4 * float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


def _kept_rows(n: int, kappa: float | Float[Array, "*k"]) -> Int[Array, "*k"]:
    """`kept_rows` for one or more κ, traced or not."""
    if not isinstance(kappa, jax.core.Tracer):
        values = np.asarray(as_real("kappa", kappa))
        counts = [kept_rows(n, k) for k in values.ravel()]
        return jnp.asarray(np.array(counts, int).reshape(values.shape))
    dtype = kappa.dtype if jnp.issubdtype(kappa.dtype, jnp.floating) else jnp.result_type(float)
    product = kappa.astype(dtype) * n
    return jnp.clip(jnp.floor(product * (1 + _slack(dtype))).astype(int), 0, n)


def compression_error(
    theta: Float[Array, "n p"], kappa: float | Float[Array, "*k"]
) -> Float[Array, "*k"]:
    """Relative error `‖Θ^(κn) - Θ‖_F / ‖Θ‖_F` of keeping the ⌊κn⌋ rows of largest norm.

    Nothing is squared before it is scaled: rows of any size, from the smallest normal number of the
    dtype to its largest, rank by their norms, and neither sum over- or underflows.

    **Arguments:** `theta` (n, p); `kappa`, one or more kept fractions in (0, 1], all answered from
    one sort. **Returns:** an array of the shape of `kappa`, 0 where theta is 0.
    **Raises:** `ValueError` as `prune`; a traced `kappa` is not checked.
    """
    theta = _checked(theta)
    n = theta.shape[0]
    sizes = jnp.sort(row_sizes(theta))

    def error(kept: Int[Array, ""]) -> Float[Array, ""]:
        # Each sum in units of its own largest term.
        top = sizes[jnp.maximum(n - kept - 1, 0)]
        discarded = jnp.where(jnp.arange(n) < n - kept, _ratio(sizes, top), 0)
        whole = _ratio(sizes, sizes[-1])
        share = jnp.sum(discarded**2) / jnp.where(sizes[-1] > 0, jnp.sum(whole**2), 1)
        return _ratio(top, sizes[-1]) * jnp.sqrt(share)

    kept = _kept_rows(n, kappa)
    return jax.vmap(error)(kept.ravel()).reshape(kept.shape)


def pruning_ratio(
    theta: Float[Array, "n p"], error: float = 0.1, *, squared: bool = True
) -> Float[Array, ""]:
    """The fraction of rows that can be removed, smallest norm first, within an error.

    With `squared` (as in the paper's experiments) the removed rows' share of the squared
    Frobenius norm stays ≤ `error`, that is `‖Θ^(κn) - Θ‖²_F ≤ error ‖Θ‖²_F`; without, the error of
    `compression_error` itself stays ≤ `error`.

    **Returns:** a fraction in [0, 1]; the paper prints percent.
    **Raises:** `ValueError` for another shape, `error` outside [0, 1), a `squared` that is no bool,
    or non-finite entries.
    """
    return jnp.mean(prunable(theta, error, squared=squared))


def prunable(
    theta: Float[Array, "n p"], error: float = 0.1, *, squared: bool = True
) -> Bool[Array, " n"]:
    """Which rows `pruning_ratio` removes, with the same arguments.

    **Returns:** a mask of shape (n,), True where removed. **Raises:** as `pruning_ratio`.
    """
    theta, squared = _checked(theta), as_flag("squared", squared)
    error = as_number("error", error, 0, 1, "[)")
    sizes = row_sizes(theta)
    order = jnp.argsort(sizes)
    squares = _ratio(sizes[order], jnp.max(sizes)) ** 2
    total = jnp.sum(squares)
    share = jnp.cumsum(squares) / jnp.where(total > 0, total, 1)
    removed = share <= (error if squared else error**2)
    if error == 0:  # a square that underflows is not a row of zeros
        removed = sizes[order] == 0
    return jnp.zeros(theta.shape[0], bool).at[order].set(removed)


def row_sizes(theta: Float[Array, "n p"]) -> Float[Array, " n"]:
    """Root mean squares of the rows: their norms but for a common factor, and never overflowing."""
    largest = jnp.max(jnp.abs(theta), -1)
    mean_square = jnp.mean(_ratio(theta, largest[:, None]) ** 2, -1)
    # The derivative of the root is infinite at 0, also where it is multiplied by 0.
    return largest * jnp.sqrt(jnp.where(largest > 0, mean_square, 1))


def _ratio(x: Float[Array, "..."], unit: Float[Array, "..."]) -> Float[Array, "..."]:
    """x / unit, 0 where the unit is 0."""
    # XLA multiplies by 1 / unit, which it flushes to 0 next to the largest number.
    shrink = jnp.where(unit > 1, 0.25, 1.0).astype(x.dtype)
    return jnp.where(unit > 0, x * shrink / jnp.where(unit > 0, unit * shrink, 1), 0)


def _checked(theta: Float[Array, "n p"]) -> Float[Array, "n p"]:
    theta = as_real("theta", theta)
    if np.ndim(theta) != 2 or 0 in np.shape(theta):
        raise ValueError(f"theta must have shape (n, p) with n, p ≥ 1, got {np.shape(theta)}.")
    theta = jnp.asarray(theta)
    if not jnp.issubdtype(theta.dtype, jnp.floating):
        theta = theta.astype(float)
    if not isinstance(theta, jax.core.Tracer) and not bool(jnp.all(jnp.isfinite(theta))):
        raise ValueError("theta must be finite (found NaN or inf).")
    return theta
