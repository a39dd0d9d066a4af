"""Units taken out of networks, of users' own trees too, and accuracy against how many."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde import paper, training
from stablesde.datasets import load, teacher
from stablesde.training._network import accuracy, pruned


def saved_bytes(tree):
    file = io.BytesIO()
    np.savez(file, **{str(i): leaf for i, leaf in enumerate(jax.tree.leaves(tree))})
    return len(file.getvalue())


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    network, _ = paper.fit(data, 256, "I", 1.5, paper.Preset(0.1, 0.05, 100), 0)
    return data, network


def test_removed_units_leave_the_outputs_and_shrink_the_file(digits):
    data, network = digits
    small = training.remove_units(network)
    masked, ratio = pruned(network)
    assert 0.2 < ratio < 1
    assert small.w1.shape == (64, round(256 * (1 - ratio)))
    scale = float(jnp.max(jnp.abs(masked.logits(data.x_test))))
    np.testing.assert_allclose(
        small.logits(data.x_test), masked.logits(data.x_test), rtol=1e-5, atol=1e-5 * scale
    )
    assert saved_bytes(small) / saved_bytes(network) == pytest.approx(1 - ratio, abs=0.01)


def test_a_curve_is_the_accuracy_of_networks_without_those_units(digits):
    data, network = digits
    curve = training.pruning_curve(network, data, (0, 0.25, 0.5, 1.0))
    assert curve.units_removed == (0, 64, 128, 256)
    order = np.argsort(np.linalg.norm(np.asarray(network.w1), axis=0))
    total = float(jnp.sum(network.w1**2))
    for k, gone in enumerate(curve.units_removed):
        keep = order[gone:]
        small = training.Network(network.w1[:, keep], network.w2[keep])
        test = accuracy(small, jnp.asarray(data.x_test), jnp.asarray(data.y_test))
        train = accuracy(small, jnp.asarray(data.x_train), jnp.asarray(data.y_train))
        assert curve.test_accuracy[k] == pytest.approx(test, abs=1e-12)
        assert curve.train_accuracy[k] == pytest.approx(train, abs=1e-12)
        lost = float(jnp.sum(network.w1[:, order[:gone]] ** 2))
        assert curve.error[k] == pytest.approx(lost / total, abs=1e-5)
    assert len(training.pruning_curve(network, data).fractions) == 100
    assert set(curve.to_dict()) >= {"fractions", "train_accuracy", "test_accuracy", "error"}


@pytest.mark.parametrize("fractions", [(-0.1,), (1.5,), (), (float("nan"),)])
def test_bad_fractions(digits, fractions):
    with pytest.raises(ValueError, match="fractions"):
        training.pruning_curve(digits[1], digits[0], fractions)


def test_a_curve_needs_the_networks_own_inputs(digits):
    with pytest.raises(ValueError, match="inputs of length 2"):
        training.pruning_curve(digits[1], teacher())


def test_an_equinox_mlp(key):
    """Two hidden layers, with biases: the smaller model computes what the masked one does."""
    model = eqx.nn.MLP(5, 3, 40, 2, activation=jax.nn.sigmoid, key=key)
    groups = [
        ssd.UnitGroup(
            scored=(f"layers/{i}/weight", 0),
            linked=[(f"layers/{i}/bias", 0), (f"layers/{i + 1}/weight", 1)],
        )
        for i in range(2)
    ]
    result = ssd.prune_tree(model, groups, error=0.3)
    kept = [40 - int(r.sum()) for r in result.removed]
    assert all(0 < k < 40 for k in kept)
    assert result.params.layers[0].weight.shape == (kept[0], 5)
    assert result.params.layers[1].weight.shape == (kept[1], kept[0])
    assert result.params.layers[2].weight.shape == (3, kept[1])
    expected = ssd.prunable(model.layers[1].weight, 0.3)
    np.testing.assert_array_equal(result.removed[1], expected)
    x = jax.random.normal(jax.random.fold_in(key, 1), (20, 5))
    np.testing.assert_allclose(jax.vmap(result.params)(x), jax.vmap(result.masked)(x), atol=1e-5)
    whole = ssd.prune_tree(model, groups, fraction=0.0)
    np.testing.assert_array_equal(jax.vmap(whole.params)(x), jax.vmap(model)(x))


def convolutional(params, x, flatten):
    """Images (3, 3, channels): filters, relu, a dense layer after `flatten`ing channels so."""
    y = jax.lax.conv_general_dilated(
        x, params["conv"]["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = jax.nn.relu(y + params["conv"]["bias"])
    y = y if flatten == "last" else jnp.moveaxis(y, -1, 1)
    return y.reshape(len(x), -1) @ params["dense"]["kernel"]


@pytest.mark.parametrize("flatten", ["first", "last"])
def test_filters_before_a_flattened_dense_layer(flatten, key):
    """A dict as in Flax; a filter owns 2x2 inputs of the dense layer, in either order."""
    keys = jax.random.split(key, 4)
    params = {
        "conv": {
            "kernel": jax.random.normal(keys[0], (2, 2, 3, 10)),
            "bias": jax.random.normal(keys[1], (10,)),
        },
        "dense": {"kernel": jax.random.normal(keys[2], (40, 6))},
    }
    group = ssd.UnitGroup(
        ("conv/kernel", -1),
        [("conv/bias", 0), ssd.UnitAxis("dense/kernel", 0, repeat=4, inner=flatten == "last")],
    )
    result = ssd.prune_tree(params, [group], fraction=0.4)
    norms = np.linalg.norm(np.asarray(params["conv"]["kernel"]).reshape(-1, 10), axis=0)
    np.testing.assert_array_equal(np.flatnonzero(result.removed[0]), np.sort(np.argsort(norms)[:4]))
    assert result.params["conv"]["kernel"].shape == (2, 2, 3, 6)
    assert result.params["dense"]["kernel"].shape == (24, 6)
    x = jax.random.normal(keys[3], (5, 3, 3, 3))
    # What it has to be: the original network with those channels silenced after the relu.
    silenced = params | {"conv": jax.tree.map(lambda p: p * ~result.removed[0], params["conv"])}
    expected = convolutional(silenced, x, flatten)
    np.testing.assert_allclose(convolutional(result.params, x, flatten), expected, atol=1e-4)
    np.testing.assert_allclose(convolutional(result.masked, x, flatten), expected, atol=1e-4)


def test_units_ranked_by_an_axis_that_holds_several_entries_of_each():
    """Two units, three entries each: unit 0 is small."""
    small_first = jnp.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    for inner, leaf in ((False, small_first), (True, small_first.reshape(2, 3).T.reshape(-1))):
        group = ssd.UnitGroup(ssd.UnitAxis("a", 0, repeat=3, inner=inner))
        result = ssd.prune_tree({"a": leaf}, [group], fraction=0.5)
        assert result.removed[0].tolist() == [True, False]
        assert result.params["a"].tolist() == [1.0, 1.0, 1.0]


TREE = {"a": jnp.ones((4, 3)), "b": jnp.ones((4,)), "c": jnp.ones((2, 4)), "name": "x"}


@pytest.mark.parametrize(
    ("group", "settings", "message"),
    [
        (ssd.UnitGroup(("d", 0)), {}, "no array 'd'; arrays are a, b, c"),
        (ssd.UnitGroup(("name", 0)), {}, "no array 'name'"),
        (ssd.UnitGroup(("a", 2)), {}, "no axis 2"),
        (ssd.UnitGroup(("a", 0), [("c", 0)]), {}, "holds 2 units, that of a 4"),
        (ssd.UnitGroup(("a", 0), [("a", -2)]), {}, "named twice"),
        (ssd.UnitGroup(("a", 0), [ssd.UnitAxis("c", 1, repeat=3)]), {}, "blocks of 3"),
        (ssd.UnitGroup(("a", 0)), {"fraction": 1.5}, "fraction"),
        (ssd.UnitGroup(("a", 0)), {"error": 1.0}, "error"),
        (ssd.UnitGroup(("a", 0)), {"fraction": 1.0}, "all 4 units of a would be removed"),
    ],
)
def test_bad_groups(group, settings, message):
    with pytest.raises(ValueError, match=message):
        ssd.prune_tree(TREE, [group], **settings)


def test_error_and_fraction_exclude_each_other():
    group = ssd.UnitGroup(("w", 0))
    with pytest.raises(ValueError, match="error or fraction, not both"):
        ssd.prune_tree({"w": np.ones((4, 3))}, [group], error=0.1, fraction=0.5)
