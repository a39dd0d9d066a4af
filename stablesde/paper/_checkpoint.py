"""Where a long training stands, on disk: parameters, optimizer state and steps taken."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablesde.store import Store

_NAME = "checkpoint"


class Checkpoint:
    """The folder of one training, bound to its settings.

    Noise and batches are functions of the step, so a training that goes on from what was saved ends
    in the same numbers as one that was never stopped.
    """

    def __init__(self, folder: Path, config: dict[str, Any], every: float) -> None:
        """Claims `folder`. `every`: seconds between two saves.

        **Raises:** `ValueError` if it holds a training with other settings.
        """
        self._store = Store(folder, config, "a training", "delete it to train from the start")
        self._every, self._last = every, time.monotonic()

    def read(self, carry: Any) -> tuple[Any, int, bool]:
        """What was saved, in the structure of `carry`: state, steps taken, whether it is finished.

        `carry` itself, 0 and False if there is nothing. **Raises:** `ValueError` if it is damaged.
        """
        leaves, structure = jax.tree.flatten(carry)
        arrays = self._store.get(_NAME)
        if arrays is None:
            return carry, 0, False
        saved = [jnp.asarray(arrays[f"leaf{i}"]) for i in range(len(leaves))]
        return jax.tree.unflatten(structure, saved), int(arrays["steps"]), bool(arrays["finished"])

    def write(self, carry: Any, steps: int, finished: bool) -> None:
        """Saves if it is time to, or if the training is finished."""
        if finished or time.monotonic() - self._last >= self._every:
            arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(carry))}
            self._store.put(_NAME, arrays | {"steps": steps, "finished": finished})
            self._last = time.monotonic()
