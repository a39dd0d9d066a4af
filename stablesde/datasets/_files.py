"""Finding the data files: a given directory, `$STABLESDE_DATA`, `../shared/data`, or a download."""

import functools
import gzip
import hashlib
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from stablesde.datasets._download import fetch
from stablesde.store import read_arrays

# Archives prepared from the originals (see docs, "Data"), by SHA-256.
ARCHIVES = {
    "ecg5000": (
        "ecg5000.npz",
        "d9b3b83324a0c45e362d10cebf8bc2098a270a9c723115ce1617da6311d58c9a",
    ),
    "mnist": ("mnist.npz", "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"),
    "cifar10": (
        "cifar10_10k.npz",
        "36a9cc4af923f1a74496b4a6f238f2e62e116ca2ab8d2ae5fc2435b798e43be5",
    ),
}
_ECG_URL = "https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip"
_ECG_SHA256 = {
    "ECG5000_TRAIN.txt": "0d96aff193311a6dc6111bf0dbd2f7d2313987fbf7a1da4a383d92563876057b",
    "ECG5000_TEST.txt": "baf4ad57d28daa5e79050edd4185968181762bc83d45a757753015b4ba8ab295",
}
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

Arrays = dict[str, np.ndarray]


def search_path(root: str | Path | None) -> Iterator[Path]:
    """Directories that may hold the archives, in order; only `root` if that is given."""
    if root is not None:
        yield Path(root)
        return
    if os.environ.get("STABLESDE_DATA"):
        yield Path(os.environ["STABLESDE_DATA"])
    for base in (Path.cwd(), Path(__file__).resolve().parents[2]):
        yield base.parent / "shared" / "data"


def arrays(name: str, root: str | Path | None) -> tuple[Arrays, str]:
    """The raw arrays of a data set and where they came from.

    **Raises:** `FileNotFoundError` if a given directory lacks the file, or nothing is found and
    the download fails; `ValueError` if a file is there and cannot be read, or its checksum is
    wrong; `MissingExtraError` if it would have to be downloaded and pooch is not installed.
    """
    file, checksum = ARCHIVES[name]
    for folder in search_path(root):
        if os.path.lexists(folder / file):
            return _read_archive(folder / file, checksum), str(folder / file)
    if root is not None:
        raise FileNotFoundError(f"{Path(root) / file} does not exist (data set {name!r}).")
    try:
        return {"ecg5000": _ecg, "mnist": _mnist, "cifar10": _cifar}[name](), "download"
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{name} was found in none of $STABLESDE_DATA and ../shared/data, and its download "
            f"failed ({error}). Put {file} into a directory and set STABLESDE_DATA to it, or go "
            "online once: the download is kept."
        ) from error


def _read_archive(path: Path, checksum: str) -> Arrays:
    try:
        data = path.read_bytes()
    except OSError as error:
        kind = "a directory" if path.is_dir() else error.strerror or "an error"
        raise ValueError(
            f"{path} cannot be read ({kind}): put a readable file in its place."
        ) from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ValueError(
            f"{path} is damaged or another version ({len(data)} bytes, wrong SHA-256): replace it."
        )
    try:
        return read_arrays(io.BytesIO(data))
    except ValueError as error:
        raise ValueError(f"{path} is no archive of arrays ({error}): replace it.") from error


# What unpacking raises for bytes that are not what they should be.
_NOT_UNPACKED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)


def _unpacked(url: str, known_hash: str | None, unpack: Callable[[Path], Arrays]) -> Arrays:
    """The arrays in the file at a URL; what holds no such arrays does not stay in the cache."""
    for attempt in (1, 2):  # a file that lay in the cache is asked for once more
        archive = fetch(url, known_hash)
        try:
            return unpack(archive)
        except _NOT_UNPACKED as error:
            archive.unlink(missing_ok=True)
            if attempt == 2:
                raise ValueError(f"what {url} sent is not the data ({error!r})") from error
    raise AssertionError("unreachable")  # pragma: no cover


def _ecg() -> Arrays:
    return _unpacked(_ECG_URL, None, _read_ecg)


def _read_ecg(archive: Path) -> Arrays:
    result: Arrays = {}
    with zipfile.ZipFile(archive) as files:
        for name, checksum in _ECG_SHA256.items():
            text = files.read(name)
            if hashlib.sha256(text).hexdigest() != checksum:
                raise ValueError(f"{name} has the wrong SHA-256")
            table = np.array([line.split() for line in text.decode().splitlines()], float)
            part = "train" if "TRAIN" in name else "test"
            result[f"x_{part}"] = table[:, 1:].astype(np.float32)
            result[f"y_{part}"] = table[:, 0].astype(np.int32) - 1
    return result


def _mnist() -> Arrays:
    result: Arrays = {}
    for name, checksum in _MNIST_MD5.items():
        part = "train" if name.startswith("train") else "test"
        read = functools.partial(_read_idx, part=part, images="images" in name)
        result |= _unpacked(_MNIST_URL + name, f"md5:{checksum}", read)
    return result


def _read_idx(path: Path, *, part: str, images: bool) -> Arrays:
    data = gzip.decompress(path.read_bytes())
    if images:
        return {f"x_{part}": np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)}
    return {f"y_{part}": np.frombuffer(data, np.uint8, offset=8)}


def _cifar() -> Arrays:
    return _unpacked(_CIFAR_URL, f"md5:{_CIFAR_MD5}", _read_cifar)


def _read_cifar(archive: Path) -> Arrays:
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    with tarfile.open(archive) as files:
        for member in sorted(files.getnames()):
            if not member.endswith(".bin"):
                continue
            stream = files.extractfile(member)
            if stream is None:
                raise ValueError(f"{member} is no file")
            rows = np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073)
            parts["test" if "test" in member else "train"].append(rows)
    result: Arrays = {}
    for part, pieces in parts.items():
        table = np.concatenate(pieces)
        result[f"y_{part}"] = table[:, 0]
        result[f"x_{part}"] = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return result
