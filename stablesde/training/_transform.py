"""Heavy-tailed noise for any optax training loop.

`θ_{k+1} = θ_k - η ∇R(θ_k) + σ η^(1/α) X_k` (Wan, Zaidi and Şimşekli 2023, eq. 3): one stable vector
X_k for each unit (neuron) and step. The noise of a step is a function of (key, step, leaf, unit),
so a run can be cut anywhere and resumed, and another width sees the same noise on its first units.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from stablesde.dynamics._system import check_number
from stablesde.noise import stable_noise
from stablesde.noise._base import STREAM_NOISE, particle_index
from stablesde.stable._bits import fold, key_words
from stablesde.stable._domain import number_text
from stablesde.stable._sampling import float_dtype
from stablesde.stable._varying import varying_axes
from stablesde.training._checks import as_axis, check_rate, check_sigma


class StableNoiseState(NamedTuple):
    """The state of `add_stable_noise`: the number of steps taken."""

    count: Int[Array, ""]  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StableNoiseState(count={number_text(self.count)})"


def add_stable_noise(
    learning_rate: float | Float[Array, ""] | optax.Schedule,
    sigma: float | Float[Array, ""] | PyTree,
    alpha: float | Float[Array, ""],
    kind: str,
    key: PRNGKeyArray,
    mask: Any = None,
    unit_axis: int | None = None,
    *,
    axis_name: str | tuple[str, ...] | None = None,
) -> optax.GradientTransformation:
    """Adds `σ η_k^(1/α) X_k` to the updates, X_k an α-stable vector for each unit of each leaf.

    Put it last in a chain, after the step size has been applied. In step k a leaf receives, unit
    by unit, the rows of `stable_noise(kind, alpha, d).increment(leaf_key(key, path), k, η_k,
    units)` times σ, where `units` is the leaf's length along `unit_axis`, d the number of its other
    entries and `path` its place in the tree: leaves never share noise, whatever masks choose them.
    Noise for float16 and bfloat16 leaves is drawn in float32 and rounded once.

    σ, α and η may be traced, so that one compiled program serves a sweep over them, and may be
    scheduled by `optax.inject_hyperparams(…, static_args=("key", "mask", "unit_axis"))`, of which
    those that are given have to be named.

    **Arguments:**

    - `learning_rate`: η, or an optax schedule; the noise follows the step size as η_k^(1/α).
    - `sigma`: noise level σ ≥ 0, or a tree of them: one for each leaf or branch of the parameters.
    - `alpha`: in (0, 2]; α = 2 is Gaussian of variance 2σ²η.
    - `kind`: "I" (one number for all the weights of a unit), "II" (independent weights) or "III"
      (rotationally invariant).
    - `key`: a PRNG key; a run resumed from its optimizer state sees the same noise.
    - `mask`: a tree of booleans, or a function of the parameters that gives one, which chooses the
      leaves (or branches) that receive noise; None: all.
    - `unit_axis`: the axis of a leaf that runs over the units: 0 (None) for weights (units,
      inputs), as in Equinox and PyTorch; -1 for (inputs, units), as in Flax.
    - `axis_name`: inside `jax.shard_map`, the mesh axes over which the units are spread, so that
      each shard gets the noise of its own units; (): the same noise on every shard.

    **Returns:** an `optax.GradientTransformation`.

    **Raises:** `ValueError` for σ < 0 or not finite, α outside (0, 2], an unknown kind, a
    learning rate that is not positive (a schedule's: negative), a `key` that is none, or (at the
    update) `updates` with a leaf without that axis, that is no array of floats, or that differs
    between the shards of a `shard_map` while `axis_name` is None; a `mask` or `sigma` that is no
    tree of the structure of the parameters.
    """
    sigma = jax.tree.map(lambda s: _plain(check_sigma, s), sigma)
    learning_rate = check_learning_rate(learning_rate)
    stable_noise(kind, alpha, 1)
    key_words(key)
    axis = 0 if unit_axis is None else as_axis("unit_axis", unit_axis)

    def init(params: PyTree) -> StableNoiseState:
        _chosen(mask, params)
        _for_leaves("sigma", sigma, params)
        return StableNoiseState(jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: StableNoiseState, params: PyTree = None) -> tuple[Any, Any]:
        del params
        count = state.count
        eta = learning_rate
        if callable(learning_rate):
            eta = _check_scheduled(learning_rate(count))

        def noisy(path: Any, leaf: Array, chosen: bool, level: Array) -> Array:
            if not chosen:
                return leaf
            leaf = _float_array(leaf)
            if leaf.ndim == 0 or not -leaf.ndim <= axis < leaf.ndim:
                raise ValueError(
                    f"updates: a leaf of shape {leaf.shape} has no axis {axis} of units: "
                    "choose unit_axis, or leave it out with a mask."
                )
            units = leaf.shape[axis]
            noise = stable_noise(kind, alpha, max(1, leaf.size // max(1, units)))
            dtype = float_dtype(jnp.promote_types(leaf.dtype, jnp.float32))
            stream = fold(key_words(leaf_key(key, path)), count, STREAM_NOISE)
            scale = level * noise.increment_scale(eta, dtype)
            index = particle_index(units) + _first_unit(axis_name, leaf, units)
            columns = noise.columns(stream, index, scale, dtype)
            others = [n for a, n in enumerate(leaf.shape) if a != axis % leaf.ndim]
            added = jnp.moveaxis(columns.reshape(*others, units), -1, axis)
            return (leaf + added).astype(leaf.dtype)

        chosen, levels = _chosen(mask, updates), _for_leaves("sigma", sigma, updates)
        new = jax.tree_util.tree_map_with_path(noisy, updates, chosen, levels)
        return new, StableNoiseState(count + 1)

    return optax.GradientTransformation(init, update)


def leaf_key(key: PRNGKeyArray, path: Any) -> PRNGKeyArray:
    """The key of the noise of one leaf, by its place `path` in the tree (a tuple of JAX's keys).

    A tree that is one array has `fold_in(key, 0)`. Otherwise 64 bits of a hash of the path are
    folded in: two leaves of a tree meet with probability below 1e-13 even in trees of a thousand.
    """
    if not path:
        return jax.random.fold_in(key, 0)
    text = jax.tree_util.keystr(path, simple=True, separator="/")
    digest = hashlib.sha256(text.encode()).digest()
    for part in (digest[:4], digest[4:8]):
        key = jax.random.fold_in(key, int.from_bytes(part, "little"))
    return key


def _first_unit(axis_name: str | tuple[str, ...] | None, leaf: Array, units: int) -> Any:
    """The number of the first unit of this shard, which holds so many `units` of the leaf."""
    varying = varying_axes(leaf)
    if axis_name is None and varying:
        raise ValueError(
            f"updates: a leaf differs between the shards along {sorted(varying)} of a shard_map: "
            "name the axes over which its units are spread, axis_name=…, or say axis_name=() for "
            "the same noise on all shards."
        )
    if not axis_name:
        return jnp.uint32(0)
    return jax.lax.axis_index(axis_name).astype(jnp.uint32) * jnp.uint32(units)


def _plain(check: Callable[[Any], Any], value: Any) -> Any:
    """The value, checked, with integers as floats; arrays stay what they are."""
    checked = check(value)
    return value if isinstance(value, jax.Array) else checked


def check_learning_rate(rate: Any) -> Any:
    """η, or a schedule. Raises `ValueError` unless it has a rate (of step 0) that may be taken."""
    if not callable(rate):
        return _plain(check_rate, rate)
    try:
        start = rate(jnp.zeros((), jnp.int32))
    except Exception as error:
        raise ValueError(f"learning_rate, as a schedule, fails at step 0: {error}") from error
    _check_scheduled(start)
    return rate


def _check_scheduled(rate: Any) -> Any:
    """The rate of a schedule, which may be 0. Raises `ValueError` if it is none."""
    check_number("learning_rate, of the schedule,", rate)
    if jnp.ndim(rate) != 0:
        raise ValueError(f"learning_rate, of the schedule, has shape {jnp.shape(rate)}, not ().")
    return rate


def _float_array(leaf: Any) -> Array:
    """A leaf as an array. Raises `ValueError` unless it holds floating-point numbers."""
    dtype = getattr(leaf, "dtype", None)
    if not isinstance(leaf, (float, np.ndarray, np.generic, jax.Array)) or (
        dtype is not None and not jnp.issubdtype(dtype, jnp.floating)
    ):
        what = type(leaf).__name__ if dtype is None else f"an array of {dtype}"
        raise ValueError(
            f"updates: a leaf is {what}, no array of floats: leave it out with a mask, or out of "
            "the tree (equinox.partition)."
        )
    return jnp.asarray(leaf)


def heavy_tailed_sgd(
    learning_rate: float | Float[Array, ""] | optax.Schedule,
    sigma: float | Float[Array, ""] | PyTree,
    alpha: float | Float[Array, ""],
    kind: str,
    key: PRNGKeyArray,
    mask: Any = None,
    unit_axis: int | None = None,
    *,
    axis_name: str | tuple[str, ...] | None = None,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with α-stable noise: `optax.sgd`, then `add_stable_noise`.

    **Arguments:** as `add_stable_noise`. **Returns:** an `optax.GradientTransformation`.
    **Raises:** as `add_stable_noise`.
    """
    learning_rate = check_learning_rate(learning_rate)
    noise = add_stable_noise(
        learning_rate, sigma, alpha, kind, key, mask, unit_axis, axis_name=axis_name
    )
    chain = optax.chain(optax.sgd(learning_rate), noise)

    def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> Any:
        _check_numbers(updates)
        return chain.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(chain.init, update)


def _check_numbers(updates: PyTree) -> None:
    """Raises `ValueError` unless all leaves are numbers, which plain SGD can scale."""
    for leaf in jax.tree.leaves(updates):
        dtype = getattr(leaf, "dtype", None)
        known = isinstance(leaf, (int, float, complex, np.ndarray, np.generic, jax.Array))
        if not known or not (
            dtype is None or any(jnp.issubdtype(dtype, k) for k in (np.number, np.bool_))
        ):
            what = type(leaf).__name__ if dtype is None else f"an array of {dtype}"
            raise ValueError(f"updates: a leaf is {what}, no array of numbers: partition the tree.")


def _chosen(mask: Any, tree: PyTree) -> PyTree:
    """Whether each leaf of `tree` receives noise. Raises `ValueError` for a mask that can't say."""
    if mask is None:
        return jax.tree.map(lambda leaf: True, tree)
    # An Equinox module of booleans can be called, and is a tree nonetheless.
    is_function = callable(mask) and jax.tree_util.all_leaves([mask])
    try:
        told = mask(tree) if is_function else mask
    except Exception as error:
        raise ValueError(f"mask does not fit the parameters: {error}") from error
    if not all(isinstance(one, (bool, np.bool_)) for one in jax.tree.leaves(told)):
        raise ValueError("mask must hold booleans, one for each leaf or branch of the parameters.")
    return _for_leaves("mask", told, tree)


def _for_leaves(name: str, given: Any, tree: PyTree) -> PyTree:
    """`given`, one value for each leaf or branch of `tree`, as one value for each leaf."""
    if jax.tree_util.all_leaves([given]):
        return jax.tree.map(lambda leaf: given, tree)
    try:
        return jax.tree.map(lambda one, part: jax.tree.map(lambda _: one, part), given, tree)
    except Exception as error:
        raise ValueError(f"{name} does not fit the parameters: {error}") from error
