"""Long runs, written to disk in parts while they go, and resumed where they were."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from stablesde._arguments import as_count, as_flag, by_name
from stablesde._fingerprint import fingerprint
from stablesde._version import __version__
from stablesde.dynamics._grid import TimeGrid, time_grid
from stablesde.dynamics._layout import default_block, layout
from stablesde.dynamics._lost import num_lost, warn_lost_in
from stablesde.dynamics._run import Run, State
from stablesde.dynamics._simulate import Trajectory, check_fits, stretches, with_end
from stablesde.dynamics._system import Driver, check_run
from stablesde.stable._bits import check_key, key_words
from stablesde.store import Arrays, Store, as_path
from stablesde.system import System, sigma_setting

_PART_BYTES = 2**27


class Recording:
    """A run that `record` has written to a directory; reads its files when asked.

    Iterating over it gives the saved times as a `Trajectory` per file, in order.

    **Arguments:** `directory`, the `run_dir` given to `record`.
    **Raises:** `ValueError` if it holds no recording; and, from whatever reads a file, if that is
    damaged, missing between others or of another run.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = as_path("directory", directory)
        try:
            self._store = Store.opened(self.directory, "a recording", _ADVICE)
        except FileNotFoundError:
            raise ValueError(
                f"directory {self.directory} holds no recording: there is no config.json."
            ) from None
        if not {*_COUNTS, "particles"} <= set(self._store.config):
            raise ValueError(f"{self.directory / 'config.json'} is not that of a recording.")

    @property
    def parts(self) -> list[Path]:
        """The files, in order. **Raises:** `ValueError` if one is missing."""
        store = self._store
        found = {p.stem for p in self.directory.glob("part-*.npz")}
        last = max((int(n[5:]) + 1 for n in found if _PART(n)), default=0)
        names = [_part_name(i) for i in range(max(last, _parts_before(store.config, _step(store))))]
        for name in names:
            if name not in found:
                raise store.damaged(name, "it is missing")
        return [store.path(name) for name in names]

    @property
    def complete(self) -> bool:
        """Whether the run has come to its end."""
        config = self._store.config
        at_end = _step(self._store) == config["num_steps"]
        return at_end and _last_part(config) in {p.stem for p in self.parts}

    @property
    def times(self) -> Float[np.ndarray, " S"]:
        """The saved times."""
        return self._joined("times")

    @property
    def mean_statistic(self) -> Float[np.ndarray, "S M"]:
        """m at the saved times."""
        return self._joined("mean_statistic")

    def __iter__(self) -> Iterator[Trajectory]:
        if self.parts and not self._store.config["particles"]:
            raise ValueError(
                "only the mean statistic was recorded (particles=False): read "
                "`mean_statistic`, or record again with particles=True."
            )
        for path in self.parts:
            names = ("times", "levy", "displacement", "mean_statistic")
            initial = _read(self._store, "initial", ("initial",))
            values: dict[str, Any] = initial | _read(self._store, path.stem, names)
            yield Trajectory(**values)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete"
        return f"Recording({self.directory}, {len(self.parts)} files, {state})"

    def _joined(self, name: str) -> np.ndarray:
        return np.concatenate([_read(self._store, p.stem, (name,))[name] for p in self.parts])


_COUNTS = ("num_steps", "save_every", "saves_per_file")
_ADVICE = (
    "delete state.npz in its folder and call `record` again, which writes the same numbers from "
    "the start"
)
_PART = re.compile(r"part-\d{5}").fullmatch


def _part_name(number: int) -> str:
    return f"part-{number:05d}"


def _parts_before(config: dict[str, Any], step: int) -> int:
    """How many files were written before the state of a step.

    At the last step the file that holds the end alone may be missing: it needs nothing else.
    """
    total, every, count = (config[k] for k in _COUNTS)
    saves = max(step, 0) // every
    return saves // count + (step == total and saves % count > 0)


