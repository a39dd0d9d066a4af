"""Real removal of units: a smaller dense network that computes the same as the masked one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from stablesde._arguments import as_count, as_flag, as_number
from stablesde.compression import prunable, row_sizes
from stablesde.training._checks import as_axis
from stablesde.training._network import Network, check_network


def remove_units(network: Network, error: float = 0.1) -> Network:
    """The network without its smallest units: dense, and as much smaller on disk.

    Computes the same as the network whose units are masked: a unit whose incoming weights are zero
    puts out relu(0) = 0.

    **Arguments:** `network`; `error`: the removed units' share of the squared norm of `w1` stays
    ≤ `error` (see `stablesde.pruning_ratio`).
    **Returns:** a `Network` of the units that are left.
    **Raises:** `ValueError` for `error` outside [0, 1) or weights that are not finite.
    """
    network = check_network(network)
    keep = np.flatnonzero(~np.asarray(prunable(network.w1.T, error)))
    return Network(network.w1[:, keep], network.w2[keep])


@dataclasses.dataclass(frozen=True)
class UnitAxis:
    """Where the units of a group lie in one leaf of a tree.

    - `leaf`: the leaf's place, as in `"layers/0/weight"` or `"params/Dense_0/kernel"`.
    - `axis`: its axis that runs over the units.
    - `repeat`: how many entries of that axis belong to one unit. More than 1 where a convolution's
      channels are flattened into the inputs of a dense layer: then it is height × width.
    - `inner`: False if the entries of one unit are consecutive (channels first, as in Equinox and
      PyTorch), True if the unit's index runs fastest (channels last, as in Flax).
    """

    leaf: str
    axis: int
    repeat: int = 1
    inner: bool = False


@dataclasses.dataclass(frozen=True)
class UnitGroup:
    """The units of one layer: whose norms rank them, and what goes with them.

    - `scored`: the incoming weights, by whose norm units are ranked.
    - `linked`: all else that a unit owns: its entry of the bias, and of the input axis of every
      layer that reads it.

    A place may be a `UnitAxis` or a pair (leaf, axis).
    """

    scored: UnitAxis | tuple[str, int]
    linked: Sequence[UnitAxis | tuple[str, int]] = ()


class PrunedTree(NamedTuple):
    """What `prune_tree` returns.

    `params`: the tree with the units taken out, smaller. `masked`: the tree in its old shapes,
    everything that removed units own set to zero. `removed`: a mask over the units for each group.
    """

    params: PyTree
    masked: PyTree
    removed: tuple[Bool[Array, " units"], ...]

    def __repr__(self) -> str:
        if any(isinstance(r, jax.core.Tracer) for r in self.removed):
            return f"PrunedTree({len(self.removed)} groups, traced)"
        gone = (f"{int(np.sum(r))} of {np.size(r)}" for r in self.removed)
        return f"PrunedTree({', '.join(gone)} units removed)"


def prune_tree(
    params: PyTree,
    groups: Sequence[UnitGroup],
    *,
    error: float | None = None,
    fraction: float | None = None,
    apply: Callable[[PyTree, Any], Any] | None = None,
    example: Any = None,
) -> PrunedTree:
    """Removes the smallest units of chosen layers from any tree of weights.

    A layer's units are slices of several leaves: of its weights and bias, and of the input axis of
    the next layer. Each group names all of them; norms are taken before anything is removed. The
    smaller tree computes what the masked one does, as long as layers look at shapes only: the sizes
    that Equinox's `Linear` and `Conv` keep beside their weights follow (not `MLP.width_size`, one
    number for all hidden layers, which nothing reads); Flax modules that declare a number of
    features have to be built again with the smaller one.

    **Arguments:**

    - `params`: a tree with arrays among its leaves: a dict, an Equinox module, … Other leaves stay.
    - `groups`: `UnitGroup`s, one for each layer to prune.
    - `error`: in each group the removed units' share of the squared norm of the scored leaf stays
      ≤ `error` (None: 0.1); or `fraction` in [0, 1], rounded to a whole number of units, of units
      to remove.
    - `apply`, `example`: your forward pass `apply(params, example)` and an input for it, an array
      or a `jax.ShapeDtypeStruct`, to check that the smaller tree fits together. Only shapes are
      computed. Without them a group that forgot a leaf is found out by the first use.

    **Returns:** a `PrunedTree`.

    **Raises:** `ValueError` for a leaf or an axis that is not there, leaves of a group that
    disagree on the number of units, an axis named twice, `error` or `fraction` out of range,
    scored weights that are not finite, a group of which no unit would be left, or a smaller tree
    that `apply` does not take, or whose output has another shape.
    """
    if error is not None and fraction is not None:
        raise ValueError("give error or fraction, not both: each says how many units go.")
    error = as_number("error", 0.1 if error is None else error, 0, 1, "[)")
    fraction = None if fraction is None else as_number("fraction", fraction, 0, 1)
    with_paths, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in with_paths]
    leaves = dict(zip(names, (leaf for _, leaf in with_paths), strict=True))
    small, masked, removed = dict(leaves), dict(leaves), []
    seen: set[tuple[str, int]] = set()
    for places in _places(groups):
        scored, *linked = (_place(p, leaves) for p in places)
        units = _units(scored, leaves)
        gone = _smallest(_rows(leaves[scored.leaf], scored, units), error, fraction)
        if gone.all():
            raise ValueError(
                f"groups: all {units} units of {scored.leaf} would be removed: lower error or "
                "fraction, or leave this group out."
            )
        removed.append(gone)
        for place in (scored, *linked):
            if (place.leaf, place.axis) in seen:
                raise ValueError(f"groups: axis {place.axis} of {place.leaf} is named twice.")
            seen.add((place.leaf, place.axis))
            if _units(place, leaves) != units:
                raise ValueError(
                    f"groups: axis {place.axis} of {place.leaf} holds {_units(place, leaves)} "
                    f"units, that of {scored.leaf} {units}: another axis, or repeat?"
                )
            entries = np.tile(gone, place.repeat) if place.inner else np.repeat(gone, place.repeat)
            small[place.leaf] = jnp.compress(~entries, small[place.leaf], place.axis)
            shape = [1] * masked[place.leaf].ndim
            shape[place.axis] = -1
            masked[place.leaf] = jnp.where(entries.reshape(shape), 0, masked[place.leaf])
    smaller, zeroed = (
        jax.tree.unflatten(structure, [tree[n] for n in names]) for tree in (small, masked)
    )
    smaller = _with_sizes(smaller)
    if apply is not None:
        _check_use(apply, params, smaller, example, _unnamed(leaves, seen, removed))
    elif example is not None:
        raise ValueError("example needs apply, the function of (params, example) that it is for.")
    return PrunedTree(smaller, zeroed, tuple(jnp.asarray(r) for r in removed))


def _check_use(
    apply: Callable[[PyTree, Any], Any], before: PyTree, after: PyTree, example: Any, unnamed: str
) -> None:
    """Raises `ValueError` unless `apply` gives the same shapes with both trees."""
    if not callable(apply):
        raise ValueError(f"apply must be a function of (params, example), got {apply!r}.")
    try:
        expected = eqx.filter_eval_shape(apply, before, example)
    except Exception as error:
        raise ValueError(f"apply fails with params as they are: {error}") from error
    try:
        found = eqx.filter_eval_shape(apply, after, example)
    except Exception as error:
        raise ValueError(
            f"groups: the smaller tree does not fit together: {error} Does a group lack the input "
            f"axis of the layer that reads its units?{unnamed}"
        ) from error
    shapes = [[getattr(x, "shape", None) for x in jax.tree.leaves(t)] for t in (expected, found)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"groups: the output has the shapes {shapes[1]} after the removal, {shapes[0]} before: "
            "its own units are no hidden ones."
        )


def _unnamed(
    leaves: dict[str, Any], seen: set[tuple[str, int]], removed: Sequence[np.ndarray]
) -> str:
    """A hint at axes that are as long as a group has units, and in none."""
    lengths = {len(gone) for gone in removed}
    places = [
        f"axis {axis} of {name}"
        for name, leaf in leaves.items()
        if _is_numbers(leaf)
        for axis, length in enumerate(leaf.shape)
        if length in lengths and (name, axis) not in seen
    ]
    return f" As long, and in none: {', '.join(places)}." if places else ""


def _with_sizes(tree: PyTree) -> PyTree:
    """The tree, in which Equinox's layers say the sizes that their weights have."""

    def is_layer(node: Any) -> bool:
        return isinstance(node, (eqx.nn.Linear, eqx.nn.Conv))

    return jax.tree.map(lambda n: _sized(n) if is_layer(n) else n, tree, is_leaf=is_layer)


