"""Finding the data files: a given directory, `$STABLESDE_DATA`, `../shared/data`, or a download."""

import gzip
import hashlib
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

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
    the download fails; `ValueError` if a file's checksum is wrong.
    """
    file, checksum = ARCHIVES[name]
    for folder in search_path(root):
        if (folder / file).is_file():
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
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ValueError(
            f"{path} is damaged or another version ({len(data)} bytes, wrong SHA-256): replace it."
        )
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _fetch(url: str, known_hash: str | None) -> Path:
    import pooch

    folder = pooch.os_cache("stablesde")
    return Path(pooch.retrieve(url, known_hash, path=folder, progressbar=True))


def _ecg() -> Arrays:
    archive = _fetch(_ECG_URL, None)
    result: Arrays = {}
    with zipfile.ZipFile(archive) as files:
        for name, checksum in _ECG_SHA256.items():
            text = files.read(name)
            if hashlib.sha256(text).hexdigest() != checksum:
                archive.unlink()
                raise ValueError(f"the downloaded {name} has the wrong SHA-256; try again")
            table = np.array([line.split() for line in text.decode().splitlines()], float)
            part = "train" if "TRAIN" in name else "test"
            result[f"x_{part}"] = table[:, 1:].astype(np.float32)
            result[f"y_{part}"] = table[:, 0].astype(np.int32) - 1
    return result


def _mnist() -> Arrays:
    result: Arrays = {}
    for name, checksum in _MNIST_MD5.items():
        data = gzip.decompress(_fetch(_MNIST_URL + name, f"md5:{checksum}").read_bytes())
        part = "train" if name.startswith("train") else "test"
        if "images" in name:
            result[f"x_{part}"] = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
        else:
            result[f"y_{part}"] = np.frombuffer(data, np.uint8, offset=8)
    return result


def _cifar() -> Arrays:
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    with tarfile.open(_fetch(_CIFAR_URL, f"md5:{_CIFAR_MD5}")) as files:
        for member in sorted(files.getnames()):
            if not member.endswith(".bin"):
                continue
            stream = files.extractfile(member)
            assert stream is not None  # a regular file
            rows = np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073)
            parts["test" if "test" in member else "train"].append(rows)
    result: Arrays = {}
    for part, pieces in parts.items():
        table = np.concatenate(pieces)
        result[f"y_{part}"] = table[:, 0]
        result[f"x_{part}"] = table[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return result
