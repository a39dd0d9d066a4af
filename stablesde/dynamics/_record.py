"""Long runs, written to disk in parts while they go, and resumed where they were."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_flag
from stablesde._fingerprint import fingerprint
from stablesde._storage import claim, write_arrays
from stablesde._version import __version__
from stablesde.dynamics._engine import Engine, State
from stablesde.dynamics._grid import time_grid
from stablesde.dynamics._layout import layout
from stablesde.dynamics._simulate import Trajectory, check_fits, rows
from stablesde.dynamics._system import Driver, InitialLaw, check_run, statistic_size
from stablesde.model import MeanFieldModel
from stablesde.noise import StableNoise
from stablesde.stable._bits import key_words
from stablesde.stable._sampling import float_dtype

_PART_BYTES = 2**27


class Recording:
    """A run that `record` has written to a directory; reads its files when asked.

    Iterating over it gives the saved times as a `Trajectory` per file, in order.

    **Arguments:** `directory`, as given to `record`.
    **Raises:** `ValueError` if it holds no recording.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = _folder(directory)
        if not (self.directory / "config.json").exists():
            raise ValueError(
                f"directory {self.directory} holds no recording: there is no config.json."
            )

    @property
    def parts(self) -> list[Path]:
        """The files, in order."""
        return sorted(self.directory.glob("part-*.npz"))

    @property
    def complete(self) -> bool:
        """Whether the run has come to its end."""
        config = json.loads((self.directory / "config.json").read_text())
        state = _read_state(self.directory)
        return state is not None and state["step"] == config["num_steps"]

    @property
    def times(self) -> Float[np.ndarray, " S"]:
        """The saved times."""
        return np.concatenate([np.load(p)["times"] for p in self.parts])

    @property
    def mean_statistic(self) -> Float[np.ndarray, "S M"]:
        """m at the saved times."""
        return np.concatenate([np.load(p)["mean_statistic"] for p in self.parts])

    def __iter__(self) -> Iterator[Trajectory]:
        for path in self.parts:
            part = np.load(path)
            if "levy" not in part:
                raise ValueError(
                    "only the mean statistic was recorded (particles=False): read "
                    "`mean_statistic`, or record again with particles=True."
                )
            yield Trajectory(
                times=part["times"],
                initial=np.load(self.directory / "initial.npz")["initial"],
                levy=part["levy"],
                displacement=part["displacement"],
                mean_statistic=part["mean_statistic"],
            )

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete"
        return f"Recording({self.directory}, {len(self.parts)} files, {state})"


def _folder(directory: str | Path) -> Path:
    if not isinstance(directory, (str, os.PathLike)) or "\0" in os.fspath(directory):
        raise ValueError(f"directory must be a path, got {directory!r}.")
    return Path(directory)


