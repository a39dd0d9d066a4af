"""What every public class has: a short repr that says something, and records that are pytrees."""

import dataclasses
import importlib
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instances import public_instances

import stablesde as ssd
from stablesde import studies

pytestmark = pytest.mark.slow  # one of everything takes most of a minute to make

MODULES = (
    "stablesde", "stablesde.compression", "stablesde.datasets", "stablesde.diffrax_path",
    "stablesde.dynamics", "stablesde.model", "stablesde.noise", "stablesde.plotting",
    "stablesde.report", "stablesde.stable", "stablesde.studies", "stablesde.theory",
    "stablesde.training",
)  # fmt: skip
ABSTRACT = {"MeanFieldModel", "StableNoise", "Unit"}
# Settings, requests and handles of files: one leaf each (docs/architecture.md).
NO_PYTREES = {
    "Axis", "CompressionLaw", "PaperTable", "Preset", "Recording", "Setting", "StudyDesign",
    "TableRow", "UnitAxis", "UnitGroup",
}  # fmt: skip
# What a user of each looks for first.
TELLS = {
    "OneFactorStable": "alpha=1.7, dim=2",
    "NetworkModel": "tanh, logistic, x (300, 2)",
    "AssumptionConstants": "B=6.6",
    "WeightDecay": "rate=0.1",
    "TailIndex": "95 %",
    "LemmaB1": "n=1000",
    "LawFlow": "4 steps, 300 statistics, 64 particles",
    "Trajectory": "64 particles in dimension 2, 3 saved times, float32",
    "PicardFlow": "converged after",
    "FokkerPlanck": "101 nodes",
    "CoupledErrors": "9 replicas, 2 sizes",
    "RateStudy": "propagation_of_chaos: 4 widths, 64 replicas",
    "Slope": "95 %",
    "TailStudy": "tail index 1.712 [1.512, 1.912]",
    "Dataset": "60 training and 30 test inputs",
    "Network": "w1 (8, 40), w2 (40, 2), float32",
    "PrunedTree": "of 80 units removed",
    "TrainResult": "3 seeds",
    "Measured": "0.9235 ± 0.011",
    "StableNoiseState": "count=0",
    "PaperTable": "Table 1",
    "Recording": "complete",
}


def public_classes():
    names = set()
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", ()):
            if inspect.isclass(getattr(module, name)):
                names.add(name)
    return sorted(names - ABSTRACT)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return public_instances(tmp_path_factory.mktemp("records") / "recording")


@pytest.fixture(scope="module")
def records(made):
    return {name: value for name, value in made.items() if name not in NO_PYTREES}


def leaves_equal(first, second):
    first, second = jax.tree.leaves(first), jax.tree.leaves(second)
    return len(first) == len(second) and all(
        a is b or np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")
        for a, b in zip(first, second, strict=True)
    )


def test_every_public_class_is_looked_at(made):
    assert sorted(made) == public_classes()


def test_reprs_are_one_short_line_that_says_something(made):
    for name, value in made.items():
        text = repr(value)
        assert text.startswith(f"{name}("), text
        assert len(text) <= 200, (name, len(text))
        assert "\n" not in text, name
        assert "rray(" not in text, text
        assert TELLS.get(name, "") in text, (name, text)


def test_records_are_pytrees_and_settings_are_not(made):
    for name, value in made.items():
        leaves = jax.tree.leaves(value)
        single = len(leaves) == 1 and leaves[0] is value
        assert single == (name in NO_PYTREES), name


def test_records_survive_flattening(records):
    for name, value in records.items():
        leaves, structure = jax.tree.flatten(value)
        again = jax.tree.unflatten(structure, leaves)
        assert type(again) is type(value), name
        assert leaves_equal(again, value), name
        assert repr(again) == repr(value), name
        assert jax.tree.structure(again) == structure, name
        assert hash(jax.tree.structure(again)) == hash(structure), name
        if hasattr(value, "to_dict"):
            assert again.to_dict() == value.to_dict(), name


def test_records_can_be_copied_to_the_host_and_mapped(records):
    for name, value in records.items():
        numbers = [x for x in jax.tree.leaves(value) if isinstance(x, jax.Array)]
        if any(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in numbers):
            continue
        fetched = jax.device_get(value)
        assert leaves_equal(fetched, value), name
        same = jax.tree.map(lambda x: x, value)
        assert leaves_equal(same, value), name


def test_a_repr_never_fails_on_what_a_transformation_puts_in(records):
    """Under `jit` leaves are tracers, under `vmap` they have a leading axis; some are `None`."""
    for name, value in records.items():
        arrays = jax.tree.map(
            lambda x: x if isinstance(x, (jax.Array, np.ndarray)) else None, value
        )
        for leaves in (arrays, jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), arrays)):
            assert name in repr(leaves), name
        seen = []

        def inside(x, seen=seen):
            seen.append(repr(x))
            return x

        jax.eval_shape(inside, arrays)
        assert seen[0].startswith(name), seen
        assert len(seen[0]) < 400, seen


def test_records_return_from_jit():
    measured = ssd.training.Measured((0.5, 0.25))
    doubled = jax.jit(lambda m: jax.tree.map(lambda v: 2 * v, m))(measured)
    assert isinstance(doubled, ssd.training.Measured)
    assert doubled.mean == 0.75


def test_records_are_frozen_replaced_and_pickled(records):
    for name in ("RateStudy", "TailStudy", "IndependenceStudy", "ProbabilityStudy", "Measured"):
        value = records[name]
        assert leaves_equal(pickle.loads(pickle.dumps(value)), value), name
        field = dataclasses.fields(value)[0].name
        replaced = dataclasses.replace(value, **{field: getattr(value, field)})
        assert leaves_equal(replaced, value), name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, 0)


def test_studies_keep_the_order_of_their_measures(records):
    study = records["RateStudy"]
    again = jax.tree.map(lambda x: x, study)
    assert list(again.errors) == list(study.errors) == ["sup", "mean"]
    assert isinstance(again.axes[0], studies.Axis)
    assert again.slope() == study.slope()
