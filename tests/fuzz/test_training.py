"""Wild arguments to `stablesde.training`: experiments, presets, tables, pruning, optax pieces."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st

from fuzz.engine import (
    Arg,
    Thing,
    check,
    choice,
    count,
    flag,
    fuzz,
    key,
    number,
    promise,
    real,
    value,
)
from fuzz.surroundings import check_files, offline
from stablesde import training
from stablesde.datasets import Dataset, teacher
from stablesde.training import Network, Preset, UnitAxis, UnitGroup

DATA = teacher(8, 8)
OTHER_DATA = Dataset("three", DATA.x_train, np.arange(8) % 3, DATA.x_test, np.arange(8) % 3, 3)
SETTINGS = Preset(0.1, 0.02, 2)


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    with offline(tmp_path_factory.mktemp("here")):
        yield


def folders(*good):
    """Directories; wild ones cannot be made or are none."""
    return value(*good, bad=st.sampled_from(["\x00", b"x"]))


def seeds(*good):
    many = st.sampled_from([[0, 1], [2**32], [-1], [0.5], ["a"], [[1]], 10**9, 2**32, -1, None])
    return value(*good, bad=many)


SIGMA = real(0.0, 1.0)
RATE = real(1e-3, 1.0)
WIDTH, STEPS = count(3), count(2)
ALPHA = number(1.5)
NOISE = choice("I", "I", "none")
EXPERIMENT = dict(
    width=WIDTH, alpha=ALPHA, steps=STEPS, sigma=SIGMA, learning_rate=RATE, seeds=seeds(1, [0]),
    seed=value(0, bad=st.sampled_from([2**32, -1, 0.5, 10**30])),
    root=folders(None, "/nowhere"), noise=choice("I"),
)  # fmt: skip


@fuzz(
    200,
    dataset=value(DATA, "teacher", bad=st.sampled_from(["ecg5000", "mnist", "cifar10", "x"])),
    run_dir=folders(None),
    **EXPERIMENT,
)
def test_train(call):
    outcome = check_files(training.train, **call)
    if outcome.error is None:
        for name in ("train_accuracy", "test_accuracy", "pruning_ratio"):
            promise(getattr(outcome.value, name).mean, ())
        assert check(training.format_table, outcome.value).error is None


@fuzz(
    120,
    dataset=value(DATA, "teacher", bad=st.sampled_from(["ecg5000", OTHER_DATA, "x"])),
    unit=choice("tanh"),
    predictions=count(2),
    **EXPERIMENT,
)
def test_train_mean_field(call):
    outcome = check_files(training.train_mean_field, **call)
    if outcome.error is None:
        promise(outcome.value.pruning_ratio.mean, ())
        assert check(training.format_mean_field, outcome.value).error is None


@fuzz(
    120,
    data=value(DATA, bad=st.sampled_from(["teacher", OTHER_DATA])),
    width=WIDTH, noise=NOISE, alpha=ALPHA, seed=value(0, 1, bad=st.sampled_from([2**32, -1, 2.5])),
    settings=value(SETTINGS, bad=st.sampled_from([{}, (0.1, 0.1, 2)])),
    run_dir=folders(None), save_seconds=real(0.0, 10.0),
)  # fmt: skip
def test_fit(call):
    outcome = check(training.fit, **call)
    if outcome.error is None:
        network, steps = outcome.value
        promise(network.w1, (2, 3))
        assert steps == 2


@fuzz(
    150, learning_rate=RATE, sigma=SIGMA, steps=STEPS, batch_size=count(4),
    until_accuracy=real(0.01, 1.0),
)  # fmt: skip
def test_preset_record(call):
    check(Preset, **call)


@fuzz(
    150, dataset=choice("ecg5000", "mnist", "cifar10", "digits"), width=count(7, 2000, 10**6),
    noise=NOISE,
)  # fmt: skip
def test_preset(call):
    outcome = check(training.preset, **call)
    if outcome.error is None:
        promise([outcome.value.learning_rate, outcome.value.sigma, outcome.value.steps])


@fuzz(
    100, dataset=choice("ecg5000", "mnist"), noise=NOISE, width=count(7, 2000),
    alpha=number(1.75, 2),
)  # fmt: skip
def test_paper_row(call):
    check(training.paper_row, **call)


@fuzz(
    150,
    number=value(1, 4, 6, 17, 20, bad=st.integers(-2, 25)),
    run=value(False, False, True),
    seeds=seeds(1, 5, [0, 3]), only=value((), ["none"], bad=st.sampled_from([["x"], [1], "none"])),
    root=folders(None), data=value(None, bad=st.sampled_from([DATA, "x"])), width=WIDTH,
    sigma=value(None, 0.1), learning_rate=value(None, 0.1), steps=STEPS, predict=count(0, 0, 2),
)  # fmt: skip
def test_paper_table(tmp_path, call):
    outcome = check(training.paper_table, out=tmp_path, **call)
    if outcome.error is None:
        assert str(outcome.value).startswith("Table")


@fuzz(20, out=folders("/nowhere"))
def test_paper_table_folder(call):
    check(training.paper_table, 1, **call)


@fuzz(
    150, width=WIDTH, noise=NOISE, alpha=ALPHA, sigma=SIGMA, learning_rate=RATE, steps=count(2, 9),
    dim=count(2), networks=count(2), seed=value(0, bad=st.sampled_from([2**32, -1, 0.5])),
    error=number(0.1),
)  # fmt: skip
def test_predicted_ratio(call):
    outcome = check(training.predicted_ratio, **call)
    if outcome.error is None:
        promise(outcome.value.samples, (2,))
        promise(check(outcome.value.quantile, 0.5).value, ())


@fuzz(60, q=real(0.0, 1.0))
def test_quantile(call):
    law = training.PredictedRatio(3, "I", 1.5, 0.1, (10.0, 20.0))
    outcome = check(law.quantile, **call)
    if outcome.error is None:
        promise(outcome.value, ())


# Pruning -----------------------------------------------------------------------------------------

NETWORK = Network(jnp.asarray(DATA.x_train[:3].T), jnp.ones((3, 2)))
NETWORKS = value(
    NETWORK,
    bad=st.sampled_from(
        [
            Network(jnp.full((2, 3), jnp.nan), jnp.ones((3, 2))), Network(None, None),
            Network(jnp.ones((2, 3)), jnp.ones((4, 2))), Network(jnp.ones(3), jnp.ones(3)),
            Network(jnp.ones((2, 0)), jnp.ones((0, 2))), Network(jnp.ones((2, 3)), jnp.ones(3)),
            Network(np.ones((2, 3), object), np.ones((3, 2))), Network([[1.0]], [[1.0]]),
            Network(jnp.zeros((2, 3)), jnp.ones((3, 2))), Network("a", "b"),
        ]
    ),
)  # fmt: skip


@fuzz(120, network=NETWORKS, error=real(0.0, 0.99))
def test_remove_units(call):
    outcome = check(training.remove_units, **call)
    if outcome.error is None:
        assert outcome.value.w1.shape[1] == len(outcome.value.w2)


FRACTIONS = st.sampled_from([[0.0, 1.5], [-0.1], [], ["a"], [None], [[0.5]], [float("nan")]])


@fuzz(
    150,
    network=NETWORKS,
    data=value(DATA, bad=st.sampled_from([teacher(4, 4, dim=3), OTHER_DATA, "teacher"])),
    fractions=value(None, [0.0, 0.5, 1.0], np.linspace(0, 1, 3), bad=FRACTIONS),
)
def test_pruning_curve(call):
    outcome = check(training.pruning_curve, **call)
    if outcome.error is None:
        promise(outcome.value.test_accuracy)
        promise(outcome.value.error)


TREE = {
    "a": {"weight": jnp.arange(6.0).reshape(3, 2), "bias": np.ones(3)},
    "b": jnp.ones((2, 6)), "name": "x", "none": None,
}  # fmt: skip
TREES = value(
    TREE,
    bad=st.sampled_from(
        [
            {}, [], None, jnp.ones((3, 2)), {"a": {"weight": np.full((3, 2), np.nan)}},
            {"a": {"weight": np.ones((3, 2), object), "bias": np.ones(3)}, "b": np.ones((2, 6))},
            {"a": {"weight": np.ones((0, 2)), "bias": np.ones(0)}, "b": np.ones((2, 0))},
            {"a": {"weight": np.full((3, 2), "x"), "bias": np.ones(3)}, "b": np.ones((2, 6))},
            {"a": {"weight": np.ones((3, 0)), "bias": np.ones(3)}, "b": np.ones((2, 6))},
            {1: np.ones((3, 2))}, TREE | {"a": {"weight": TREE["a"]["weight"].astype(int)}},
        ]
    ),
)  # fmt: skip
GOOD_GROUP = UnitGroup(("a/weight", 0), [("a/bias", 0), UnitAxis("b", 1, repeat=2)])
GROUPS = value(
    [GOOD_GROUP],
    (UnitGroup(("a/weight", 0)),),
    [],
    bad=st.sampled_from(
        [
            [UnitGroup(("a/weight", 0), [("a/weight", 0)])], [UnitGroup(("x", 0))],
            [UnitGroup(("a/weight", 2))], [UnitGroup(("a/weight", -3))], [UnitGroup(("b", 0.5))],
            [UnitGroup("a/weight")], [UnitGroup(("a/weight",))], [UnitGroup(None)], [("b", 1)],
            [UnitGroup(("name", 0))], [UnitGroup(("none", 0))], [UnitGroup(("b", None))],
            [UnitGroup(("b", 1, 0))], [UnitGroup(("b", 1, 4))], [UnitGroup(("b", 1, 1.5))],
            [UnitGroup(("b", 1, "x"))], [UnitGroup(("b", 1, 10**30))], [UnitGroup(("b", 10**30))],
            [UnitGroup(("a/weight", 0), None)], [UnitGroup(("a/weight", 0), [("b", 1)])],
            [UnitGroup(("a/weight", 0), [None])], [UnitGroup(("a/weight", 0), "ab")],
            GOOD_GROUP, [Thing()], [UnitGroup((["a"], 0))], [UnitGroup(("b", 1, 2, True))],
            [UnitGroup(UnitAxis("b", True))], [UnitGroup(("a/bias", 0), [("a/bias", -1)])],
        ]
    ),
)  # fmt: skip


@fuzz(300, params=TREES, groups=GROUPS, error=real(0.0, 0.99), fraction=value(None, None, 0.5))
def test_prune_tree(call):
    outcome = check(training.prune_tree, **call)
    if outcome.error is None:
        structure = jax.tree.structure(call["params"])
        assert jax.tree.structure(outcome.value.params) == structure
        assert jax.tree.structure(outcome.value.masked) == structure


@fuzz(60, leaf=choice("a"), axis=count(0, 1), repeat=count(1, 2), inner=flag())
def test_unit_axis(call):
    check(UnitAxis, **call)


# Optax pieces ------------------------------------------------------------------------------------


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class Odd:
    """A node of the user's own."""

    weight: object

    def tree_flatten(self):
        return (self.weight,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}
