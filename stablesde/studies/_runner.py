"""Cells of a study: each is computed once, written atomically, and skipped on the next start.

Several processes may work on one run directory: a cell that another one is computing is left for
last, and taken over if that process dies. A cell is the same whoever computes it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from stablesde._progress import progress
from stablesde.store import Arrays, Store, write_json

Cell = tuple[str, Callable[[], Mapping[str, Any]]]

# Which cells there are to be, for `stablesde status`.
PLAN = "cells.json"
# Seconds between two looks at the cells that other processes are computing.
_POLL = (0.05, 2.0)


def run_cells(
    name: str, config: dict[str, Any], cells: Sequence[Cell], run_dir: str | Path | None
) -> list[Arrays]:
    """The results of all cells in order, computed or, where `run_dir` holds them, read back.

    **Raises:** `ValueError` if `run_dir` was written by another configuration or holds a damaged
    file (nothing in it is changed then), or if a result is not finite (it is not written).
    `OSError` if it cannot be written.
    """
    store, results = None, dict[str, Arrays]()
    if run_dir is not None:
        store = Store(Path(run_dir) / name, config, f"a {name} study")
        for label, _ in cells:
            if (result := store.get(label)) is not None:
                results[label] = result
        if len(results) < len(cells):
            with suppress(IsADirectoryError):
                write_json(store.folder / PLAN, [label for label, _ in cells])
    missing = [cell for cell in cells if cell[0] not in results]
    pause = _POLL[0]
    with progress(len(cells), name, "cell", len(results)) as bar:
        while missing:
            left = []
            for label, compute in missing:

                def checked(label: str = label, compute: Any = compute) -> Arrays:
                    return _finite(name, label, compute(), config)

                result = checked() if store is None else store.compute(label, checked)
                if result is None:
                    left.append((label, compute))
                else:
                    results[label] = result
                    bar.update()
            if len(left) == len(missing):  # all of them are being computed by others
                time.sleep(pause)
            pause = min(2 * pause, _POLL[1]) if len(left) == len(missing) else _POLL[0]
            missing = left
    return [results[label] for label, _ in cells]


def _finite(name: str, label: str, result: Mapping[str, Any], config: dict[str, Any]) -> Arrays:
    arrays = {k: np.asarray(v, float) for k, v in result.items()}
    if not all(np.all(np.isfinite(v)) for v in arrays.values()):
        raise ValueError(
            f"{name}, {label}: the errors are not finite; nothing was written. Either the scheme "
            "diverged (with a drift that grows faster than linearly one large jump suffices: bound "
            "the drift; with a linear one lower the step t1 / num_steps), or "
            f"{config.get('dtype', 'the dtype')} overflowed (a small alpha)."
        )
    return arrays
