"""Cells of a study: each is computed once, written atomically, and skipped on the next start.

Several processes may work on one run directory: a cell that another one is computing is left for
last, and taken over if that process dies. A cell is the same whoever computes it.
"""

import errno
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from stablesde._locks import Lock, take
from stablesde._storage import claim, remove_temporaries, seal, write_atomically

Cell = tuple[str, Callable[[], dict[str, np.ndarray]]]
Result = dict[str, np.ndarray]
CELL = re.compile(r"[a-z]+-\d{5}\.json")

# Seconds between two looks at the cells that other processes are computing.
_POLL = (0.05, 2.0)


def run_cells(
    name: str, config: dict[str, Any], cells: Sequence[Cell], run_dir: str | Path | None
) -> list[Result]:
    """The results of all cells in order, computed or, where `run_dir` holds them, read back.

    **Raises:** `ValueError` if `run_dir` was written by another configuration or holds a damaged
    file (nothing in it is changed then), or if a result is not finite (it is not written).
    `OSError` if it cannot be written.
    """
    folder = None if run_dir is None else Path(run_dir) / name
    results: dict[str, Result] = {}
    if folder is not None:
        claim(folder, f"a {name} study", config, lambda: _verify(folder, config))
        _announce(folder, [label for label, _ in cells])
        _sweep_finished(folder, [label for label, _ in cells])
        for label, _ in cells:
            if (result := read_cell(_file(folder, label), config)) is not None:
                results[label] = result
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
    if (result := read_cell(path, config)) is not None:
        return result
    lock = take(_lock_file(folder, label))
    if lock is None:
        return None
    try:
        # It may have been finished while we took the lock.
        if (result := read_cell(path, config)) is None:
            _sweep(path, lock)
            text = _text(label, _computed(name, label, compute, config), config)
            write_atomically(path, text.encode())
            result = _parsed(label, text, config)
        return result
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
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    if not path.is_dir():  # `status` tells of it
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


def _verify(folder: Path, config: dict[str, Any]) -> None:
    """Raises `ValueError` if a folder without a configuration holds cells of another one."""
    if os.path.isdir(folder):
        for path in sorted(p for p in folder.iterdir() if CELL.fullmatch(p.name)):
            read_cell(path, config)


def _text(label: str, result: Result, config: dict[str, Any]) -> str:
    # float → text → float is exact in Python, so a resumed run sees the very same bits.
    values = {k: v.astype(float).tolist() for k, v in sorted(result.items())}
    return json.dumps({"sha256": _checksum(label, values, config), **values})


def _checksum(label: str, values: dict[str, Any], config: dict[str, Any]) -> str:
    """Of the numbers, of whose they are, and of what they were computed with."""
    told = [label, seal(config), json.dumps(values, sort_keys=True)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _parsed(label: str, text: str | bytes, config: dict[str, Any]) -> Result:
    values = json.loads(text)
    checksum = values.pop("sha256", None)
    if checksum != _checksum(label, values, config):
        raise ValueError("its checksum is not that of its numbers and of config.json")
    return {k: np.asarray(v, dtype=float) for k, v in values.items()}


def read_cell(path: Path, config: dict[str, Any]) -> Result | None:
    """The numbers of a cell that was computed with `config`; None if it is not there.

    **Raises:** `ValueError` if it is damaged, cannot be read, or was computed with other settings.
    """
    try:
        return _parsed(path.stem, path.read_bytes(), config)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            return None  # a link that leads nowhere
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(
            f"{path} is damaged ({why}); delete this one file and resume, the other cells stay."
        ) from error