def record(
    directory: str | Path,
    model: MeanFieldModel,
    noise: StableNoise,
    key: PRNGKeyArray,
    *,
    num_particles: int,
    save_every: int,
    t1: float | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    particles: bool = True,
    saves_per_file: int | None = None,
    sigma: float = 1.0,
    init: InitialLaw = None,
    scheme: str = "euler",
    block_size: int | None = None,
    dtype: jnp.dtype | None = None,
) -> Recording:
    """Simulates as `simulate`, and writes what it saves to `directory` as it goes.

    Memory holds one file's worth of saved times. A run that is killed, and started again with the
    same arguments, goes on from its last file and ends in the same numbers.

    **Arguments:** as `simulate`, and

    - `directory`: is made if it does not exist.
    - `particles`: whether particles are written, or the mean statistic only.
    - `saves_per_file`: saved times per file; None: about 128 MB.

    **Returns:** a `Recording`. **Raises:** as `simulate`; `ValueError` if `directory` was written
    by another configuration, of which nothing is changed then; `OSError` if it can't be written.
    """
    folder, words = _folder(directory), key_words(key)
    particles = as_flag("particles", particles)
    dtype = float_dtype(dtype)
    check_run(
        model, noise, t1=t1, sigma=sigma, init=init, scheme=scheme, num_particles=num_particles,
        num_steps=num_steps, save_every=save_every, block_size=block_size,
        saves_per_file=saves_per_file,
    )  # fmt: skip
    grid = time_grid(t1, num_steps, times, dtype)
    if grid.num_steps % save_every:
        raise ValueError(f"save_every={save_every} must divide num_steps={grid.num_steps}.")
    plan = layout(num_particles, statistic_size(model), noise.dim, dtype.itemsize, block_size, None)
    per_save = 2 * num_particles * noise.dim * dtype.itemsize if particles else 8
    count = saves_per_file or max(1, _PART_BYTES // per_save)
    check_fits(
        plan, count if particles else 1, statistic_size(model), noise.dim, dtype.itemsize, scheme
    )
    config = {
        "version": __version__,
        "model": fingerprint(model),
        "noise": fingerprint(noise),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "init": fingerprint(init),
        "grid": fingerprint(grid),
        "sigma": float(sigma),
        "dtype": str(dtype),
        **{"num_particles": int(num_particles), "num_steps": grid.num_steps},
        **{"save_every": int(save_every), "saves_per_file": int(count)},
        **{"particles": bool(particles), "scheme": scheme},
    }
    claim(folder, "a recording", config)
    driver = Driver(noise, words, jnp.asarray(sigma, dtype), dtype)
    engine = Engine(model, driver, grid, None, plan, scheme)
    _write_parts(folder, engine, init, int(save_every), int(count), particles)
    return Recording(folder)


def _write_parts(
    folder: Path, engine: Engine, init: InitialLaw, every: int, count: int, particles: bool
) -> None:
    total = engine.grid.num_steps
    times = np.asarray(engine.grid.all_times())[::every]
    at = _read_state(folder)
    if at is None:
        state, step = _start(engine, init), 0
        write_arrays(folder / "initial.npz", initial=np.asarray(rows(state.initial)))
        _write_state(folder, state, step)
    else:
        state = State(*(jnp.asarray(at[k]) for k in ("initial", "levy", "displacement")))
        step = int(at["step"])
    saves = total // every + 1
    # After the last step there is one time more to save, and no step to do: `step` stays there.
    while step < total or not (folder / f"part-{(saves - 1) // count:05d}.npz").exists():
        number = step // every // count
        now = min(count, saves - number * count)
        stretches = min(now, total // every - number * count)
        state, saved = _advance(engine, state, jnp.asarray(step), every, stretches)
        if stretches < now:
            saved = _with_end(engine, state, saved)
        names = ("levy", "displacement", "mean_statistic")
        arrays = {k: np.asarray(v) for k, v in zip(names, saved, strict=True)}
        if not particles:
            arrays = {"mean_statistic": arrays["mean_statistic"]}
        first = number * count
        part = folder / f"part-{number:05d}.npz"
        write_arrays(part, times=times[first : first + now], **arrays)
        step += stretches * every
        _write_state(folder, state, step)


@eqx.filter_jit
def _start(engine: Engine, init: InitialLaw) -> State:
    return engine.start(init)


@eqx.filter_jit(donate="all-except-first")
def _advance(  # type: ignore[no-untyped-def]
    engine: Engine, state: State, first: Array, every: int, stretches: int
):
    """The state after some stretches of `every` steps, and what is saved at their beginnings."""

    def stretch(state, k):  # type: ignore[no-untyped-def]
        m = engine.statistic_at(state, k)
        saved = rows(state.levy), rows(state.displacement), m
        state = engine.step_given(state, k, m)
        after, _ = jax.lax.scan(
            lambda s, j: (engine.step(s, j)[0], None), state, k + jnp.arange(1, every)
        )
        return after, saved

    return jax.lax.scan(stretch, state, first + every * jnp.arange(stretches))


@eqx.filter_jit
def _with_end(engine: Engine, state: State, saved: Any) -> Any:
    end = rows(state.levy), rows(state.displacement), engine.mean(state)
    return tuple(jnp.concatenate([s, e[None]]) for s, e in zip(saved, end, strict=True))


def _write_state(folder: Path, state: State, step: int) -> None:
    arrays = {k: np.asarray(getattr(state, k)) for k in ("initial", "levy", "displacement")}
    write_arrays(folder / "state.npz", step=np.asarray(step), **arrays)


def _read_state(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / "state.npz"
    if not path.exists():
        return None
    try:
        return dict(np.load(path))
    except Exception as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete the directory and record again."
        ) from error


__all__ = ["Recording", "record"]
