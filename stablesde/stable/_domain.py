"""What every function of the law on the line does first: dtypes, and the domain of arguments."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from stablesde._arguments import as_host_reals, as_real, is_concrete

LEAST_SYMMETRIC = 0.1  # the quadratures are off by 1 % in float32 there, and by more below


def law_arguments(upper: float = 2.0, open_above: bool = False, **values: Any) -> tuple[Any, ...]:
    """The arguments of a function of the law as floats of one dtype, after the checks by name.

    What is not a JAX array comes back as a NumPy array, for a compiled function to take. `alpha`
    in (0, upper] (or (0, upper)), `beta` in [-1, 1], `scale` positive and finite, `loc` finite, all
    of them as numbers of that dtype; others are any numbers. Raises `ValueError`.
    """
    check_alpha(values.get("alpha", 1.0), upper, open_above)
    check_beta(values.get("beta", 0.0))
    check_scale(values.get("scale", 1.0))
    check_loc(values.get("loc", 0.0))
    floats = as_host_reals(**values)
    for name, given, value in zip(values, values.values(), floats, strict=True):
        if name in ("alpha", "scale", "loc") and is_concrete(value):
            require_held(name, given, value, value.dtype)
    return floats


def require_held(name: str, given: Any, value: Any, dtype: Any) -> None:
    """Raises `ValueError` for a double that is 0 or infinite in `dtype` (a location may be 0)."""
    with np.errstate(over="ignore", under="ignore"):
        number = np.asarray(value).astype(dtype)
    least = -np.inf if name == "loc" else jnp.finfo(dtype).tiny
    if not np.all(np.isfinite(number) & (number >= least)):
        raise ValueError(f"{name} is too large or too small for {dtype}: {given}")


def aligned(*arrays: Any) -> tuple[Array, ...]:
    """The arrays with one number of axes, scalars apart: JAX may be told to promote no ranks."""
    rank = max(jnp.ndim(a) for a in arrays)
    return tuple(
        jnp.reshape(a, (1,) * (rank - jnp.ndim(a)) + jnp.shape(a)) if jnp.ndim(a) else a
        for a in map(jnp.asarray, arrays)
    )


def inside(value: Array, allowed: Array) -> Array:
    """`value`, NaN where it is not `allowed`."""
    # A NaN that is made and not taken is one to jax_debug_nans.
    if is_concrete(allowed) and np.all(allowed):
        return value
    return jnp.where(allowed, value, jnp.asarray(jnp.nan, value.dtype))


def valid_alpha(alpha: Array, upper: float = 2.0) -> Array:
    """A traced α, NaN outside of (0, upper]."""
    return inside(alpha, (alpha > 0) & (alpha <= upper))


def valid_beta(beta: Array) -> Array:
    """A traced β, NaN outside of [-1, 1]."""
    return inside(beta, jnp.abs(beta) <= 1)


def valid_scale(scale: Array) -> Array:
    """A traced scale, NaN unless it is positive and finite."""
    return inside(scale, (scale > 0) & (scale < jnp.inf))


def valid_loc(loc: Array) -> Array:
    """A traced location, NaN unless it is finite."""
    return inside(loc, jnp.isfinite(loc))


def check_alpha(alpha: ArrayLike, upper: float = 2.0, open_above: bool = False) -> None:
    """Raises `ValueError` if a concrete α lies outside (0, upper] (or (0, upper)).

    A traced α cannot be inspected: the functions return NaN where it is outside the domain, so
    that a line search of an optimiser may step over the edge without a host callback.
    """
    given = as_real("alpha", alpha)
    if not is_concrete(given):
        return
    a = np.asarray(given)
    inside = (a > 0) & ((a < upper) if open_above else (a <= upper))
    if not np.all(inside):
        bracket = ")" if open_above else "]"
        raise ValueError(
            f"alpha must lie in (0, {upper:g}{bracket}, got {a[~inside].flat[0] if a.ndim else a}"
        )
    require_held("alpha", alpha, a, np.float32)  # the least that any dtype holds


def resolved(alpha: Any, least: float = LEAST_SYMMETRIC) -> Any:
    """Where α is at least `least`, below which the quadratures lose the law."""
    return alpha >= least * (1 - 1e-3)  # `least` itself is rounded in half precision


def require_resolved(alpha: ArrayLike, least: float = LEAST_SYMMETRIC) -> None:
    """Raises `ValueError` for a concrete α that is not `resolved`."""
    if is_concrete(alpha) and not np.all(resolved(np.asarray(alpha, float), least)):
        raise ValueError(
            f"alpha must be at least {least} for densities, distribution functions and quantiles, "
            f"got {np.min(np.asarray(alpha)):g}."
        )


def check_beta(beta: ArrayLike) -> None:
    """Raises `ValueError` if a concrete β lies outside [-1, 1]; traced β is not inspected."""
    given = as_real("beta", beta)
    if is_concrete(given) and not np.all(np.abs(np.asarray(given)) <= 1):
        raise ValueError(f"beta must lie in [-1, 1], got {beta}")


def mask_alpha(
    value: Float[Array, "..."], alpha: Float[Array, "..."], upper: float = 2.0
) -> Float[Array, "..."]:
    """NaN where a traced α is outside (0, upper] (or is NaN)."""
    return inside(value, (alpha > 0) & (alpha <= upper))


def mask_resolved(value: Float[Array, "..."], alpha: Float[Array, "..."]) -> Float[Array, "..."]:
    """NaN where a traced α is no index of a symmetric law that the quadratures resolve."""
    return inside(value, resolved(alpha) & (alpha <= 2))


def check_scale(scale: ArrayLike) -> None:
    """Raises `ValueError` if a concrete scale is not positive and finite."""
    given = as_real("scale", scale)
    if is_concrete(given):
        number = np.asarray(given)
        if not np.all((number > 0) & (number < np.inf)):
            raise ValueError(f"scale must be positive and finite, got {scale}")


def check_loc(loc: ArrayLike) -> None:
    """Raises `ValueError` if a concrete location is not finite."""
    given = as_real("loc", loc)
    if is_concrete(given) and not np.all(np.isfinite(np.asarray(given))):
        raise ValueError(f"loc must be finite, got {loc}")


def observations(x: ArrayLike, least: int, purpose: str) -> Float[Array, " n"]:
    """A sample as one axis of floats.

    Raises `ValueError` for fewer than `least` numbers; for concrete ones also if they are not
    finite, or all the same. Traced ones are not inspected.
    """
    (data,) = as_host_reals(x=x)
    data = data.reshape(-1)
    if data.size < least:
        raise ValueError(f"x: {purpose} needs at least {least} observations, got {data.size}")
    if is_concrete(data):
        values = np.asarray(data)
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise ValueError(
                f"{bad} of the {data.size} observations are not finite in {data.dtype}: take them "
                "out of x first"
            )
        if np.all(values == values[0]):
            raise ValueError(f"{purpose} needs observations x that differ; all are {values[0]:g}")
    return data


def precise(x: Any) -> tuple[Any, float, float]:
    """`x` less its median, over half its interquartile range, both in double precision; the two.

    What is rounded to float32 afterwards keeps the digits that a sample far from 0 has. Data of
    JAX, and such as have no quartiles, come back as they are, with 0 and 1.
    """
    if isinstance(x, jax.Array):
        return x, 0.0, 1.0
    numbers = as_real("x", x)
    if np.size(numbers) < 4 or numbers.dtype == np.float32:
        return numbers, 0.0, 1.0
    numbers = np.asarray(numbers, np.float64)
    if not np.all(np.isfinite(numbers)):
        return numbers, 0.0, 1.0
    low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
    unit = float(high - low) / 2
    if not 0 < unit < np.inf:
        return numbers, 0.0, 1.0
    return (numbers - middle) / unit, float(middle), unit


def require_spread(data: Float[Array, " n"], purpose: str) -> None:
    """Raises `ValueError` if concrete data have no distance between their quartiles."""
    if is_concrete(data):
        low, high = np.quantile(np.asarray(data), [0.25, 0.75])
        if not high > low:
            raise ValueError(
                f"{purpose} needs an x with different quartiles, but both are {low:g}: half of the "
                "observations are equal, which no stable law gives; look for rounded or filled-in "
                "values"
            )


def number_text(value: ArrayLike, digits: int = 4) -> str:
    """A scalar for a repr; the shape of an array, and of what is traced."""
    if isinstance(value, (int, float, np.ndarray, jax.Array)) and is_concrete(value):
        return f"{float(value):.{digits}g}" if np.ndim(value) == 0 else f"array{np.shape(value)}"
    return f"traced{np.shape(value)}" if isinstance(value, jax.core.Tracer) else repr(value)
