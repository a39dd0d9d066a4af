"""What every public class has: a short repr that says something; records come back from files."""

import dataclasses
import importlib
import inspect
import json
import pickle

import jax
import numpy as np
import pytest
from instances import public_instances

import stablesde as ssd
from stablesde._records import JsonRecord

pytestmark = pytest.mark.slow  # one of everything takes most of a minute to make

MODULES = (
    "stablesde", "stablesde.compression", "stablesde.datasets", "stablesde.diffrax_path",
    "stablesde.dynamics", "stablesde.model", "stablesde.noise", "stablesde.plotting",
    "stablesde.paper", "stablesde.stable", "stablesde.studies", "stablesde.theory",
    "stablesde.training",
)  # fmt: skip
ABSTRACT = {"LevyNoise", "MeanFieldModel", "StableNoise", "Unit"}
# What measurements, and results of many seeds, leave as.
SAVED = {
    "IndependenceStudy", "MeanFieldResult", "Measured", "PredictedRatio", "ProbabilityStudy",
    "PruningCurve", "RateStudy", "TailStudy", "TrainResult",
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


def test_every_public_class_is_looked_at(made):
    assert set(public_classes()) <= set(made)  # and the results of calls, which are private


def test_reprs_are_one_short_line_that_says_something(made):
    for name, value in made.items():
        text = repr(value)
        assert text.startswith(f"{name}("), text
        assert len(text) <= 200, (name, len(text))
        assert "\n" not in text, name
        assert "rray(" not in text, text
        assert TELLS.get(name, "") in text, (name, text)


def same(first, second):
    """Equal field by field: arrays in every bit, and of the same dtype."""
    if dataclasses.is_dataclass(first):
        names = [f.name for f in dataclasses.fields(first) if f.init]
        return all(same(getattr(first, n), getattr(second, n)) for n in names)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return type(first) is type(second) and first == second


def test_records_come_back_from_their_files(made, tmp_path):
    assert {n for n, v in made.items() if isinstance(v, JsonRecord)} == SAVED
    for name in sorted(SAVED):
        value, path = made[name], tmp_path / f"{name}.json"
        value.save(path)
        again = type(value).load(path)
        assert same(again, value), name
        assert repr(again) == repr(value)
        assert again.to_dict() == json.loads(path.read_text())
        if name.endswith("Study"):
            assert again.verdict == value.verdict
            shown = again._repr_html_()
            assert value.table().splitlines()[0].split()[0] in shown
            assert "<pre>" in shown


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"record": "TailStudy"}', '{"record": "RateStudy"}', "[" * 10**5,
             '{"record": "RateStudy", "name": 1, "errors": {"sup": [[1], [1, "x"]]}}']
)  # fmt: skip
def test_what_is_no_record_of_its_kind_is_told(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json: "):
        ssd.RateStudy.load(tmp_path / "study.json")


def test_numbers_that_json_has_not_come_back(tmp_path):
    bounds = {"paper": np.array([np.inf, np.nan, 1.0, -0.0])}
    axis = ssd.studies.Axis("width", (1.0, 2.0, 3.0, 4.0), None)
    errors = {"sup": np.random.default_rng(0).standard_cauchy((9, 4)) ** 2}
    study = ssd.RateStudy("s", {}, (axis,), errors, "sup", "median", "width", bounds)
    study.save(tmp_path / "study.json")
    assert same(ssd.RateStudy.load(tmp_path / "study.json"), study)
    json.loads((tmp_path / "study.json").read_text(), parse_constant=pytest.fail)


def test_records_are_frozen_replaced_and_pickled(made):
    for name in SAVED:
        value = made[name]
        assert same(pickle.loads(pickle.dumps(value)), value), name
        field = dataclasses.fields(value)[0].name
        assert same(dataclasses.replace(value, **{field: getattr(value, field)}), value), name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, 0)


def seen_under_jit(value):
    seen = []
    jax.eval_shape(lambda x: seen.append(repr(x)) or x, value)
    return seen[0]


def test_simulations_are_pytrees(made):
    """What comes out of a simulation goes through `jit`, `tree.map` and `device_get`."""
    for name in ("Trajectory", "LawFlow", "PicardFlow", "FokkerPlanck", "CoupledErrors"):
        value = jax.device_get(made[name])
        leaves, structure = jax.tree.flatten(value)
        again = jax.tree.unflatten(structure, leaves)
        assert len(leaves) > 1
        assert repr(again) == repr(value)
        assert name in seen_under_jit(value)
