"""Frozen dataclasses as pytrees."""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax

_Record = TypeVar("_Record", bound=type)


class _Static(tuple[Any, ...]):
    """Values of static fields; of a dict the keys are hashed, as its values may be lists."""

    def __hash__(self) -> int:
        return hash(tuple(frozenset(v) if isinstance(v, dict) else v for v in self))


def pytree(*static: str) -> Callable[[_Record], _Record]:
    """Makes a frozen dataclass a pytree: all fields are children but `static` ones.

    Beyond `jax.tree_util.register_dataclass`: no checks run on what a transformation puts in (a
    tracer, a placeholder), dicts keep the order of their keys, and a static field may be a dict.
    """

    def register(cls: _Record) -> _Record:
        fields = [f for f in dataclasses.fields(cls) if f.init]
        caches = {f.name: f.default_factory for f in dataclasses.fields(cls) if not f.init}
        children = [f.name for f in fields if f.name not in static]

        def flatten(record: Any) -> tuple[Iterable[Any], _Static]:
            values = [getattr(record, name) for name in children]
            ordered = [OrderedDict(v) if isinstance(v, dict) else v for v in values]
            keys = map(jax.tree_util.GetAttrKey, children)
            return list(zip(keys, ordered, strict=True)), _Static(
                getattr(record, name) for name in static
            )

        def unflatten(settings: _Static, values: Iterable[Any]) -> Any:
            record: Any = object.__new__(cls)
            plain = (dict(v) if isinstance(v, OrderedDict) else v for v in values)
            for name, value in zip([*children, *static], [*plain, *settings], strict=True):
                object.__setattr__(record, name, value)
            for name, empty in caches.items():
                object.__setattr__(record, name, empty())  # type: ignore[operator]
            return record

        printed: Callable[[Any], str] = cls.__repr__  # type: ignore[assignment]  # unbound

        def text(record: Any) -> str:
            try:
                return printed(record)
            except Exception:  # tracers, placeholders, several records stacked: no repr may fail
                return f"{cls.__name__}(of traced or stacked values)"

        jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
        setattr(cls, "__repr__", text)  # noqa: B010
        return cls

    return register


__all__ = ["pytree"]
