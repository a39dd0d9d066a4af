"""Checks of arguments, shared by all rooms: what is wrong is said by name, in one kind of error.

A wrong type is a wrong value: every check raises `ValueError`. What is traced by JAX cannot be
inspected; of it, the dtype and shape are checked alone.
"""

import decimal
import functools
import inspect
import math
import numbers
import operator
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

P = ParamSpec("P")
R = TypeVar("R")
_LARGEST = float(np.finfo(np.float32).max)


def is_concrete(value: Any) -> bool:
    """Whether a value can be looked at: it is not traced."""
    return not isinstance(value, jax.core.Tracer)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as a Python integer of at least `least`; no bool, no float."""
    try:
        whole = least - 1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        whole = least - 1
    if np.ndim(value) != 0 or whole < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {kind}, got {_shown(value)}.")
    return whole


def as_number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, ends: str = "[]"
) -> float:
    """`value` as a finite Python float from low to high; a round bracket in `ends` excludes one."""
    number = _float(value)
    above = number > low if ends[0] == "(" else number >= low
    below = number < high if ends[1] == ")" else number <= high
    if not (above and below and math.isfinite(number)):
        raise ValueError(f"{name} must be {_range(low, high, ends)}, got {_shown(value)}.")
    return number


def as_parameter(name: str, value: Any, low: float = -math.inf) -> Any:
    """`value` for a field of a model: traced, an array () or a float, finite in any precision."""
    if not is_concrete(value):
        return value
    number = as_number(name, value, low)
    if abs(number) > _LARGEST:
        raise ValueError(f"{name} must be finite in float32, got {_shown(value)}.")
    floating = isinstance(value, (np.ndarray, jax.Array)) and jnp.issubdtype(
        value.dtype, jnp.floating
    )
    return value if floating else number


def _range(low: float, high: float, ends: str) -> str:
    if math.isfinite(high):
        return f"a number that lies in {ends[0]}{low:g}, {high:g}{ends[1]}"
    if low == 0:
        return "a positive, finite number" if ends[0] == "(" else "finite and not negative"
    return "a finite number" + (f" of at least {low:g}" if math.isfinite(low) else "")


def _float(value: Any) -> float:
    """A real number as a float, ±inf where it is too large; NaN for anything else."""
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return float(value) if value.ndim == 0 and _is_real(value.dtype) else math.nan
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, decimal.Decimal)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def as_choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """`value` if it is one of some names."""
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        shown = ", ".join(names) if len(names) > 2 else " or ".join(map(repr, names))
        one_of = "one of " if len(names) > 2 else ""
        raise ValueError(f"{name} must be {one_of}{shown}, got {_shown(value)}.")
    return value


def as_flag(name: str, value: Any) -> bool:
    """`value` as a bool; nothing but True and False (of Python or NumPy) is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {_shown(value)}.")
    return bool(value)


def as_real(name: str, value: Any) -> Any:
    """`value` as a Python float or int, or an array of real numbers of whatever dtype.

    Lists become arrays, and so does what can become one, such as a column of pandas; of objects,
    numbers. Bools, complex numbers, strings and other objects are no real numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array, whose masked entries are not left out here: give "
            f"{name}.compressed(), or fill them in yourself."
        )
    if hasattr(value, "__array__") and not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.longdouble:
        value = value.astype(np.float64)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        array = value
    elif isinstance(value, (list, tuple)):
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):  # of rows of different length
            array = np.asarray(None)
        if array.dtype == object and array.size:  # Python integers beyond 64 bits
            array = np.vectorize(_float, otypes=[float])(array)
            array = array if not np.any(np.isnan(array)) else np.asarray(None)
    elif isinstance(value, (numbers.Real, decimal.Decimal)) and not isinstance(value, bool):
        return _float(value)
    else:
        array = np.asarray(None)
    if not _is_real(array.dtype):
        raise ValueError(
            f"{name} must be a number, or an array or list of numbers, got {_shown(value)}."
        )
    return array


def as_reals(**values: Any) -> tuple[Float[Array, "..."], ...]:
    """The values as JAX arrays of one floating dtype that broadcast against each other.

    The dtype is theirs, of at least 32 bits, or JAX's default if none has a floating one.
    """
    return tuple(jnp.asarray(v) for v in as_host_reals(**values))


def as_host_reals(**values: Any) -> tuple[Any, ...]:
    """As `as_reals`, but what is not a JAX array becomes a NumPy array: nothing is compiled."""
    real = {name: as_real(name, value) for name, value in values.items()}
    given = [v.dtype for v in real.values() if hasattr(v, "dtype")]
    with jax.numpy_dtype_promotion("standard"):
        # A Python number takes the dtype of the arrays beside it.
        dtype = jnp.result_type(*(v if hasattr(v, "dtype") else 0.0 for v in real.values()))
        if not any(jnp.issubdtype(dtype, jnp.floating) for dtype in given):
            dtype = jnp.result_type(float)
        dtype = jnp.promote_types(dtype, jnp.float32)
    try:
        np.broadcast_shapes(*(np.shape(v) for v in real.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(v)}" for name, v in real.items() if np.ndim(v))
        raise ValueError(f"the shapes do not broadcast against each other: {shapes}.") from None
    with np.errstate(over="ignore", under="ignore"):
        return tuple(
            v.astype(dtype) if isinstance(v, jax.Array) else np.asarray(v, dtype)
            for v in real.values()
        )


# What other libraries and papers call them.
_OTHER_NAMES = {
    "num_particles": ("n", "N", "n_particles", "particles", "num_samples"),
    "t1": ("T", "t", "t_end", "t_final", "horizon"),
    "num_steps": ("steps", "n_steps", "K", "dt", "step_size", "eta"),
    "widths": ("n", "N", "width"),
    "dtype": ("precision",),
    "replicas": ("n_replicas", "num_replicas", "repeats"),
    "system": ("model", "noise", "sigma", "init", "x0", "dtype"),
    "flow": ("system", "model", "noise", "sigma", "init", "t1", "num_steps", "dtype"),
    "key": ("seed", "rng", "random_state"),
}


def by_name(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose `TypeError` for a call that does not fit says which names it has.

    What goes wrong inside comes through as it is.
    """

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__name__}: {error}. {_advice(signature, kwargs)}") from None
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    return checked


def full_products(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose matrix products have all digits of float32 on accelerators, too."""

    @functools.wraps(function)
    def precise(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return precise


def _advice(signature: inspect.Signature, given: Any) -> str:
    names = signature.parameters
    meant = [
        f"{mine}, not {name}"
        for name in given
        if name not in names
        for mine, others in _OTHER_NAMES.items()
        if mine in names and name in others
    ]
    keywords = [n for n, p in names.items() if p.kind is p.KEYWORD_ONLY]
    first = [n for n, p in names.items() if p.kind is not p.KEYWORD_ONLY]
    build = "; system=ssd.System(model, noise, sigma, init, dtype)" if "system" in first else ""
    build = "; the flow carries its system and grid" if "flow" in first else build
    call = f"It is called as ({', '.join(first)}, {'=, '.join(keywords[:4])}=, …){build}."
    return " ".join([f"Give {', '.join(meant)}." if meant else "", call]).strip()


def _shown(value: Any) -> str:
    """What was given, in a line."""
    text = repr(value)
    if (isinstance(value, (np.ndarray, jax.Array)) and value.ndim) or len(text) > 200:
        kind = f"{type(value).__name__}"
        shape = getattr(value, "shape", None)
        return f"{kind} of shape {shape} and dtype {value.dtype}" if shape is not None else kind
    return text
