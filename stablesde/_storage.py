"""Files that are either absent, old, or complete, in folders bound to one configuration."""

import errno
import hashlib
import io
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

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
    with telling_where(path):
        if _is_special(path):
            path.write_bytes(data)
            return
        temporary = _write_beside(path, data)
        try:
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    remove_temporaries(path)


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, such as /dev/null, which must not be replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_once(path: Path, data: bytes) -> bool:
    """Writes a file unless there is one, atomically; False if there is: of two, one is first."""
    with telling_where(path):
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
def telling_where(path: Path) -> Iterator[None]:
    """Turns an error of the system into one that says where, what to do and what is safe."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(
                error.errno,
                f"no space left to write {path.name}; what was written before is complete, free "
                "some space and start again",
                str(path.parent),
            ) from error
        if error.errno is None:
            raise
        raise OSError(
            error.errno, f"{error.strerror}: no file can be written there, choose another place",
            str(path),
        ) from error  # fmt: skip


def check_writable(path: Path) -> None:
    """Raises `OSError` now if the file could not be written later. Makes its folder."""
    with telling_where(path):
        if path.is_dir() or (path.parent.exists() and not path.parent.is_dir()):
            code = errno.EISDIR if path.is_dir() else errno.ENOTDIR
            raise OSError(code, os.strerror(code))
        if not _is_special(path):
            _write_beside(path, b".").unlink()


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


def read_arrays(file: Path | io.BytesIO, names: Sequence[str] | None = None) -> Arrays:
    """The arrays (of these names) in a NumPy archive.

    **Raises:** `ValueError`, without the name of the file, if it is none or damaged; `OSError` if
    there is no file that can be opened.
    """
    with open(file, "rb") if isinstance(file, Path) else file as stream:
        try:
            with np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] for name in (archive.files if names is None else names)}
        except Exception as error:  # the parsers of zip and npy raise whatever the bytes lead to
            raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def seal(config: dict[str, Any]) -> str:
    """A hash of a configuration, for the files computed with it: they need no folder to be told.

    The same for the configuration that `claim` has written and its text read back.
    """
    plain = json.loads(json.dumps(config))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def claim(
    folder: Path, what: str, config: dict[str, Any], verify: Callable[[], object] = lambda: None
) -> None:
    """Binds `folder` to a configuration. Raises `ValueError` if it is bound to another one.

    Of two processes that start at once with different configurations, one is refused. `verify` is
    called before a folder is bound: it raises if the folder holds files of other settings.
    """
    text = json.dumps(config, indent=1, sort_keys=True)
    path = folder / "config.json"
    if not os.path.lexists(path):
        verify()
        if write_once(path, text.encode()):
            return
    try:
        old = json.loads(path.read_bytes())
        keys = sorted(k for k in {*old, *config} if old.get(k) != json.loads(text).get(k))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{folder} holds {what} with an unreadable config.json ({_short(error)}). Delete "
            f"{path}, and only that: what was computed with the same settings is kept."
        ) from error
    if keys:
        version = "" if "version" not in keys else f" by another version, {old.get('version')},"
        raise ValueError(
            f"{folder} holds {what}{version} with another configuration (different: "
            f"{', '.join(keys)}; see its config.json). Choose another run directory, or delete "
            "this one."
        )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
