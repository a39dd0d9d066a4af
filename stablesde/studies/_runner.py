"""Cells of a study: each is computed once, written atomically, and skipped on the next start.

Several processes may work on one run directory: a cell that another one is computing is left for
last, and taken over if that process dies. A cell is the same whoever computes it.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from stablesde._locks import Lock, take
from stablesde._storage import claim, remove_temporaries, write_atomically

Cell = tuple[str, Callable[[], dict[str, np.ndarray]]]
Result = dict[str, np.ndarray]

# Seconds between two looks at the cells that other processes are computing.
_POLL = (0.05, 2.0)


def run_cells(
    name: str, config: dict[str, Any], cells: Sequence[Cell], run_dir: str | Path | None
) -> list[Result]:
    """The results of all cells in order, computed or, where `run_dir` holds them, read back.

    **Raises:** `ValueError` if `run_dir` was written by another configuration (nothing in it is
    changed then), or if a result is not finite (it is not written). `OSError` if it cannot be
    written.
    """
    folder = None if run_dir is None else Path(run_dir) / name
    if folder is not None:
        claim(folder, f"a {name} study", config)
        _announce(folder, [label for label, _ in cells])
    results: dict[str, Result] = {}
    if folder is not None:
        _sweep_finished(folder, [label for label, _ in cells])
        results = {
            label: _read(path) for label, _ in cells if (path := _file(folder, label)).exists()
        }
    missing = [cell for cell in cells if cell[0] not in results]
    with tqdm(
        total=len(cells), initial=len(results), desc=name, unit="cell", file=sys.stderr,
        disable=None, leave=False,
    ) as bar:  # fmt: skip
        pause = _POLL[0]
        while missing:
            left = []
            for label, compute in missing:
                result = _one(name, label, compute, config, folder)
                if result is None:
                    left.append((label, compute))
                    continue
                results[label] = result
                bar.update()
            if len(left) == len(missing):  # all of them are being computed by others
                time.sleep(pause)
                pause = min(2 * pause, _POLL[1])
            else:
                pause = _POLL[0]
            missing = left
    return [results[label] for label, _ in cells]


def _one(
    name: str,
    label: str,
    compute: Callable[[], Result],
    config: dict[str, Any],
    folder: Path | None,
) -> Result | None:
    """The result of one cell; None while another process is computing it."""
    if folder is None:
        return {k: v.astype(float) for k, v in _computed(name, label, compute, config).items()}
    path = _file(folder, label)
    if path.exists():
        return _read(path)
    lock = take(_lock_file(folder, label))
    if lock is None:
        return None
    try:
        if not path.exists():  # it may have been finished while we took the lock
            _sweep(path, lock)
            result = _computed(name, label, compute, config)
            # float → text → float is exact in Python, so a resumed run sees the very same bits.
            text = json.dumps({k: v.astype(float).tolist() for k, v in sorted(result.items())})
            write_atomically(path, text.encode())
        return _read(path)
    finally:
        lock.release()


def _sweep(path: Path, lock: Lock) -> None:
    """Removes what processes that died while writing `path` left, of which we hold the lock."""
    # Nobody writes a cell without its lock, where there are locks.
    remove_temporaries(path, **({"age": 0.0} if lock.sure else {}))


def _sweep_finished(folder: Path, labels: list[str]) -> None:
    """Removes the locks of finished cells, and old temporary files, that killed processes left."""
    with suppress(OSError):  # a folder that we may only read
        for label in labels:
            path, lock_path = _file(folder, label), _lock_file(folder, label)
            if path.exists() and lock_path.exists() and (lock := take(lock_path)) is not None:
                _sweep(path, lock)
                lock.release()
        for name in ("config.json", "progress.json"):
            remove_temporaries(folder / name)


def _lock_file(folder: Path, label: str) -> Path:
    return folder / f".{label}.lock"


def _file(folder: Path, label: str) -> Path:
    return folder / f"{label}.json"


def _announce(folder: Path, labels: list[str]) -> None:
    """Writes which cells there are to be, for `stablesde status`; the results do not need it."""
    path, data = folder / "progress.json", json.dumps({"cells": labels}).encode()
    with suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    write_atomically(path, data)


def _computed(
    name: str, label: str, compute: Callable[[], Result], config: dict[str, Any]
) -> Result:
    result = {k: np.asarray(v) for k, v in compute().items()}
    _check_finite(name, label, result, config)
    return result


def _check_finite(
    name: str, label: str, result: dict[str, np.ndarray], config: dict[str, Any]
) -> None:
    if not all(np.all(np.isfinite(v)) for v in result.values()):
        raise ValueError(
            f"{name}, {label}: the errors are not finite; nothing was written. Either the scheme "
            "diverged (with a drift that grows faster than linearly one large jump suffices: bound "
            "the drift; with a linear one lower the step t1 / num_steps), or "
            f"{config.get('dtype', 'the dtype')} overflowed (a small alpha)."
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
