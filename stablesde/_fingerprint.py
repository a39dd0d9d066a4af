"""A hash of what a study was run with, so that a run directory is bound to it.

It is the same in every process of one Python version, and differs wherever the numbers may: in an
array, in a setting, in the body of a function or of a user's class.
"""

import dataclasses
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Code of these is bound by the version in the configuration, or belongs to the installation.
_LIBRARIES = {"stablesde", "jax", "jaxlib", "numpy", "scipy", "equinox", "optax", "jaxtyping"}
_LIBRARIES |= sys.stdlib_module_names
_PLAIN = (int, float, complex, str, bytes, tuple, list, dict, jax.Array, np.ndarray, np.generic)


def fingerprint(value: Any) -> str:
    """A short hash of a model, a noise or a setting: arrays by bytes, functions by their code.

    A function counts with its defaults, what it closes over, and the data and functions of its own
    package that it names; a class outside the libraries with its methods and constants. Comments
    and names of local variables do not count.
    """
    digest = hashlib.sha256()
    _Walk(digest.update).feed(value)
    return digest.hexdigest()[:16]


class _Walk:
    """Feeds a value to a hash, part by part; what refers back to itself is fed once."""

    def __init__(self, update: Callable[[bytes], None]) -> None:
        self._update = update
        self._seen: dict[int, Any] = {}

    def text(self, *parts: Any) -> None:
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        for part in map(str, parts):
            self._update(f"{len(part)}:{part};".encode())

    def feed(self, value: Any) -> None:
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            self.text(type(value).__name__, repr(value))
        elif isinstance(value, (jax.Array, np.ndarray, np.generic)):
            self._array(value)
        elif isinstance(value, (type, types.ModuleType)) or callable(value):
            self._once(value, self._callable)
        elif isinstance(value, Mapping):
            self.text("mapping", len(value))
            for key, item in sorted(value.items(), key=lambda pair: repr(pair[0])):
                self.feed(key)
                self.feed(item)
        elif isinstance(value, (tuple, list)):
            self.text(type(value).__name__, len(value))
            for item in value:
                self.feed(item)
        elif isinstance(value, (set, frozenset)):
            self.text("set", *sorted(map(repr, value)))
        else:
            self._once(value, self._object)

    def _once(self, value: Any, feed: Callable[[Any], None]) -> None:
        if id(value) in self._seen:
            self.text("seen", list(self._seen).index(id(value)))
            return
        self._seen[id(value)] = value  # kept alive, so that its id is not used again
        feed(value)

    def _array(self, value: Any) -> None:
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        self.text("array", array.dtype, array.shape)
        self._update(array.tobytes())

    def _callable(self, value: Any) -> None:
        if isinstance(value, types.ModuleType):
            self.text("module", value.__name__)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, functools.partial):
            self.text("partial")
            self.feed((value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            self.text("method")
            self.feed((value.__func__, value.__self__))
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif not _of_library(getattr(value, "__wrapped__", np)):
            self.text("wrapper", type(value).__qualname__)
            self.feed(value.__wrapped__)
        elif hasattr(value, "__qualname__"):
            self.text("named", _module(value), value.__qualname__)
        else:
            self._object(value)

    def _function(self, function: types.FunctionType) -> None:
        self.text("function", function.__module__, function.__qualname__)
        if _of_library(function) and "<" not in function.__qualname__:
            return
        self._code(function.__code__)
        self.feed((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            self.feed(_contents(cell))
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self._global(name, function.__globals__[name], _package(function))

    def _global(self, name: str, value: Any, package: str) -> None:
        """Data and the package's own code; anything else, like another module, by its name."""
        self.text("global", name)
        if value is None or isinstance(value, _PLAIN):
            self.feed(value)
        elif _package(value) == package:
            self.feed(value) if callable(value) else self.text(type(value).__qualname__)

    def _code(self, code: types.CodeType) -> None:
        self.text("code", code.co_code.hex(), *code.co_names, code.co_argcount)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant)
            else:
                self.feed(constant)

    def _class(self, cls: type) -> None:
        self.text("class", cls.__module__, cls.__qualname__)
        if _of_library(cls):
            return
        for name, member in sorted(vars(cls).items()):
            # What Python and dataclasses add follows from the rest.
            if not name.startswith(("__", "_abc_")) or name == "__call__":
                self.text("member", name)
                self.feed(_plain(member))
        for base in cls.__bases__:
            self.feed(base)

    def _object(self, value: Any) -> None:
        self.text("object")
        self.feed(type(value))
        if dataclasses.is_dataclass(value):
            names = [f.name for f in dataclasses.fields(value)]
        else:
            names = sorted(getattr(value, "__dict__", {}))
        for name in names:
            self.text("field", name)
            self.feed(getattr(value, name, None))


def _plain(member: Any) -> Any:
    """The function under a property, a static or class method, or a wrapper of either."""
    for attribute in ("fget", "__func__", "method", "func"):
        inner = getattr(member, attribute, None)
        if isinstance(inner, types.FunctionType):
            return inner
    return member


def _names(code: types.CodeType) -> set[str]:
    """Names that the code, and the functions written inside it, look up."""
    inner = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*inner)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return "empty cell"


def _package(value: Any) -> str:
    name = value.__name__ if isinstance(value, types.ModuleType) else _module(value)
    return name.split(".")[0]


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "")


def _of_library(value: Any) -> bool:
    return _package(value) in _LIBRARIES
