"""Results on disk: named arrays in a folder that is bound to one configuration.

The cells of a study, the checkpoints of a training and the parts of a recording are the same thing:
a NumPy archive that is either absent or whole, and that says what it was computed with.
"""

import errno
import hashlib
import io
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

# A temporary file this old (seconds) has no writer any more: a write takes far less.
_STALE = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What file systems without locks answer: work may then be done twice, which is only slower.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Store:
    """Named sets of arrays in `folder`, all computed with one `config`.

    What `put` writes is read back by `get` in every bit, float64 included. Each file carries its
    name and a hash of the configuration, so that a file that is damaged, swapped, or of another run
    is found and named. Processes may share a folder: `compute` does each piece of work once, under
    a kernel lock that dies with its process.

    **Arguments:** `folder`, made when it is first written to; `config`, JSON data, all that the
    numbers depend on; `what` the folder holds and `advice` on damage, for messages.
    **Raises:** `ValueError` if the folder is bound to another configuration, or holds files of one,
    of which nothing is changed then; `OSError` where it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        what: str = "a run",
        advice: str = "delete this one file and resume, the others stay",
    ) -> None:
        self.folder, self._advice = folder, advice
        self.config = json.loads(json.dumps(config))
        self._hash = _hash(self.config)
        if not os.path.lexists(folder / "config.json"):
            with _lock(folder, "config", wait=True):
                if not os.path.lexists(folder / "config.json"):
                    for path in sorted(folder.glob("*.npz")):
                        self.get(path.stem, ())  # raises for a file of other settings
                    write_json(folder / "config.json", self.config)
        old = read_config(folder, what)
        keys = sorted(k for k in {*old, *self.config} if old.get(k) != self.config.get(k))
        if keys:
            version = "" if "version" not in keys else f" by another version, {old.get('version')},"
            raise ValueError(
                f"{folder} holds {what}{version} with another configuration (different: "
                f"{', '.join(keys)}; see its config.json). Choose another run directory, or delete "
                "this one."
            )

    @classmethod
    def opened(cls, folder: Path, what: str, advice: str) -> "Store":
        """What `folder` holds, whatever its configuration, to read; writes nothing.

        **Raises:** `ValueError` for a `config.json` that is none, `FileNotFoundError` without one.
        """
        return cls(folder, read_config(folder, what), what, advice)

    def path(self, name: str) -> Path:
        """Where `name` is kept."""
        return self.folder / f"{name}.npz"

    def get(self, name: str, arrays: Sequence[str] | None = None) -> Arrays | None:
        """The arrays under a `name`, or some of them; None if there is nothing.

        **Raises:** `ValueError` if the file is damaged, cannot be read, or is of another run.
        """
        try:
            with open(self.path(name), "rb") as file:
                return self._read(name, file, arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise self.damaged(name, why) from error

    def _read(self, name: str, file: Any, wanted: Sequence[str] | None) -> Arrays:
        arrays = read_arrays(file, None if wanted is None else ("seal", *wanted))
        seal = str(arrays.pop("seal", ""))
        told, _, names = seal.rpartition(" of ")
        if told != f"{name} {self._hash}":
            raise ValueError("it is another file, or of other settings than config.json")
        if wanted is None and sorted(arrays) != names.split(", "):
            raise ValueError("an array is missing")
        return arrays

    def damaged(self, name: str, why: object) -> ValueError:
        """The error for a file that cannot be used."""
        return ValueError(f"{self.path(name)} is damaged ({why}): {self._advice}.")

    def put(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Writes arrays under a `name`, atomically. **Raises:** `OSError` where it cannot."""
        seal = f"{name} {self._hash} of {', '.join(sorted(arrays))}"
        buffer = io.BytesIO()
        np.savez(buffer, seal=np.asarray(seal), **arrays)
        write_atomically(self.path(name), buffer.getbuffer())

    def compute(self, name: str, function: Callable[[], Mapping[str, Any]]) -> Arrays | None:
        """What is kept under `name`, computed and kept if there is nothing.

        None while another process is computing it. **Raises:** as `get` and `put`.
        """
        if (found := self.get(name)) is not None:
            return found
        with _lock(self.folder, name) as mine:
            if not mine:
                return None
            if (found := self.get(name)) is None:  # else it was finished while we took the lock
                _sweep(self.path(name), age=0)
                self.put(name, function())
                found = self.get(name)
            return found


