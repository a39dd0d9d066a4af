"""What the studies share: checked sizes, the configuration a run is bound to, replica batches."""

import dataclasses
import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import ArrayLike, PRNGKeyArray

from stablesde._arguments import as_count, as_number
from stablesde._fingerprint import fingerprint
from stablesde._version import __version__
from stablesde.dynamics import LawFlow, law_flow
from stablesde.dynamics._system import check_run, check_scheme
from stablesde.model import AssumptionConstants, DriftBounds, MeanFieldModel, NetworkModel
from stablesde.noise import StableNoise
from stablesde.stable._bits import Keys, check_key
from stablesde.store import as_path
from stablesde.studies._runner import run_cells
from stablesde.system import System, check_is_system, check_num_initial, sigma_setting

# More of them take more memory for their resamples than any machine has.
_MOST_REPLICAS = 10**6
# The keys of predictions, beside those of the replicas.
STREAM_PREDICTION = 2**31 - 3


def count(name: str, value: Any, least: int = 1) -> int:
    """The integer `value`, of Python, NumPy or JAX; `ValueError` if it is none or below `least`."""
    try:
        return as_count(name, value, least)
    except ValueError:
        raise ValueError(
            f"{name} must be an integer and at least {least}, got {value!r}."
        ) from None


def replicas_and_batch(settings: dict[str, Any], least: int = 2) -> dict[str, int]:
    """The two settings, checked."""
    replicas = count("replicas", settings["replicas"])
    if replicas < least:
        raise ValueError(f"replicas must be at least {least} (for an interval), got {replicas}.")
    if replicas > _MOST_REPLICAS:
        raise ValueError(f"replicas must be at most {_MOST_REPLICAS}, got {replicas}.")
    return {"replicas": replicas, "batch": count("batch", settings["batch"])}


def sizes(name: str, values: Any) -> tuple[int, ...]:
    """Increasing positive integers from a sequence or an array of integers."""
    try:
        entries = tuple(values)
    except TypeError:
        raise ValueError(
            f"{name} must be a sequence of integers, such as ({values!r},), got {values!r}."
        ) from None
    try:
        numbers = tuple(count(name, v) for v in entries)
    except ValueError:
        numbers = ()
    if not numbers:
        raise ValueError(f"{name} must be positive integers, got {values!r}.")
    _below(name, max(numbers))
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(f"{name} must be increasing, got {numbers!r}.")
    return numbers


def constants_of(model: MeanFieldModel) -> AssumptionConstants | None:
    """Computed for a network, or from the bounds that a model declares; None if there are none."""
    if getattr(model, "is_random", False):  # a drift of its own at every step
        return None
    if isinstance(model, NetworkModel):
        return model.assumption_constants()
    bounds = getattr(model, "bounds", None)  # of another kind: something of the user's own
    return bounds.assumption_constants() if isinstance(bounds, DriftBounds) else None


def is_plain(system: System) -> bool:
    """Whether the system is of the paper's kind: stable noise times a number."""
    plain = not callable(system.sigma) and np.ndim(system.sigma) == 0
    return plain and isinstance(system.noise, StableNoise)


def no_bound_reason(constants: AssumptionConstants | None) -> tuple[str, ...]:
    if constants is None:
        return (
            "No bound: the constants of Assumption 1 are not known. If the drift is bounded and "
            "Lipschitz, declare them: FunctionModel(…, bounds=ssd.model.DriftBounds(…)), or a "
            "field or property `bounds` of your model.",
        )
    return () if constants.holds else (f"No bound: Assumption 1 fails, {constants.reason}.",)


