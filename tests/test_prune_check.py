"""What is pruned is checked against the user's forward pass; sizes that layers keep follow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

KEY = jax.random.key(0)
X = jnp.ones((4, 5))
HIDDEN = [("layers/0/bias", 0), ("layers/1/weight", 1)]


def apply(model, x):
    return jax.vmap(model)(x)


def group(linked, scored="layers/0/weight"):
    return [ssd.UnitGroup(scored=(scored, 0), linked=linked)]


def mlp():
    return eqx.nn.MLP(5, 3, 40, 2, key=KEY)


@pytest.mark.parametrize("example", [X, jax.ShapeDtypeStruct((4, 5), jnp.float32)])
def test_a_forgotten_leaf_is_told_at_once(example):
    with pytest.raises(ValueError, match=r"does not fit.*axis 1 of layers/1/weight"):
        ssd.prune_tree(mlp(), group(HIDDEN[:1]), fraction=0.5, apply=apply, example=example)
    good = ssd.prune_tree(mlp(), group(HIDDEN), fraction=0.5, apply=apply, example=example)
    np.testing.assert_allclose(apply(good.params, X), apply(good.masked, X), atol=1e-5)


def test_units_of_the_output_are_no_hidden_ones():
    groups = group([("layers/2/bias", 0)], scored="layers/2/weight")
    with pytest.raises(ValueError, match=r"output has the shapes \[\(4, 2\)\]"):
        ssd.prune_tree(mlp(), groups, fraction=0.34, apply=apply, example=X)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"apply": 3, "example": X}, "apply must be a function"),
        ({"example": X}, "example needs apply"),
        ({"apply": apply, "example": X[:, :2]}, "apply fails with params as they are"),
    ],
)
def test_bad_arguments(settings, text):
    with pytest.raises(ValueError, match=text):
        ssd.prune_tree(mlp(), group(HIDDEN), fraction=0.5, **settings)


def test_a_dict_of_arrays():
    params = {"w1": jax.random.normal(KEY, (5, 8)), "w2": jnp.ones((8, 2))}
    forward = lambda p, x: jax.nn.relu(x @ p["w1"]) @ p["w2"]  # noqa: E731
    groups = [ssd.UnitGroup(scored=("w1", 1))]
    with pytest.raises(ValueError, match="axis 0 of w2"):
        ssd.prune_tree(params, groups, fraction=0.5, apply=forward, example=X)


def test_sizes_of_equinox_layers_follow():
    pruned = ssd.prune_tree(mlp(), group(HIDDEN), fraction=0.25).params
    first, second, _ = pruned.layers
    assert (first.in_features, first.out_features) == (5, 30)
    assert (second.in_features, second.out_features) == (30, 40)
    assert "out_features=30" in repr(first)


def test_sizes_of_convolutions_follow():
    one, two = jax.random.split(KEY)
    model = eqx.nn.Sequential([eqx.nn.Conv2d(2, 8, 3, key=one), eqx.nn.Conv2d(8, 4, 3, key=two)])
    groups = group([("layers/0/bias", 0), ("layers/1/weight", 1)])
    image = jnp.ones((1, 2, 8, 8))
    pruned = ssd.prune_tree(model, groups, fraction=0.5, apply=apply, example=image)
    first, second = pruned.params.layers
    assert (first.in_channels, first.out_channels, second.in_channels) == (2, 4, 4)
    np.testing.assert_allclose(apply(pruned.params, image), apply(pruned.masked, image), atol=1e-4)


def test_stacked_and_scalar_layers_stay_as_they_are():
    stacked = eqx.filter_vmap(lambda k: eqx.nn.Linear(5, 8, key=k))(jax.random.split(KEY, 3))
    tree = {"stacked": stacked, "head": eqx.nn.Linear(8, "scalar", key=KEY)}
    groups = [
        ssd.UnitGroup(
            scored=("stacked/weight", 1), linked=[("stacked/bias", 1), ("head/weight", 1)]
        )
    ]
    pruned = ssd.prune_tree(tree, groups, fraction=0.5).params
    assert pruned["stacked"].weight.shape == (3, 4, 5)
    assert pruned["stacked"].out_features == 8
    assert (pruned["head"].in_features, pruned["head"].out_features) == (4, "scalar")
