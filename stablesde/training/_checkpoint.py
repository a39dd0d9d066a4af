"""Where a long training stands, on disk: parameters, optimizer state and steps taken."""

import os
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablesde._storage import Arrays, claim, read_arrays, seal, write_arrays

FILE = "checkpoint.npz"


class Checkpoint:
    """The folder of one training, bound to its settings.

    The file is replaced atomically, so that it always holds a whole state, whenever the process is
    killed. Noise and batches are functions of the step, so a training that goes on from it ends in
    the same numbers as one that was never stopped.
    """

    def __init__(self, folder: str | Path, config: dict[str, Any], every: float) -> None:
        """Claims `folder`. `every`: seconds between two saves.

        **Raises:** `ValueError` if it holds a training with other settings, or for `every` < 0.
        """
        if not every >= 0:
            raise ValueError(f"save_seconds must not be negative, got {every!r}.")
        self._path = Path(folder) / FILE
        self._seal = seal(config)
        claim(Path(folder), "a training", config, lambda: self._arrays(["seal"]))
        self._every, self._last = every, time.monotonic()

    def read(self, carry: Any) -> tuple[Any, int, bool]:
        """What was saved, in the structure of `carry`: state, steps taken, whether it is finished.

        `carry` itself, 0 and False if there is nothing. **Raises:** `ValueError` if it is damaged.
        """
        leaves, structure = jax.tree.flatten(carry)
        names = [f"leaf{i}" for i in range(len(leaves))]
        arrays = self._arrays([*names, "steps", "finished", "seal"])
        if arrays is None:
            return carry, 0, False
        saved = [jnp.asarray(arrays[name]) for name in names]
        for old, new in zip(leaves, saved, strict=True):
            if old.shape != new.shape or old.dtype != new.dtype:
                raise self._damaged(f"{new.dtype}{new.shape} where {old.dtype}{old.shape} belongs")
        return (
            jax.tree.unflatten(structure, saved), int(arrays["steps"]), bool(arrays["finished"])
        )  # fmt: skip

    def _arrays(self, names: list[str]) -> Arrays | None:
        """These arrays of the file; None if there is no file."""
        if not os.path.lexists(self._path):
            return None
        try:
            arrays = read_arrays(self._path, names)
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error
        if str(arrays["seal"]) != self._seal:
            raise self._damaged("it is of a training with other settings than config.json")
        return arrays

    def _damaged(self, why: object) -> ValueError:
        return ValueError(f"{self._path} is damaged ({why}); delete it to train from the start.")

    def write(self, carry: Any, steps: int, finished: bool) -> None:
        """Saves if it is time to, or if the training is finished."""
        if not finished and time.monotonic() - self._last < self._every:
            return
        arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(carry))}
        arrays |= {"steps": np.asarray(steps), "finished": np.asarray(finished)}
        write_arrays(self._path, **arrays, seal=np.asarray(self._seal))
        self._last = time.monotonic()
