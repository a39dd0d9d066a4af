"""Cells of a study: each is computed once, written atomically, and skipped on the next start."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm.auto import tqdm

Cell = tuple[str, Callable[[], dict[str, np.ndarray]]]


def fingerprint(tree: Any) -> str:
    """A short hash of a model, noise or setting: its structure and the bytes of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        if isinstance(leaf, (jax.Array, np.ndarray)):
            array = np.asarray(leaf)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        else:
            digest.update(getattr(leaf, "__qualname__", repr(leaf)).encode())
    return digest.hexdigest()[:16]


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that it is either absent, old, or complete, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes finite JSON data atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def run_cells(
    name: str, config: dict[str, Any], cells: Sequence[Cell], run_dir: str | Path | None
) -> list[dict[str, np.ndarray]]:
    """The results of all cells in order, computed or, where `run_dir` holds them, read back.

    **Raises:** `ValueError` if `run_dir` was written by another configuration; nothing in it is
    changed then. `OSError` if it cannot be written.
    """
    folder = None if run_dir is None else Path(run_dir) / name
    if folder is not None:
        _claim(folder, name, config)
    results = []
    bar = tqdm(cells, desc=name, unit="cell", file=sys.stderr, disable=None, leave=False)
    for label, compute in bar:
        path = None if folder is None else folder / f"{label}.json"
        if path is not None and path.exists():
            results.append(_read(path))
            continue
        result = {k: np.asarray(v) for k, v in compute().items()}
        if path is not None:
            # float → text → float is exact in Python, so a resumed run sees the very same bits.
            text = json.dumps({k: v.astype(float).tolist() for k, v in sorted(result.items())})
            write_atomically(path, text.encode())
            result = _read(path)
        results.append({k: np.asarray(v, dtype=float) for k, v in result.items()})
    return results


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return {k: np.asarray(v, dtype=float) for k, v in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete this one file and resume, the other cells stay."
        ) from error


def _claim(folder: Path, name: str, config: dict[str, Any]) -> None:
    text = json.dumps(config, indent=1, sort_keys=True)
    path = folder / "config.json"
    if not path.exists():
        write_atomically(path, text.encode())
        return
    if path.read_text() != text:
        try:
            old = json.loads(path.read_text())
            keys = sorted(k for k in {*old, *config} if old.get(k) != json.loads(text).get(k))
        except (ValueError, AttributeError):
            keys = ["unreadable config.json"]
        raise ValueError(
            f"{folder} holds a {name} study with another configuration (different: "
            f"{', '.join(keys)}). Choose another run directory, or delete this one."
        )
