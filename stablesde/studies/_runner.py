"""Cells of a study: each is computed once, written atomically, and skipped on the next start."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from stablesde._storage import claim, write_atomically

Cell = tuple[str, Callable[[], dict[str, np.ndarray]]]


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
        claim(folder, f"a {name} study", config)
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
