"""Checks of what trainings are called with: settings, seeds, data."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablesde._arguments import as_choice, as_count, as_number, is_concrete
from stablesde.datasets import Dataset
from stablesde.datasets._load import NAMES
from stablesde.dynamics._system import check_number
from stablesde.noise import stable_noise

NOISES = ("I", "II", "III", "none")
# Steps are counted in 32 bits with a sign; nothing else that is counted comes near.
_MOST = 2**31 - 1
_MOST_SEEDS = 10**6


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an integer from `least` to 2³¹ - 1. Raises `ValueError` if it is none."""
    number = as_count(name, value, least)
    if number > _MOST:
        raise ValueError(f"{name} must be below 2^31, got {value!r}.")
    return number


def as_text(name: str, value: Any) -> str:
    """Raises `ValueError` unless `value` is a string."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {value!r}.")
    return value


def check_sigma(sigma: Any) -> Any:
    """σ as a float. Raises `ValueError` unless it is finite and ≥ 0; a traced one passes."""
    check_number("sigma", sigma)
    return float(sigma) if is_concrete(sigma) else sigma


def check_rate(rate: Any) -> Any:
    """η as a float. Raises `ValueError` unless it is finite and > 0; a traced one passes."""
    check_number("learning_rate", rate)
    if is_concrete(rate) and float(rate) == 0:
        raise ValueError(f"learning_rate must be positive, got {rate!r}.")
    return float(rate) if is_concrete(rate) else rate


def as_axis(name: str, axis: Any) -> int:
    """An axis as an integer, from either end. Raises `ValueError` if it is none."""
    try:
        if not isinstance(axis, (bool, np.bool_)):
            return operator.index(axis)
    except TypeError:
        pass
    raise ValueError(f"{name}, an axis, must be an integer, got {axis!r}.")


def check_name(dataset: str | Dataset) -> None:
    """Raises `ValueError` for the name of no data set, and for what is neither name nor data."""
    if not isinstance(dataset, (str, Dataset)):
        raise ValueError(f"dataset must be a name or a stablesde.Dataset, got {dataset!r}.")
    if isinstance(dataset, str) and dataset not in NAMES:
        raise ValueError(f"dataset: unknown data set {dataset!r}; known are {', '.join(NAMES)}.")


def check_setting(width: int, noise: str, alpha: float) -> tuple[int, float]:
    """Width and α as numbers. Raises `ValueError` for those that are none, and unknown noise."""
    as_choice("noise", noise, NOISES)
    alpha = as_number("alpha", alpha, 0, 2, "(]")
    stable_noise("I", alpha, 1)
    return check_count("width", width), alpha


def choose_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds meant by a number of them from 0 on, or by themselves; checked."""
    try:
        if isinstance(seeds, (str, bytes, bool, np.bool_)):
            raise TypeError
        if isinstance(seeds, range) and len(seeds) > _MOST_SEEDS:
            seeds = len(seeds)
        number = operator.index(seeds) if np.ndim(seeds) == 0 else None  # type: ignore[arg-type]
        chosen = () if number is not None else tuple(seeds)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"seeds must be their number or a list of them, got {seeds!r}.") from None
    if number is not None:
        if not 1 <= number <= _MOST_SEEDS:
            raise ValueError(
                f"seeds, the number of seeds, must be at least 1 and at most {_MOST_SEEDS}, got "
                f"{seeds!r}."
            )
        chosen = tuple(range(number))
    if not chosen:
        raise ValueError("seeds must not be empty.")
    return tuple(check_seed("seeds", s) for s in chosen)


def check_seed(name: str, value: Any) -> int:
    """A seed as an integer. Raises `ValueError` if it is none that `jax.random.key` keeps whole."""
    try:
        number = -1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = -1
    # jax.random.key keeps 32 bits: seeds beyond them would repeat others.
    if not 0 <= number < 2**32:
        raise ValueError(f"{name} must lie in 0, …, 2^32 - 1, got {value!r}.")
    return number


def check_data(name: str, data: Any) -> None:
    """Raises `ValueError` unless `data` are a `Dataset`."""
    if not isinstance(data, Dataset):
        raise ValueError(f"{name} must be a stablesde.Dataset, got {type(data).__name__}.")
