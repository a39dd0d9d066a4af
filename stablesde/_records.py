"""Records of results as JSON data, and back: numbers come back in the same bits."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from stablesde.store import as_path, write_json

# Not `Self`, which the checker of annotations at run time takes in decorated classes alone.
Record = TypeVar("Record", bound="JsonRecord")


class JsonRecord:
    """A frozen dataclass that can be saved and loaded.

    Its data are its fields, beside what `summary` derives from them for readers of the file.
    """

    def summary(self) -> dict[str, Any]:
        """What readers of the file want to know, beyond the fields: estimates, verdicts."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON data: its fields, and what `summary` derives from them.

        In a field, what JSON cannot say is text: "inf", "-inf", "nan"; in the summary it is null.
        """
        return {"record": type(self).__name__} | finite_json(self.summary()) | _plain_fields(self)

    @classmethod
    def from_dict(cls: type[Record], data: Mapping[str, Any]) -> Record:
        """The record of which these are the data. **Raises:** `ValueError` if they are not."""
        name = data.get("record") if isinstance(data, Mapping) else None
        if name != cls.__name__:
            told = f"the data of a {name}" if isinstance(name, str) else "no data of a record"
            raise ValueError(f"these are {told}, not of a {cls.__name__}.")
        try:
            return _restored(data, cls)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"these are damaged data of a {cls.__name__} ({' '.join(repr(error).split())})."
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the record to a JSON file, atomically.

        **Raises:** `ValueError` for a `path` that is none, `OSError` where it cannot be written.
        """
        write_json(as_path("path", path), self.to_dict())

    @classmethod
    def load(cls: type[Record], path: str | Path) -> Record:
        """The record in a file that `save` has written.

        **Raises:** `ValueError`, with the name of the file, if it holds something else; `OSError`
        where it cannot be read.
        """
        path = as_path("path", path)
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: no JSON, as `save` writes it: {error}") from error
        try:
            return cls.from_dict(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def finite_json(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    plain = _plain(value)
    return _mapped(plain, lambda v: None if v in ("inf", "-inf", "nan") else v)


def _mapped(value: Any, function: Any) -> Any:
    if isinstance(value, dict):
        return {k: _mapped(v, function) for k, v in value.items()}
    if isinstance(value, list):
        return [_mapped(v, function) for v in value]
    return function(value)


def _plain_fields(record: Any) -> dict[str, Any]:
    fields = [f for f in dataclasses.fields(record) if f.init]
    return {f.name: _plain(getattr(record, f.name)) for f in fields}


def _plain(value: Any) -> Any:
    """`value` as what JSON can say."""
    if isinstance(value, JsonRecord):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return _plain_fields(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _restored(value: Any, hint: Any) -> Any:
    """The value of a field from its data, by the type it is declared with."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is np.ndarray:
        return np.asarray(_mapped(value, lambda v: float(v) if isinstance(v, str) else v))
    if hint is float:
        return float(value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        given = [f for f in dataclasses.fields(hint) if f.init and f.name in value]
        return hint(**{f.name: _restored(value[f.name], hints[f.name]) for f in given})  # type: ignore[operator]
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _restored(value, inner[0])
    if origin is tuple:
        return tuple(_restored(v, inner[0]) for v in value)
    if origin is dict:
        return {k: _restored(v, inner[1]) for k, v in value.items()}
    return value


__all__ = ["JsonRecord", "finite_json"]
