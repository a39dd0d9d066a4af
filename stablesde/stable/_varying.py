"""Loops inside a user's `jax.shard_map`, whose types tell the mesh axes over which a value varies.

What a loop carries must go in and come out with the same type. A start that is the same on all
devices, such as zeros, therefore has to be marked as varying where the loop makes it vary. Outside
of `shard_map` nothing varies, and these functions return what they are given.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

Tree = Any


def vary_with(tree: Tree, *others: Tree) -> Tree:
    """`tree`, every array of which varies over all axes over which any of `tree`, `others` does."""
    return _marked(tree, varying_axes((tree, others)))


def settled(
    step: Callable[[Tree, Array], tuple[Tree, Tree]], carry: Tree, k: Array
) -> tuple[Callable[[Tree, Array], tuple[Tree, Tree]], Tree]:
    """`step` and `carry`, marked so that what `step` carries on has the carry's type."""
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return step, carry
    # Of what the step closes over nothing is known until it is traced.
    traced = jax.make_jaxpr(lambda carry, k: jax.tree.leaves(step(carry, k)[0]))(carry, k)
    axes = varying_axes(carry).union(*(_varying(aval) for aval in traced.out_avals))

    def marked(carry: Tree, k: Array) -> tuple[Tree, Tree]:
        after, report = step(carry, k)
        return _marked(after, axes), report

    return marked, _marked(carry, axes)


def varying_axes(tree: Tree) -> frozenset[Any]:
    """The axes of a `shard_map` over which any array of `tree` varies; none outside."""
    arrays = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    return frozenset().union(*(_varying(jax.typeof(x)) for x in arrays))


def _varying(aval: Any) -> frozenset[Any]:
    return aval.mat.varying if hasattr(aval, "mat") else aval.vma  # JAX before 0.10: vma


def _marked(tree: Tree, axes: frozenset[Any]) -> Tree:
    def mark(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return x
        missing = tuple(sorted(axes - _varying(jax.typeof(x)), key=str))
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(mark, tree)


__all__ = ["settled", "vary_with", "varying_axes"]