def _sized(layer: Any) -> Any:
    axes = 2 + getattr(layer, "num_spatial_dims", 0)
    if not _is_numbers(layer.weight) or layer.weight.ndim != axes:  # stacked layers, for `vmap`
        return layer
    rows, columns = layer.weight.shape[:2]
    if isinstance(layer, eqx.nn.Conv):
        sizes = {"out_channels": rows, "in_channels": columns * layer.groups}
    else:
        sizes = {"out_features": rows, "in_features": columns}
    # Static fields of a frozen module, whose __init__ draws new weights.
    copy = object.__new__(type(layer))
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        value = sizes[field.name] if field.name in sizes and value != "scalar" else value
        object.__setattr__(copy, field.name, value)
    return copy


def _places(groups: Sequence[UnitGroup]) -> list[tuple[Any, ...]]:
    """All places of each group, the scored one first."""
    try:
        chosen: list[Any] = list(groups)
    except TypeError:
        chosen = [groups]
    found = []
    for group in chosen:
        if not isinstance(group, UnitGroup) or not isinstance(group.linked, (list, tuple)):
            raise ValueError(
                "groups must be a list of training.UnitGroup, whose linked places are a list, got "
                f"{group!r}."
            )
        found.append((group.scored, *group.linked))
    return found


def _place(place: UnitAxis | tuple[str, int], leaves: dict[str, Any]) -> UnitAxis:
    """The place with an axis counted from the front, checked."""
    if isinstance(place, (tuple, list)) and len(place) == 2:
        place = UnitAxis(*place)
    if not isinstance(place, UnitAxis) or not isinstance(place.leaf, str):
        raise ValueError(
            f"groups: a place must be a UnitAxis or a pair (leaf, axis), got {place!r}."
        )
    place = dataclasses.replace(
        place,
        axis=as_axis("groups: axis", place.axis),
        repeat=as_count("groups: repeat", place.repeat),
        inner=as_flag("groups: inner", place.inner),
    )
    leaf: Any = leaves.get(place.leaf)
    if not _is_numbers(leaf):
        arrays = [n for n, v in leaves.items() if _is_numbers(v)]
        raise ValueError(
            f"params: there is no array {place.leaf!r}; arrays are {', '.join(arrays)}."
        )
    if not -leaf.ndim <= place.axis < leaf.ndim:
        raise ValueError(f"groups: {place.leaf}, of shape {leaf.shape}, has no axis {place.axis}.")
    if leaf.shape[place.axis] % place.repeat:
        raise ValueError(
            f"groups: axis {place.axis} of {place.leaf}, of length {leaf.shape[place.axis]}, is "
            f"not made of blocks of {place.repeat}."
        )
    return dataclasses.replace(place, axis=place.axis % leaf.ndim)


