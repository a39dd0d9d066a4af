"""What every function of the law on the line does first: dtypes, and the domain of α and β."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float


def as_floats(*values: ArrayLike) -> tuple[Float[Array, "..."], ...]:
    """The values as arrays of one floating dtype: theirs, or JAX's default if none has one."""
    values = tuple(np.asarray(v) if isinstance(v, (list, tuple)) else v for v in values)
    dtype = jnp.result_type(*values)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    return tuple(jnp.asarray(v, dtype) for v in values)


def is_concrete(value: ArrayLike) -> bool:
    return not isinstance(value, jax.core.Tracer)


def check_alpha(alpha: ArrayLike, upper: float = 2.0, open_above: bool = False) -> None:
    """Raises `ValueError` if a concrete α lies outside (0, upper] (or (0, upper)).

    A traced α cannot be inspected: the functions return NaN where it is outside the domain, so
    that a line search of an optimiser may step over the edge without a host callback.
    """
    if not is_concrete(alpha):
        return
    a = np.asarray(alpha)
    if a.dtype.kind not in "fiu":
        raise ValueError(f"alpha must be a number, got {alpha!r}")
    inside = (a > 0) & ((a < upper) if open_above else (a <= upper))
    if not np.all(inside):
        bracket = ")" if open_above else "]"
        raise ValueError(
            f"alpha must lie in (0, {upper:g}{bracket}, got {a[~inside].flat[0] if a.ndim else a}"
        )


def check_beta(beta: ArrayLike) -> None:
    """Raises `ValueError` if a concrete β lies outside [-1, 1]; traced β is not inspected."""
    if is_concrete(beta) and not np.all(np.abs(np.asarray(beta)) <= 1):
        raise ValueError(f"beta must lie in [-1, 1], got {beta}")


def require_symmetric(beta: ArrayLike) -> None:
    """Raises unless β is concretely 0: the density of the skewed law is not provided."""
    if not is_concrete(beta) or np.any(np.asarray(beta) != 0):
        raise NotImplementedError(
            "stablesde gives the density and distribution function of the symmetric law only "
            "(beta=0, not traced); for beta != 0 use scipy.stats.levy_stable.pdf / .cdf / .ppf "
            "with the same (alpha, beta): its default parameterization S1 is the one used here."
        )


def mask_alpha(
    value: Float[Array, "..."], alpha: Float[Array, "..."], upper: float = 2.0
) -> Float[Array, "..."]:
    """NaN where a traced α is outside (0, upper] (or is NaN)."""
    return jnp.where((alpha > 0) & (alpha <= upper), value, jnp.asarray(jnp.nan, value.dtype))


def check_scale(scale: ArrayLike) -> None:
    """Raises `ValueError` if a concrete scale is not positive; a traced one is not inspected."""
    if is_concrete(scale) and not np.all(np.asarray(scale) > 0):
        raise ValueError(f"scale must be positive, got {scale}")