def holder(folder: Path, name: str) -> dict[str, Any] | None:
    """Who is computing `name` (`pid`, `host`, `since`, as far as known); None if nobody is."""
    told = read_object(folder / f".{name}.who")
    if told is None:
        return None
    with _lock(folder, name, sign=False) as free:
        return None if free else told


@contextmanager
def _lock(folder: Path, name: str, wait: bool = False, sign: bool = True) -> Iterator[bool]:
    """Holds the lock on a name, if nobody else does: that is what it yields."""
    from filelock import FileLock, Timeout

    path, told = folder / f".{name}.lock", folder / f".{name}.who"
    lock, mine = FileLock(path, timeout=-1 if wait else 0), True
    with telling_where(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            mine = False
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
    if not mine:
        yield False
        return
    try:
        if sign:
            who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            with suppress(OSError):  # for people: nothing depends on it
                told.write_text(json.dumps(who))
        yield True
    finally:
        # Whoever takes the old file in this instant finds the work done. Where an open file cannot
        # be deleted it stays, and means nothing.
        for file in (told, path) if sign else ():
            with suppress(OSError):
                file.unlink()
        lock.release()


def _hash(config: Any) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path, what: str) -> dict[str, Any]:
    """The configuration a folder is bound to. **Raises:** as `Store.opened`."""
    path = folder / "config.json"
    try:
        return _object(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder} holds {what} with an unreadable config.json ({_short(error)}). Delete "
            f"{path}, and only that: what was computed with the same settings is kept."
        ) from error


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is none."""
    with suppress(OSError, ValueError):
        return _object(path)
    return None


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def read_arrays(file: Any, names: Sequence[str] | None = None) -> Arrays:
    """The arrays (of these names) in the NumPy archive of an open file.

    **Raises:** `ValueError` if it is none or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in (archive.files if names is None else names)}
    except Exception as error:  # the parsers of zip and npy raise whatever the bytes lead to
        raise ValueError(f"{type(error).__name__}: {_short(error)}") from error


def as_path(name: str, value: Any) -> Path:
    """`value` as a path. Raises `ValueError` unless it is a text or path that can name a file."""
    try:
        path = Path(value)
    except TypeError:
        raise ValueError(f"{name} must be a path, got {value!r}.") from None
    if "\0" in str(path):
        raise ValueError(f"{name} must be a path, and no path has a zero byte: {value!r}.")
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes finite JSON data atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


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
    _sweep(path, _STALE)


def check_writable(path: Path) -> None:
    """Raises `OSError` now if the file could not be written later. Makes its folder."""
    with telling_where(path):
        if path.is_dir() or (path.parent.exists() and not path.parent.is_dir()):
            code = errno.EISDIR if path.is_dir() else errno.ENOTDIR
            raise OSError(code, os.strerror(code))
        if not _is_special(path):
            _write_beside(path, b".").unlink()


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, such as /dev/null, which must not be replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


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


def _sweep(path: Path, age: float) -> None:
    """Deletes temporary files of `path`, so many seconds old, that killed writers left."""
    pattern = re.compile(re.escape(f".{path.name}.") + r"[a-z0-9_]{8}")
    with suppress(OSError):
        for file in path.parent.iterdir():
            if pattern.fullmatch(file.name) and time.time() - file.stat().st_mtime >= age:
                file.unlink(missing_ok=True)


@contextmanager
def telling_where(path: Path) -> Iterator[None]:
    """Turns an error of the system into one that says where, what to do and what is safe."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        told = f"{error.strerror}: no file can be written there, choose another place"
        if error.errno in _FULL:
            told = (
                f"no space left to write {path.name}; what was written before is complete, free "
                "some space and start again"
            )
            path = path.parent
        raise OSError(error.errno, told, str(path)) from error


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


__all__ = ["Store", "as_path", "check_writable", "write_atomically", "write_json"]
