"""Downloads into the user's cache: resumed where they broke off, and whole or not there at all.

pooch keeps the cache and compares checksums. What it hands out has arrived in full: until then the
bytes are in a file of another name (`….part`), from which the next call goes on.
"""

import contextlib
import functools
import gzip
import http.client
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from stablesde._extras import MissingExtraError
from stablesde._locks import take
from stablesde._storage import telling_where
from stablesde._version import __version__

_TIMEOUT = 30.0  # seconds without a byte
_PATIENCE, _LEAST = 60.0, 100.0  # a server below so many bytes a second over so long hangs
_ATTEMPTS, _PAUSE = 4, 1.0  # seconds before the second attempt, then twice as long each time
_BLOCK = 1 << 18
_FAULTS = (OSError, ValueError, http.client.HTTPException)


class TruncatedError(OSError):
    """The connection ended before the file did."""


def fetch(url: str, known_hash: str | None) -> Path:
    """The file at a URL: from the cache if it is there and has the right checksum.

    `known_hash` as pooch writes it; None for a file whose content the caller checks.

    **Raises:** `MissingExtraError` without pooch. `OSError` if the file cannot be had: it says why
    and where a file that was downloaded by hand belongs.
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(
            "a download", "pooch", "data", f", or save {url} by hand and see the documentation"
        ) from error
    folder, name = Path(pooch.os_cache("stablesde")), pooch.utils.unique_file_name(url)
    transfer = _Transfer(folder / f"{name}.part")
    while True:
        try:
            with telling_where(folder / name):
                found = pooch.retrieve(url, known_hash, name, folder, downloader=transfer)
            return Path(found)
        except _FAULTS as error:
            # Two versions of a file may have been put together: that is no one's last word.
            if isinstance(error, ValueError) and transfer.take_back_resumption():
                continue
            raise OSError(
                f"{url}: {_why(error)}; a call later goes on from what has arrived, and a file "
                f"that was downloaded by hand belongs at {folder / name}"
            ) from error


class _Transfer:
    """A downloader for pooch that goes on with a partial file, and tries again."""

    def __init__(self, part: Path) -> None:
        self._part, self._resumed = part, False

    def take_back_resumption(self) -> bool:
        """Whether the last file was put together from two downloads; asked once."""
        resumed, self._resumed = self._resumed, False
        return resumed

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        # Another process may be at this file: then both load all of it, each for itself.
        lock = take(self._part.with_suffix(".lock"))
        part = Path(output_file) if lock is None else self._part
        try:
            self._resumed = part.exists() and part.stat().st_size > 0
            _finish(part, output_file, gzipped=_complete(url, part))
        finally:
            if lock is not None:
                lock.release()


def _finish(part: Path, output_file: str, gzipped: bool) -> None:
    if gzipped:
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):  # the checksum will tell
            unpacked = gzip.decompress(part.read_bytes())
            part.unlink()
            Path(output_file).write_bytes(unpacked)
            return
    os.replace(part, output_file)


def _complete(url: str, part: Path) -> bool:
    """Brings `part` to its end, in a few attempts; whether the server has packed it."""
    for attempt in range(_ATTEMPTS):
        try:
            return _receive(url, part)
        except _FAULTS as error:
            if attempt + 1 == _ATTEMPTS or not _may_pass(error):
                raise
        time.sleep(_PAUSE * 2**attempt)
    raise AssertionError("unreachable")  # pragma: no cover


def _receive(url: str, part: Path) -> bool:
    """One request for what is missing of `part`."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": f"stablesde/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT, context=_certificates())
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return False  # it was whole already
        raise _begin_again(part) from error
    with response:
        start = _first_byte(response, part, have)
        missing = response.length  # None: not told
        _write(response, part, start, missing)
        if missing is not None and part.stat().st_size < start + missing:
            raise TruncatedError(f"only {part.stat().st_size} of {start + missing} bytes arrived")
        packed = response.headers.get("Content-Encoding", "identity")
    # A .gz file is sometimes announced as a packed one, and is what we want.
    return packed in ("gzip", "x-gzip") and not url.endswith(".gz")


def _first_byte(response: Any, part: Path, have: int) -> int:
    """Where in the file the answer begins: at 0 if the server does not know ranges."""
    if response.status != 206:
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise _begin_again(part)
    return have


def _begin_again(part: Path) -> TruncatedError:
    part.unlink()
    return TruncatedError("the server does not go on from what had arrived")


def _write(response: Any, part: Path, start: int, missing: int | None) -> None:
    """Appends the answer to the first `start` bytes of `part`."""
    total = None if missing is None else start + missing
    with (
        open(part, "r+b" if start else "wb") as file,
        tqdm(
            total=total, initial=start, desc=part.name[33:-5], unit="B", unit_scale=True,
            file=sys.stderr, disable=None, leave=False,
        ) as bar,
    ):  # fmt: skip
        file.seek(start)
        file.truncate()
        since, arrived = time.monotonic(), 0
        while block := response.read1(_BLOCK):
            file.write(block)
            file.flush()  # a kill loses nothing that has arrived
            bar.update(len(block))
            arrived += len(block)
            now = time.monotonic()
            if now - since > _PATIENCE:
                if arrived < _LEAST * (now - since):
                    raise TimeoutError(f"only {arrived} bytes in {now - since:.0f} s")
                since, arrived = now, 0


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The system's certificates and, where they are installed, those that pooch's requests uses."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError, OSError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _may_pass(error: Exception) -> bool:
    """Whether a second attempt may succeed: not offline, not for a page that does not exist."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 429)
    if isinstance(error, urllib.error.URLError):
        return isinstance(error.reason, (TimeoutError, ConnectionResetError))
    passing = (TimeoutError, ConnectionError, TruncatedError, http.client.HTTPException)
    return isinstance(error, passing)


def _why(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server hangs ({text}, time-out)"
    return text
