"""Locks that die with their process: kernel locks on small files that say who holds them."""

import errno
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stablesde._storage import telling_where

try:
    import fcntl
except ImportError:  # not a POSIX system: processes do not see each other, and compute twice
    fcntl = None  # type: ignore[assignment]

_BUSY = (errno.EAGAIN, errno.EACCES)


class Lock:
    """A held lock. `release` removes its file; a process that dies leaves the file, not the lock.

    `sure` is False where the file system has no locks: then everybody holds it, and what it
    protects may be computed more than once, which is only slower.
    """

    def __init__(self, path: Path, handle: int, sure: bool):
        self.path, self._handle, self.sure = path, handle, sure

    def share(self) -> None:
        """Lets others in who share it, and goes on holding it."""
        _flock(self._handle, exclusive=False)

    def release(self) -> None:
        """Gives it up. The file goes with the last holder, while nobody else can have it."""
        try:
            if _flock(self._handle, exclusive=True) is not False:
                # Where an open file cannot be deleted it stays, and means nothing.
                with suppress(OSError):
                    self.path.unlink()
        finally:
            os.close(self._handle)


def take(path: Path) -> Lock | None:
    """The lock on `path`, for us alone; None if a live process holds it.

    A lock file left by a process that died is taken over: the kernel has released the lock.
    """
    return _acquire(path, exclusive=True)


def share(path: Path) -> Lock:
    """The lock on `path` together with others who share it; waits for one who has it alone."""
    while (lock := _acquire(path, exclusive=False)) is None:
        time.sleep(0.05)
    return lock


def _acquire(path: Path, exclusive: bool) -> Lock | None:
    while True:
        with telling_where(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        got = _flock(handle, exclusive)
        if got is False:
            os.close(handle)
            return None
        if _still_named(handle, path):
            _sign(handle)
            return Lock(path, handle, sure=got is True)
        # Its holder removed it between our open and our lock: take the new file.
        os.close(handle)


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lock on `path` (`pid`, `host`, `since`, as far as known); None if nobody."""
    handle = _opened(path)
    if handle is None:
        return None
    try:
        # Held for an instant: a process that is refused in it comes back to the cell.
        got = _flock(handle, exclusive=True)
        if got:
            return None
        told = json.loads(os.read(handle, 4096) or b"{}")
        told = told if isinstance(told, dict) else {}
        return None if got is None and _dead(told) else told
    except (OSError, ValueError, RecursionError):
        return {}
    finally:
        os.close(handle)


def _opened(path: Path) -> int | None:
    # Some network file systems lock only what may be written.
    for mode in (os.O_RDWR, os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, mode)
    return None


def _dead(who: dict[str, Any]) -> bool:
    """Whether the process that signed a lock is gone, as far as this machine can tell."""
    if who.get("host") != socket.gethostname() or not isinstance(who.get("pid"), int):
        return False
    try:
        os.kill(who["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _flock(handle: int, exclusive: bool) -> bool | None:
    """Whether the lock is ours now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


def _still_named(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    """Writes who we are, for people: nothing depends on it, so that a full disk is no reason."""
    told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(told).encode())
