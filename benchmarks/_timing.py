"""Side-by-side timing: the contestants take turns, so that a slow spell hits all of them."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def side_by_side(
    contestants: dict[str, Callable[[], Any]], repetitions: int = 9
) -> dict[str, float]:
    """Median seconds of each, after one warm-up call each."""
    for run in contestants.values():
        jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, run in contestants.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(t)) for name, t in times.items()}


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(r) + " |" for r in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
