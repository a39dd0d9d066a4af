"""Pruning by column norm, and how much of the weight it loses.

`theta` has shape (n, p): its rows are the paper's columns θ^1, …, θ^n (the incoming weights of the
n hidden units). Notation of Wan, Zaidi and Şimşekli (2023), section 2: Θ^(κn) keeps the κn columns
of largest norm and sets the others to zero.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


def prune(theta: Float[Array, "n p"], kappa: float) -> Float[Array, "n p"]:
    """Θ^(κn): keeps the ⌈κn⌉ rows of largest Euclidean norm, the others become zero.

    **Arguments:** `theta` (n, p); `kappa`, the kept fraction in (0, 1].
    **Raises:** `ValueError` for another shape, κ out of range, or non-finite concrete entries.
    """
    theta = _checked(theta)
    kept = kept_rows(theta.shape[0], kappa)
    order = jnp.argsort(-_squared_norms(theta))
    keep = jnp.zeros(theta.shape[0], bool).at[order[:kept]].set(True)
    return jnp.where(keep[:, None], theta, 0)


def kept_rows(n: int, kappa: float) -> int:
    """⌈κn⌉, up to rounding of the product. Raises `ValueError` unless 0 < κ ≤ 1."""
    if not 0 < kappa <= 1:
        raise ValueError(f"kappa, the kept fraction, must lie in (0, 1], got {kappa!r}.")
    return int(np.ceil(kappa * n - 1e-9 * n))


def compression_error(
    theta: Float[Array, "n p"], kappa: float | Float[Array, "*k"]
) -> Float[Array, "*k"]:
    """Relative error `‖Θ^(κn) - Θ‖_F / ‖Θ‖_F` of keeping the ⌈κn⌉ rows of largest norm.

    Norms are divided by the largest before they are squared, so entries up to the largest float
    do not overflow.

    **Arguments:** `theta` (n, p); `kappa`, one or more kept fractions in (0, 1], all answered from
    one sort. **Returns:** an array of the shape of `kappa`, 0 where theta is 0.
    **Raises:** `ValueError` as `prune`; a traced `kappa` is not checked.
    """
    theta = _checked(theta)
    n = theta.shape[0]
    if not isinstance(kappa, jax.core.Tracer):
        for k in np.ravel(np.asarray(kappa)):
            kept_rows(n, float(k))
    kappa = jnp.asarray(kappa, theta.dtype)
    squares = jnp.sort(_squared_norms(theta))
    # Sums of squares of the 0, 1, …, n smallest rows.
    below = jnp.concatenate([jnp.zeros(1, squares.dtype), jnp.cumsum(squares)])
    kept = jnp.ceil(kappa * n - 1e-6 * n).astype(int)
    return jnp.sqrt(below[n - kept] / jnp.where(below[-1] > 0, below[-1], 1))


def pruning_ratio(
    theta: Float[Array, "n p"], error: float = 0.1, squared: bool = True
) -> Float[Array, ""]:
    """The fraction of rows that can be removed, smallest norm first, within an error.

    With `squared` (as in the paper's experiments) the removed rows' share of the squared
    Frobenius norm stays ≤ `error`, that is `‖Θ^(κn) - Θ‖²_F ≤ error ‖Θ‖²_F`; without, the error of
    `compression_error` itself stays ≤ `error`.

    **Returns:** a fraction in [0, 1]; the paper prints percent.
    **Raises:** `ValueError` for another shape, `error` outside [0, 1), or non-finite entries.
    """
    return jnp.mean(prunable(theta, error, squared))


def prunable(
    theta: Float[Array, "n p"], error: float = 0.1, squared: bool = True
) -> Bool[Array, " n"]:
    """Which rows `pruning_ratio` removes: a mask of shape (n,). Arguments and errors as there."""
    theta = _checked(theta)
    if not 0 <= error < 1:
        raise ValueError(f"error must lie in [0, 1), got {error!r}.")
    squares = _squared_norms(theta)
    order = jnp.argsort(squares)
    total = jnp.sum(squares)
    share = jnp.cumsum(squares[order]) / jnp.where(total > 0, total, 1)
    removed = share <= (error if squared else error**2)
    return jnp.zeros(theta.shape[0], bool).at[order].set(removed)


def _squared_norms(theta: Float[Array, "n p"]) -> Float[Array, " n"]:
    """Squared row norms, in units of the square of the largest entry."""
    largest = jnp.max(jnp.abs(theta))
    scaled = theta / jnp.where(largest > 0, largest, 1)
    return jnp.sum(scaled * scaled, -1)


def _checked(theta: Float[Array, "n p"]) -> Float[Array, "n p"]:
    if np.ndim(theta) != 2 or np.shape(theta)[0] == 0:
        raise ValueError(f"theta must have shape (n, p) with n ≥ 1, got {np.shape(theta)}.")
    theta = jnp.asarray(theta)
    if not jnp.issubdtype(theta.dtype, jnp.floating):
        theta = theta.astype(float)
    if not isinstance(theta, jax.core.Tracer) and not bool(jnp.all(jnp.isfinite(theta))):
        raise ValueError("theta must be finite (found NaN or inf).")
    return theta
