"""Cells of a study: each is computed once, written atomically, and skipped on the next start."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

Cell = tuple[str, Callable[[], dict[str, np.ndarray]]]


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

    **Raises:** `ValueError` if `run_dir` was written by another configuration (nothing in it is
    changed then), or if a result is not finite (it is not written). `OSError` if it cannot be
    written.
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
        _check_finite(name, label, result, config)
        if path is not None:
            # float → text → float is exact in Python, so a resumed run sees the very same bits.
            text = json.dumps({k: v.astype(float).tolist() for k, v in sorted(result.items())})
            write_atomically(path, text.encode())
            result = _read(path)
        results.append({k: np.asarray(v, dtype=float) for k, v in result.items()})
    return results


def _check_finite(
    name: str, label: str, result: dict[str, np.ndarray], config: dict[str, Any]
) -> None:
    if not all(np.all(np.isfinite(v)) for v in result.values()):
        raise ValueError(
            f"{name}, {label}: the errors are not finite; nothing was written. Either the scheme "
            "diverged (a drift that grows faster than linearly: lower the step t1 / num_steps, or "
            f"bound the drift), or {config.get('dtype', 'the dtype')} overflowed (a small alpha)."
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        cell = {k: np.asarray(v, dtype=float) for k, v in json.loads(path.read_text()).items()}
        if not all(np.all(np.isfinite(v)) for v in cell.values()):
            raise ValueError("it holds numbers that are not finite")
        return cell
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
        version = "" if "version" not in keys else f" by another version, {old.get('version')},"
        raise ValueError(
            f"{folder} holds a {name} study{version} with another configuration (different: "
            f"{', '.join(keys)}). Choose another run directory, or delete this one."
        )