def configuration(system: System, key: PRNGKeyArray, **settings: Any) -> dict[str, Any]:
    """What a run directory is bound to, and what a record reports.

    Everything is checked here, before a run directory is touched. **Raises:** `ValueError` as
    `ssd.simulate`, and for `replicas` or `batch` that are too small.
    """
    settings |= replicas_and_batch(settings)
    check_key(key)
    check_is_system(system)
    as_number("t1", settings["t1"], 0)
    if not callable(system.sigma) and np.ndim(system.sigma) == 0:
        as_number("sigma", system.sigma, 0)
    model, noise, init = system.model, system.noise, system.init
    largest = max(settings.get("widths", (settings["batch"],)))
    steps = settings.get("fine_steps", settings["num_steps"])
    # By their own names, so that a message tells what to change.
    name = "fine_steps" if "fine_steps" in settings else "num_steps"
    _below("batch", settings["batch"])
    _below(name, steps)
    check_run(system, t1=settings["t1"], num_particles=largest)
    if "law_particles" in settings:
        _below("law_particles", settings["law_particles"])
        check_num_initial(system, settings["law_particles"])
    settings |= {"t1": float(settings["t1"]), "sigma": sigma_setting(system)}
    settings["dtype"] = str(system.run_dtype)
    return {
        "version": __version__,
        "model": type(model).__name__,
        "parameters": parameters(model),
        "model_fingerprint": fingerprint(model),
        "noise": type(noise).__name__,
        "noise_fingerprint": fingerprint(noise),
        "alpha": float(noise.tail_index),
        "dim": system.dim,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "init": "N(0, I)" if init is None else fingerprint(init),
        **{k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
    }


def parameters(model: Any) -> str:
    """The numbers, words and functions that a model was made with, for titles."""
    told = []
    for name in [field.name for field in dataclasses.fields(model)]:
        value = getattr(model, name)
        scalar = isinstance(value, (int, float)) or getattr(value, "shape", None) == ()
        if scalar or isinstance(value, (str, types.FunctionType)):
            told.append(f"{name}={float(value):g}" if scalar else f"{name}={_name(value)}")
    return ", ".join(told)


def _name(value: Any) -> str:
    return getattr(value, "__name__", value)


def _below(name: str, value: int) -> None:
    if value >= 2**32:
        raise ValueError(f"{name} must be below 2^32, the range of the noise's counters.")


def check_scheme_of_study(scheme: str, system: System, predict: int = 0) -> str:
    """The scheme, checked. Raises `ValueError` for an unknown one, or a prediction of another."""
    check_scheme(scheme, system.model)
    if predict and scheme != "euler":
        raise ValueError(f'predict is about the scheme "euler", not {scheme!r}: take predict=0.')
    return scheme


def replica_errors(
    name: str,
    config: dict[str, Any],
    key: PRNGKeyArray,
    compute: Callable[[Keys], dict[str, Any]],
    run_dir: str | Path | None,
) -> dict[str, np.ndarray]:
    """`compute` on the keys of all replicas, in batches that are the cells of the run."""
    replicas, batch = config["replicas"], config["batch"]

    def cell(first: int) -> dict[str, np.ndarray]:
        numbers = np.arange(first, min(first + batch, replicas))
        errors = compute(keys_of(key, numbers))
        return {measure: np.asarray(values) for measure, values in errors.items()}

    cells = [
        (f"replicas-{first:05d}", functools.partial(cell, first))
        for first in range(0, replicas, batch)
    ]
    parts = run_cells(name, config, cells, as_folder(run_dir))
    return {measure: np.concatenate([p[measure] for p in parts]) for measure in parts[0]}


@jax.jit
def key_of(key: PRNGKeyArray, number: ArrayLike) -> PRNGKeyArray:
    """The key of a replica, or of a stream beside them: one program."""
    return jax.random.fold_in(key, number)


@jax.jit
def keys_of(key: PRNGKeyArray, numbers: ArrayLike) -> Keys:
    """The keys of these replicas, (R,)."""
    return jax.vmap(lambda r: jax.random.fold_in(key, r))(numbers)


def as_folder(run_dir: Any) -> Path | None:
    """`run_dir` as a path. Raises `ValueError` for what is none."""
    return None if run_dir is None else as_path("run_dir", run_dir)


def lazy_flow(system: System, key: PRNGKeyArray, **settings: Any) -> Callable[[], LawFlow]:
    """The law flow, estimated when first needed: a resumed study with all its cells needs none."""

    def estimate() -> LawFlow:
        try:
            return law_flow(system, key, **settings)
        except ValueError as error:
            told = ", ".join(f"{name} = {settings[name]}" for name in ("t1", "num_steps"))
            raise ValueError(f"no law flow at {told}, sigma = {system.sigma}: {error}") from error

    return functools.cache(estimate)