LEAVES = st.sampled_from(
    [
        jnp.ones((3, 2)), jnp.ones((3, 2), jnp.float16), jnp.ones((3, 2), jnp.bfloat16),
        jnp.ones(()), jnp.ones(3), jnp.ones((0, 2)), jnp.ones((3, 0)), jnp.ones((3, 2), int), None,
        jnp.ones((3, 2), bool), jnp.ones((3, 2), complex), 1.0, np.ones((3, 2)), np.float32(1), 1,
        "a", jax.random.key(0), jnp.full((3, 2), jnp.nan), np.ones((3, 2), object),
    ]
)  # fmt: skip
UPDATES = st.one_of(
    LEAVES,
    st.lists(LEAVES, max_size=2),
    st.tuples(LEAVES, st.just(())),
    st.dictionaries(st.sampled_from(["w", "b", ""]), LEAVES, max_size=2),
    LEAVES.map(Odd),
    st.just({"w": {"deep": [jnp.ones((3, 2))]}}),
)
SCHEDULES = value(
    0.1, optax.constant_schedule(0.1), jnp.asarray(0.5), jnp.float32(0.1),
    bad=st.sampled_from([lambda: 1, lambda step: None, lambda step: "a", lambda step: -1.0,
                         lambda step: jnp.ones(2), lambda step: float("nan")]),
)  # fmt: skip
NOISE_ARGUMENTS = dict(
    sigma=real(0.0, 1.0), alpha=number(1.5, 2.0, jnp.asarray(1.5)), kind=choice("I", "II", "III"),
    key=key(), learning_rate=SCHEDULES, unit_axis=value(0, -1, bad=st.sampled_from([5, -9, 10**9])),
)  # fmt: skip


