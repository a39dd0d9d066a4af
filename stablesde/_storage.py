"""Files that are either absent, old, or complete, in folders bound to one configuration."""

import errno
import io
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

# A temporary file this old (seconds) has no writer any more: a write takes far less.
_STALE = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def as_path(name: str, value: Any) -> Path:
    """`value` as a path. Raises `ValueError` unless it is a text or path that can name a file."""
    try:
        path = Path(value)
    except TypeError:
        raise ValueError(f"{name} must be a path, got {value!r}.") from None
    if "\0" in str(path):
        raise ValueError(f"{name} must be a path, and no path has a zero byte: {value!r}.")
    return path


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Writes a file so that it is either absent, old, or complete, whenever the process dies.

    **Raises:** `OSError`; on a full disk it names the folder, and the half-written file is gone.
    """
    with telling_full_disk(path):
        temporary = _write_beside(path, data)
        try:
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    remove_temporaries(path)


def write_once(path: Path, data: bytes) -> bool:
    """Writes a file unless there is one, atomically; False if there is: of two, one is first."""
    with telling_full_disk(path):
        temporary = _write_beside(path, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without links: two that start in the same instant are not told apart.
            if path.exists():
                return False
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return True


def _write_beside(path: Path, data: bytes | memoryview) -> Path:
    """A complete temporary file in the folder of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


@contextmanager
def telling_full_disk(path: Path) -> Iterator[None]:
    """Turns "no space left" into an error that says where, and what is safe."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            error.errno,
            f"no space left to write {path.name}; what was written before is complete, free some "
            "space and start again",
            str(path.parent),
        ) from error


def temporaries(path: Path) -> list[Path]:
    """The temporary files of `path` that writers, or processes killed while writing, left."""
    pattern = re.compile(re.escape(f".{path.name}.") + r"[a-z0-9_]{8}")
    try:
        return sorted(p for p in path.parent.iterdir() if pattern.fullmatch(p.name))
    except OSError:
        return []


def remove_temporaries(path: Path, age: float = _STALE) -> None:
    """Deletes the temporary files of `path` that are at least `age` seconds old.

    `age=0` is for one who holds a lock without which nobody writes `path`.
    """
    for temporary in temporaries(path):
        with suppress(OSError):
            if age <= 0 or time.time() - temporary.stat().st_mtime >= age:
                temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes finite JSON data atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes a NumPy archive atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getbuffer())


def claim(folder: Path, what: str, config: dict[str, Any]) -> None:
    """Binds `folder` to a configuration. Raises `ValueError` if it is bound to another one.

    Of two processes that start at once with different configurations, one is refused.
    """
    text = json.dumps(config, indent=1, sort_keys=True)
    path = folder / "config.json"
    if not path.exists() and write_once(path, text.encode()):
        return
    found = path.read_bytes()
    if found != text.encode():
        try:
            old = json.loads(found)
            keys = sorted(k for k in {*old, *config} if old.get(k) != json.loads(text).get(k))
        except (ValueError, AttributeError, TypeError):
            old, keys = {}, ["unreadable config.json"]
        version = "" if "version" not in keys else f" by another version, {old.get('version')},"
        raise ValueError(
            f"{folder} holds {what}{version} with another configuration (different: "
            f"{', '.join(keys)}). Choose another run directory, or delete this one."
        )
