"""Wild arguments to `stablesde.plotting` and `stablesde.report`, and wild records."""

import json

import jax
import matplotlib
import numpy as np
import pytest
from hypothesis import strategies as st
from matplotlib.figure import Figure

import stablesde as ssd
from fuzz.engine import Arg, Thing, check, count, fuzz, value, wild
from fuzz.surroundings import check_files, offline
from fuzz.test_studies import RATES, RECORD, TAIL_RECORD, TAILS, spoiled
from stablesde import plotting, report, studies

matplotlib.use("Agg")

PATHS = value(
    None, None, "a.png",
    bad=st.sampled_from(["a.xyz", "a.", "\x00", b"x", "a.png.", ".png", "a.PNG", "x" * 300]),
)  # fmt: skip
MODEL, NOISE, KEY = ssd.MeanReversion(1), ssd.stable_noise("I", 1.5, 1), jax.random.key(0)


@pytest.fixture(scope="module")
def records():
    """A record of each of the studies that have figures of their own."""
    rng = np.random.default_rng(0)
    means, pairs = rng.normal(size=(9, 4, 2)), rng.normal(size=(9, 4, 2, 2))
    errors = rng.uniform(0.1, 0.9, (20, 2, 1))
    probability = studies.ProbabilityStudy(
        {"alpha": 1.5, "model": "M"}, (4, 8), (2, 2), (0.5,), (0.3,), errors,
        np.full((2, 1, 1), 0.5), np.ones((2, 1, 1), int), (20, 20), (True, False),
    )  # fmt: skip
    dependence = studies.IndependenceStudy({"model": "M"}, (2, 4, 8, 16), means, pairs)
    return {"probability": probability, "independence": dependence}


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    with offline(tmp_path_factory.mktemp("here")):
        yield


def check_drawn(function, **call):
    """The figure can be drawn."""
    outcome = check_files(function, **call)
    if outcome.error is None:
        assert isinstance(outcome.value, Figure)


@fuzz(40, study=value(TAILS, RECORD, RATES, bad=st.sampled_from([TAIL_RECORD, {}])), path=PATHS)
def test_plot(call):
    check_drawn(plotting.plot, **call)


@fuzz(50, study=Arg(st.just(RECORD), spoiled(RECORD)))
def test_plot_of_a_spoiled_record(call):
    check_drawn(plotting.plot, **call)


RECORDS = Arg(st.sampled_from([RECORD, TAIL_RECORD, RATES, TAILS]), st.one_of(
    spoiled(RECORD), spoiled(TAIL_RECORD), wild()))  # fmt: skip


@fuzz(200, study=RECORDS)
def test_caption(call):
    outcome = check(plotting.caption, **call)
    if outcome.error is None:
        assert isinstance(outcome.value, str)


STUDIES = value(None, bad=st.sampled_from([RATES, {}, {"a": None}, {"a": RATES}, [1]]))


@fuzz(30, study=STUDIES, path=PATHS)
def test_plot_probability(records, call):
    call["study"] = records["probability"] if call["study"] is None else call["study"]
    check_drawn(plotting.plot_probability, **call)


@fuzz(30, studies=STUDIES, path=PATHS)
def test_plot_independence(records, call):
    if call["studies"] is None:
        call["studies"] = {"a": records["independence"]}
    check_drawn(plotting.plot_independence, **call)


LAW = ssd.theory.compression_law(NOISE, 0.25)
ERRORS = np.linspace(0.2, 0.9, 20)
LAWS = value(
    {"a": (LAW, 20, ERRORS)},
    bad=st.sampled_from(
        [{}, {"a": None}, {"a": (LAW, 20)}, {"a": (LAW, 1, ERRORS)}, {"a": (LAW, 20, [])},
         {"a": (LAW, 20, [float("nan")])}, {"a": (LAW, "x", ERRORS)}, {"a": (Thing(), 20, ERRORS)},
         {"a": (LAW, 20, "errors")}, {"a": (LAW, 20, -ERRORS)}, {1: (LAW, 20, ERRORS)}]
    ),
)  # fmt: skip


@fuzz(30, laws=LAWS, path=PATHS)
def test_plot_compression_law(call):
    check_drawn(plotting.plot_compression_law, **call)


FLOW = ssd.law_flow(ssd.System(MODEL, NOISE), KEY, t1=1.0, num_steps=2, num_particles=64)


@fuzz(40, solution=value(None, FLOW), flow=value(FLOW), path=PATHS)
def test_plot_law_flow(call):
    """All of these are refused: a solution takes seconds to find."""
    assert check(plotting.plot_law_flow, **call).error is not None


@fuzz(30, path=value("a.xyz", bad=PATHS.wild.filter(lambda p: p is not None)))
def test_plot_lemma_b1(call):
    check_drawn(plotting.plot_lemma_b1, **call)


@fuzz(60, count=count(0, 1, 5))
def test_shades(call):
    check(plotting.shades, **call)


@fuzz(40, directory=value("/nowhere", "/proc", bad=st.sampled_from(["\x00", b"x"])))
def test_report(call):
    check(report.report, **call)


@fuzz(40, directory=value("/nowhere", "/proc", bad=st.just("\x00")), path=PATHS)
def test_write_report(call):
    assert check(report.write_report, **call).error is not None


def test_the_records_are_json():
    """What is spoiled here is what results.json holds."""
    assert json.loads(json.dumps(RECORD)) == RECORD
