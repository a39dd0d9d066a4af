"""Heavy-tailed noise for any optax training loop.

`θ_{k+1} = θ_k - η ∇R(θ_k) + σ η^(1/α) X_k` (Wan, Zaidi and Şimşekli 2023, eq. 3): one stable vector
X_k for each unit (neuron) and step. The noise of a step is a function of (key, step, leaf, unit),
so a run can be cut anywhere and resumed, and another width sees the same noise on its first units.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from stablesde.dynamics._system import check_number
from stablesde.noise import STREAM_NOISE, particle_index, stable_noise
from stablesde.stable._bits import fold, key_words
from stablesde.stable._domain import number_text
from stablesde.stable._sampling import float_dtype
from stablesde.training._checks import as_axis, check_rate, check_sigma


class StableNoiseState(NamedTuple):
    """The state of `add_stable_noise`: the number of steps taken."""

    count: Int[Array, ""]  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StableNoiseState(count={number_text(self.count)})"


def add_stable_noise(
    sigma: float | Float[Array, ""],
    alpha: float | Float[Array, ""],
    kind: str,
    key: PRNGKeyArray,
    learning_rate: float | Float[Array, ""] | optax.Schedule,
    unit_axis: int = 0,
) -> optax.GradientTransformation:
    """Adds `σ η_k^(1/α) X_k` to the updates, X_k an α-stable vector for each unit of each leaf.

    Put it last in a chain, after the step size has been applied. Leaf number i (in the order of
    `jax.tree.leaves`; of the selected leaves under `optax.masked`) of step k receives, unit by
    unit, the rows of
    `stable_noise(kind, alpha, d).increment(jax.random.fold_in(key, i), k, η_k, units)` times σ,
    where `units` is the leaf's length along `unit_axis` and d the number of its other entries.
    Noise for float16 and bfloat16 leaves is drawn in float32 and rounded once.

    σ, α and η may be traced, so that one compiled program serves a sweep over them.

    **Arguments:**

    - `sigma`: noise level σ ≥ 0. `alpha`: in (0, 2]; α = 2 is Gaussian of variance 2σ²η.
    - `kind`: "I" (one number for all the weights of a unit), "II" (independent weights) or "III"
      (rotationally invariant).
    - `key`: a PRNG key; a run resumed from its optimizer state sees the same noise.
    - `learning_rate`: η, or an optax schedule; the noise follows the step size as η_k^(1/α).
    - `unit_axis`: the axis of a leaf that runs over the units: 0 for weights (units, inputs), as
      in Equinox and PyTorch; -1 for (inputs, units), as in Flax.

    **Returns:** an `optax.GradientTransformation`; wrap it in `optax.masked` to choose leaves.

    **Raises:** `ValueError` for σ < 0 or not finite, α outside (0, 2], an unknown kind, a
    learning rate that is not positive (a schedule's: negative), a `key` that is none, or (at the
    update) `updates` with a leaf without that axis, or that is no array of floats.
    """
    sigma, learning_rate = _plain(check_sigma, sigma), check_learning_rate(learning_rate)
    stable_noise(kind, alpha, 1)
    key_words(key)
    unit_axis = as_axis("unit_axis", unit_axis)

    def init(params: PyTree) -> StableNoiseState:
        del params
        return StableNoiseState(jnp.zeros((), jnp.int32))

    def update(updates: PyTree, state: StableNoiseState, params: PyTree = None) -> tuple[Any, Any]:
        del params
        count = state.count
        eta = learning_rate
        if callable(learning_rate):
            eta = _check_scheduled(learning_rate(count))

        def noisy(number: int, leaf: Array) -> Array:
            leaf = _float_array(leaf)
            if leaf.ndim == 0 or not -leaf.ndim <= unit_axis < leaf.ndim:
                raise ValueError(
                    f"updates: a leaf of shape {leaf.shape} has no axis {unit_axis} of units: "
                    "choose unit_axis, or leave it out with a mask."
                )
            units = leaf.shape[unit_axis]
            noise = stable_noise(kind, alpha, max(1, leaf.size // max(1, units)))
            dtype = float_dtype(jnp.promote_types(leaf.dtype, jnp.float32))
            stream = fold(key_words(jax.random.fold_in(key, number)), count, STREAM_NOISE)
            scale = sigma * noise.increment_scale(eta, dtype)
            columns = noise.columns(stream, particle_index(units), scale, dtype)
            others = [n for a, n in enumerate(leaf.shape) if a != unit_axis % leaf.ndim]
            added = jnp.moveaxis(columns.reshape(*others, units), -1, unit_axis)
            return (leaf + added).astype(leaf.dtype)

        leaves, structure = jax.tree.flatten(updates)
        new = [noisy(i, leaf) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, new), StableNoiseState(count + 1)

    return optax.GradientTransformation(init, update)


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
    sigma: float | Float[Array, ""],
    alpha: float | Float[Array, ""],
    kind: str,
    key: PRNGKeyArray,
    mask: Any = None,
    unit_axis: int = 0,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with α-stable noise: `optax.sgd`, then `add_stable_noise`.

    **Arguments:** as `add_stable_noise`; `mask`, a pytree of booleans or a function of the
    parameters that gives one, chooses the leaves that receive noise (default: all).

    **Returns:** an `optax.GradientTransformation`.
    **Raises:** as `add_stable_noise`, and `ValueError` (at `init` and the update) for a `mask` that
    is no tree of booleans of the structure of the parameters.
    """
    learning_rate = check_learning_rate(learning_rate)
    noise = add_stable_noise(sigma, alpha, kind, key, learning_rate, unit_axis)
    masked = noise if mask is None else optax.masked(noise, mask)
    chain = optax.chain(optax.sgd(learning_rate), masked)

    def init(params: PyTree) -> Any:
        _check_mask(mask, params)
        return chain.init(params)

    def update(updates: PyTree, state: Any, params: PyTree = None, **extra: Any) -> Any:
        _check_mask(mask, updates)
        _check_numbers(updates)
        return chain.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


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


def _is_function(mask: Any) -> bool:
    """Whether it is called: an Equinox module of booleans can be, and is a tree nonetheless."""
    return callable(mask) and jax.tree_util.all_leaves([mask])


def _check_mask(mask: Any, tree: PyTree) -> None:
    """Raises `ValueError` unless `mask` chooses among the leaves of `tree`."""
    if mask is None:
        return
    try:
        chosen = mask(tree) if _is_function(mask) else mask
        jax.tree.map(lambda one, part: None, chosen, tree)
    except Exception as error:
        raise ValueError(f"mask does not fit the parameters: {error}") from error
    if not all(isinstance(one, (bool, np.bool_)) for one in jax.tree.leaves(chosen)):
        raise ValueError("mask must hold booleans, one for each leaf or branch of the parameters.")