def _last_part(config: dict[str, Any]) -> str:
    total, every, count = (config[k] for k in _COUNTS)
    return _part_name(total // every // count)


def _read(store: Store, name: str, names: tuple[str, ...]) -> Arrays:
    """These arrays of a file of the run. **Raises:** `ValueError` if it is damaged or missing."""
    arrays = store.get(name, names)
    if arrays is None:
        raise store.damaged(name, "it is missing")
    return arrays


def _step(store: Store) -> int:
    """The step of the state on disk; -1 if there is none."""
    state = store.get("state", ("step",))
    return -1 if state is None else int(state["step"])


@by_name
def record(
    system: System,
    key: PRNGKeyArray,
    *,
    run_dir: str | Path,
    num_particles: int,
    save_every: int,
    t1: float | None = None,
    num_steps: int | None = None,
    times: ArrayLike | None = None,
    particles: bool = True,
    saves_per_file: int | None = None,
    scheme: str = "euler",
    block_size: int | None = None,
) -> Recording:
    """Simulates as `simulate`, and writes what it saves to `run_dir` as it goes.

    Memory holds one file's worth of saved times. A run that is killed, and started again with the
    same arguments, goes on from its last file and ends in the same numbers.

    **Arguments:** as `simulate`, and

    - `run_dir`: a directory, made if it does not exist.
    - `particles`: whether particles are written, or the mean statistic only.
    - `saves_per_file`: saved times per file; None: about 128 MB.

    **Returns:** a `Recording`. **Raises:** as `simulate`; `ValueError` if `run_dir` was written
    by another configuration, or holds a file that is damaged or lacks one, of which nothing is
    changed then; `OSError` if it can't be written. **Warns:** as `simulate`, after the first file
    in whose steps a particle was lost.
    """
    folder = as_path("run_dir", run_dir)
    check_key(key)
    particles = as_flag("particles", particles)
    num_particles = as_count("num_particles", num_particles)
    save_every = as_count("save_every", save_every)
    check_run(
        system,
        t1=t1,
        scheme=scheme,
        num_particles=num_particles,
        num_steps=num_steps,
        save_every=save_every,
        block_size=block_size,
        saves_per_file=saves_per_file,
    )
    dtype = system.run_dtype
    size, dim = system.statistic_size, system.dim
    grid = time_grid(t1, num_steps, times, dtype)
    if grid.num_steps % save_every:
        raise ValueError(f"save_every={save_every} must divide num_steps={grid.num_steps}.")
    limit = block_size or default_block(size, dim, dtype.itemsize)
    plan = layout(num_particles, int(limit), None)
    per_save = 2 * num_particles * dim * dtype.itemsize if particles else 8
    count = saves_per_file or max(1, _PART_BYTES // per_save)
    check_fits(plan, count if particles else 1, size, dim, dtype.itemsize, scheme)
    config = {
        "version": __version__,
        "model": fingerprint(system.model),
        "noise": fingerprint(system.noise),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "init": fingerprint(system.init),
        "grid": fingerprint(grid),
        "sigma": sigma_setting(system),
        "dtype": str(dtype),
        **{"num_particles": int(num_particles), "num_steps": grid.num_steps},
        **{"save_every": int(save_every), "saves_per_file": int(count)},
        **{"particles": bool(particles), "scheme": scheme},
    }
    store = Store(folder, config, "a recording", _ADVICE)
    _write_parts(store, Run(Driver.of(system), grid, None, plan, scheme), key)
    return Recording(folder)


def _write_parts(store: Store, run: Run, key: PRNGKeyArray) -> None:
    config = store.config
    total, every, count = (config[k] for k in _COUNTS)
    times = np.asarray(_times(run.grid))[::every]
    step = _step(store)
    if step < 0:
        state, step = _start(run, key), 0
        initial = np.asarray(state.initial).T[: run.layout.num_particles]
        store.put("initial", {"initial": initial})
        _write_state(store, state, step)
    else:
        for name in ("initial", *map(_part_name, range(_parts_before(config, step)))):
            _read(store, name, ())  # that it is there, and whose: what it holds is not read
        state = _read_state(store)
    told = False
    saves = total // every + 1
    # After the last step there is one time more to save, and no step to do: `step` stays there.
    while step < total or not store.path(_last_part(config)).exists():
        number = step // every // count
        now = min(count, saves - number * count)
        whole = min(now, total // every - number * count)
        ends = whole < now
        k = np.asarray(step, np.int32)
        state, saved, count_lost = _advance((run, key), state, k, every, whole, ends)
        if not told and int(count_lost):  # what is on disk is still the state before these steps
            warn_lost_in(int(count_lost), run, key, _read_state(store), step, stacklevel=4)
            told = True
        names = ("levy", "displacement", "mean_statistic")
        arrays = {k: np.asarray(v) for k, v in zip(names, saved, strict=True)}
        if not config["particles"]:
            arrays = {"mean_statistic": arrays["mean_statistic"]}
        first = number * count
        store.put(_part_name(number), {"times": times[first : first + now]} | arrays)
        step += whole * every
        _write_state(store, state, step)


@eqx.filter_jit
def _times(grid: TimeGrid) -> Array:
    return grid.all_times()


@eqx.filter_jit
def _start(run: Run, key: PRNGKeyArray) -> State:
    return run.under(key_words(key)).start()


@eqx.filter_jit(donate="all-except-first")
def _advance(  # type: ignore[no-untyped-def]
    fixed: tuple[Run, PRNGKeyArray], state: State, k: Any, every: int, count: int, ends: bool
):
    """The state after some stretches of `every` steps, and what is saved at their beginnings; with
    `ends`, at the end as well."""
    run, n = fixed[0].under(key_words(fixed[1])), fixed[0].layout.num_particles
    moving = state.levy, state.displacement
    saved: Any = None
    if count:
        moving, saved = stretches(run, state.initial, moving, k, every, count)
    if ends:
        saved = with_end(run, state.initial, moving, k + every * count, saved)
    levy, displacement, m = saved
    state = State(state.initial, *moving)
    return state, (levy[:, :n], displacement[:, :n], m), num_lost(run.layout, state)


_STATE = ("initial", "levy", "displacement")


def _read_state(store: Store) -> State:
    at = _read(store, "state", _STATE)
    return State(*(jnp.asarray(at[k]) for k in _STATE))


def _write_state(store: Store, state: State, step: int) -> None:
    arrays = {k: np.asarray(getattr(state, k)) for k in _STATE}
    store.put("state", arrays | {"step": np.asarray(step)})


__all__ = ["Recording", "record"]
