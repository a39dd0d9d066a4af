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


def observations(x: ArrayLike, least: int, purpose: str) -> Float[Array, " n"]:
    """A sample as one axis of floats.

    Raises `ValueError` for fewer than `least` numbers; for concrete ones also if they are not
    finite, or all the same. Traced ones are not inspected.
    """
    try:
        (data,) = as_floats(x)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"x must be an array or list of numbers, got {type(x).__name__}"
        ) from error
    data = data.ravel()
    if data.size < least:
        raise ValueError(f"{purpose} needs at least {least} observations, got {data.size}")
    if is_concrete(data):
        values = np.asarray(data)
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise ValueError(
                f"{bad} of the {data.size} observations are not finite in {data.dtype}: take them "
                "out first"
            )
        if np.all(values == values[0]):
            raise ValueError(f"{purpose} needs observations that differ; all are {values[0]:g}")
    return data


def require_spread(data: Float[Array, " n"], purpose: str) -> None:
    """Raises `ValueError` if concrete data have no distance between their quartiles."""
    if is_concrete(data):
        low, high = np.quantile(np.asarray(data), [0.25, 0.75])
        if not high > low:
            raise ValueError(
                f"{purpose} needs different quartiles, but both are {low:g}: half of the "
                "observations are equal, which no stable law gives; look for rounded or filled-in "
                "values"
            )


def number_text(value: ArrayLike, digits: int = 4) -> str:
    """A scalar for a repr; the shape of an array, and of what is traced."""
    if isinstance(value, (int, float, np.ndarray, jax.Array)) and is_concrete(value):
        return f"{float(value):.{digits}g}" if np.ndim(value) == 0 else f"array{np.shape(value)}"
    return f"traced{np.shape(value)}" if isinstance(value, jax.core.Tracer) else repr(value)
