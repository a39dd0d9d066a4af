"""A hash of what a study was run with, so that a run directory is bound to it.

It is the same in every process, and differs wherever the numbers may: in an array, in a setting, in
what a user's function computes, as JAX traces it. Names and comments do not count; what happens
behind a callback of the host is not seen.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


def fingerprint(value: Any) -> str:
    """A short hash of a model, a noise, an initial law, settings or arrays.

    Arrays count by their bytes, other leaves and the structure by their text, and of a model its
    statistic and drift, of a noise its increments, of a function of a key what it draws.
    """
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(value)
    _feed(digest, type(value).__qualname__, structure, *leaves)
    for function, *arguments in _calls(value):
        _feed_program(digest, jax.make_jaxpr(function)(*arguments))
    return digest.hexdigest()[:16]


def _calls(value: Any) -> Iterator[tuple[Any, ...]]:
    """The functions in a value that its numbers depend on, with arguments to trace them with."""
    key = jax.random.key(0)
    if hasattr(value, "drift_columns"):
        theta = jax.ShapeDtypeStruct((value.dim, 2), jnp.float32)
        m = jax.eval_shape(value.statistic_columns, theta)
        mean = jax.ShapeDtypeStruct(m.shape[:1], m.dtype)
        yield value.statistic_columns, theta
        yield value.drift_columns, jax.ShapeDtypeStruct((), jnp.float32), theta, mean
    elif hasattr(value, "increment"):
        yield lambda key: value.increment(key, 0, 1.0, 2), key
    elif callable(value):
        yield value, key


def _feed(digest: Any, *values: Any) -> None:
    for value in values:
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        if isinstance(value, (jax.Array, np.ndarray, np.generic)):
            array = np.asarray(value)
            data = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        else:
            # An address is another one in the next process.
            data = re.sub(r"(at )?0x[0-9a-f]+", "", f"{type(value).__name__} {value}").encode()
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(data)}:".encode() + data)


def _feed_program(digest: Any, program: Any) -> None:
    """A traced program with the constants and programs inside."""
    if isinstance(program, ClosedJaxpr):
        _feed(digest, *program.consts)
        program = program.jaxpr
    _feed(digest, program)
    for equation in program.eqns:
        _feed(digest, *(v.val for v in equation.invars if isinstance(v, Literal)))
        inner: Callable[[Any], bool] = lambda v: isinstance(v, (ClosedJaxpr, Jaxpr))  # noqa: E731
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=inner):
            if inner(part):
                _feed_program(digest, part)


__all__ = ["fingerprint"]