def _is_numbers(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray)) and bool(
        jnp.issubdtype(leaf.dtype, jnp.floating) or jnp.issubdtype(leaf.dtype, jnp.integer)
    )


def _units(place: UnitAxis, leaves: dict[str, Any]) -> int:
    return leaves[place.leaf].shape[place.axis] // place.repeat


def _rows(leaf: Array, place: UnitAxis, units: int) -> Array:
    """The scored leaf as (units, other entries)."""
    front = jnp.moveaxis(jnp.asarray(leaf), place.axis, 0)
    if not front.size:
        raise ValueError(f"groups: {place.leaf}, of shape {leaf.shape}, has no units to rank.")
    front = front.astype(jnp.promote_types(front.dtype, jnp.float32))
    if place.inner:
        return jnp.moveaxis(front.reshape(place.repeat, units, -1), 1, 0).reshape(units, -1)
    return front.reshape(units, -1)


def _smallest(rows: Array, error: float, fraction: float | None) -> np.ndarray:
    """Which rows go."""
    sizes = np.asarray(row_sizes(rows))
    if not np.all(np.isfinite(sizes)):
        raise ValueError("scored weights of params must be finite (found NaN or inf).")
    if fraction is None:
        return np.asarray(prunable(rows, error))
    gone = np.zeros(len(sizes), bool)
    gone[np.argsort(sizes, kind="stable")[: round(fraction * len(sizes))]] = True
    return gone