@fuzz(200, updates=Arg(st.just(PARAMS), UPDATES), **NOISE_ARGUMENTS)
def test_add_stable_noise(call):
    updates = call.pop("updates")
    transform(training.add_stable_noise, call, updates)


MASKS = value(
    None, {"w": True, "b": False}, lambda tree: jax.tree.map(lambda x: x.ndim == 2, tree),
    bad=st.sampled_from([True, False, {"w": True}, {"x": True}, {"w": 1, "b": 0}, [True, False],
                         {"w": "yes", "b": None}, lambda: None, lambda tree: None, "w", {}]),
)  # fmt: skip


@fuzz(250, updates=Arg(st.just(PARAMS), UPDATES), mask=MASKS, **NOISE_ARGUMENTS)
def test_heavy_tailed_sgd(call):
    updates = call.pop("updates")
    transform(training.heavy_tailed_sgd, call, updates)


def transform(function, call, updates):
    """Builds the transformation and takes a step; finite updates stay finite."""

    def step(updates, **arguments):
        built = function(**arguments)
        state = built.init(updates)
        return built.update(updates, state, updates)[0]

    step.__module__ = function.__module__
    step.__doc__ = function.__doc__
    parameters = [inspect.Parameter("updates", inspect.Parameter.KEYWORD_ONLY)]
    parameters = [*inspect.signature(function).parameters.values(), *parameters]
    step.__signature__ = inspect.Signature(parameters)
    outcome = check(step, updates=updates, **call)
    if outcome.error is None:
        assert jax.tree.structure(outcome.value) == jax.tree.structure(updates)
        pairs = zip(jax.tree.leaves(updates), jax.tree.leaves(outcome.value), strict=True)
        for old, new in pairs:
            if getattr(old, "dtype", None) is not None and np.all(np.isfinite(old)):
                promise(jnp.asarray(new, float), np.shape(old))


@pytest.mark.fuzz
def test_records_of_other_types():
    """The formatters take their records alone."""
    for function in (
        training.format_table, training.format_mean_field, training.format_paper_table
    ):  # fmt: skip
        for thing in (None, {}, "x", Thing(), DATA):
            assert check(function, thing).error is not None
