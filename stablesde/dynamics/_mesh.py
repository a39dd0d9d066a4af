"""Running a function on every device of a mesh, as one program."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.sharding import Mesh, PartitionSpec


def on_mesh(
    function: Callable[..., Any],
    mesh: Mesh | None,
    out_specs: Any,
    *arguments: Any,
    split: Any = (),
) -> Any:
    """`function(*split, *arguments)` on all devices of `mesh`; called directly if it is None.

    `arguments` are any pytrees, the same on every device. `split` are (array, PartitionSpec) pairs
    of which each device sees its share. What is returned is laid out by `out_specs`.
    """
    arrays = tuple(a for a, _ in split)
    if mesh is None:
        return function(*arrays, *arguments)
    dynamic, static = eqx.partition(arguments, eqx.is_array)

    def local(dynamic: Any, arrays: Any) -> Any:
        return function(*arrays, *eqx.combine(dynamic, static))

    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(PartitionSpec(), tuple(spec for _, spec in split)),
        out_specs=out_specs,
        check_vma=False,
    )(dynamic, arrays)
