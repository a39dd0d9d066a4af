"""Wild arguments to `stablesde.studies`: the studies, their design, their records, and tables."""

import dataclasses
import inspect
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import stablesde as ssd
from fuzz.engine import (
    Arg,
    Thing,
    array,
    check,
    choice,
    count,
    dtype,
    flag,
    fuzz,
    key,
    number,
    promise,
    real,
    value,
    wild,
)
from fuzz.surroundings import check_files, offline
from stablesde import studies

MODEL = ssd.MeanReversion(1)
MODELS = value(MODEL, bad=st.sampled_from([ssd.MeanReversion(2), MODEL.drift]))
NOISES = value(
    ssd.stable_noise("I", 1.5, 1),
    bad=st.sampled_from([ssd.stable_noise("II", 1.5, 2), ssd.stable_noise("I", 1e-3, 1), "I"]),
)
INITS = value(
    None,
    bad=st.sampled_from([np.zeros(3), np.zeros((4, 1)), [0.5], lambda key: jnp.zeros(2),
                         lambda: 0, lambda key: "a", lambda key: None, [[float("nan")]]]),
)  # fmt: skip


def work(*good):
    """A count of which more is honest work: wild ones are none, tiny, or beyond any machine."""
    argument = count(*good)
    return Arg(argument.good, argument.wild.filter(lambda v: not _long(v)))


def _long(v):
    return isinstance(v, (int, np.integer)) and 16 < v < 10**12


def several(*good):
    """Sizes: increasing integers."""
    bad = st.sampled_from(
        [[], (), [0], [-1, 2], [4, 2], [2, 2], [2.0, 4.0], ["a"], [[1]], None, 4, "12", {},
         (10**12,), (2, 10**30), [True, 2], np.array([[2, 4]]), [None], (4, float("nan"))]
    )  # fmt: skip
    return Arg(st.sampled_from(good), st.one_of(bad, wild().filter(lambda v: not _long(v))))


def fractions(*good):
    bad = st.sampled_from(
        [[], [0.0], [1.0], [-0.1], [2], ["a"], 0.5, None, [None], [[0.5]], [float("nan")],
         [0.999999], [10**400], [1e-320], [0.5, 0.5]]
    )  # fmt: skip
    return Arg(st.sampled_from(good), st.one_of(bad, wild()))


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    with offline(tmp_path_factory.mktemp("here")):
        yield


# One combination of what is compiled in: what is compiled anew takes seconds.
KEYS = Arg(st.integers(0, 3).map(jax.random.key), key().wild)
FOLDERS = value(None, None, bad=st.sampled_from(["\x00", b"x"]))
COMMON = dict(
    model=MODELS, noise=NOISES, key=KEYS, t1=number(1.0), sigma=number(1.0),
    replicas=work(4), init=INITS, dtype=value(None, bad=dtype().wild), run_dir=FOLDERS,
)  # fmt: skip
WIDTHS = several((2, 4, 8, 16))
BATCH = work(2)


def finite_record(record):
    """The record as JSON, and whatever is drawn from it as text."""
    json.dumps(studies._format.finite_json(record.to_dict()), allow_nan=False)
    assert isinstance(record.table(), str)
    assert isinstance(record.verdict, str)
    assert repr(record)


@fuzz(
    60, widths=WIDTHS, num_steps=several((1, 2, 4, 8)), fine_steps=work(16), batch=BATCH, **COMMON
)
def test_strong_error(call):
    outcome = check(studies.strong_error, **call)
    if outcome.error is None:
        promise(outcome.value.errors["sup"])
        finite_record(outcome.value)


@fuzz(60, widths=WIDTHS, num_steps=work(2), law_particles=work(64), batch=BATCH, **COMMON)
def test_propagation_of_chaos(call):
    outcome = check(studies.propagation_of_chaos, **call)
    if outcome.error is None:
        promise(outcome.value.errors["mean"])
        finite_record(outcome.value)


TAIL = {k: v for k, v in COMMON.items() if k != "replicas"}


@fuzz(
    60, num_columns=work(1000), num_steps=work(2), law_particles=work(64), batch=work(500), **TAIL
)
def test_tail_study(call):
    outcome = check(studies.tail_study, **call)
    if outcome.error is None:
        promise(outcome.value.top)
        finite_record(outcome.value)


@fuzz(
    60, widths=several((4, 8, 16, 32)), kappas=fractions((0.25, 0.5)), num_steps=work(2),
    law_particles=work(64), batch=BATCH, **COMMON,
)  # fmt: skip
def test_compressibility(call):
    outcome = check(studies.compressibility, **call)
    if outcome.error is None:
        promise(outcome.value.errors["relative error"])
        finite_record(outcome.value)


IID = {k: COMMON[k] for k in ("noise", "key", "replicas", "dtype", "run_dir")}


@fuzz(
    80, widths=several((4, 8, 16, 32)), kappas=fractions((0.25, 0.5)), p=number(2.0, 1.5),
    batch=BATCH, **IID,
)  # fmt: skip
def test_iid_compressibility(call):
    outcome = check(studies.iid_compressibility, **call)
    if outcome.error is None:
        promise(outcome.value.errors["relative error"])
        finite_record(outcome.value)


STEPS = value(2, lambda n: 2, bad=st.sampled_from([lambda: 1, lambda n: None, lambda n: 0.5]))


@pytest.fixture(scope="module")
def few_columns():
    """The predicted probability from fewer columns of the limit than 2¹⁸."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stablesde.studies._probability._COLUMNS", 1024)
        yield


@fuzz(
    50, widths=several((4, 8)), kappas=fractions((0.25, 0.5)), epsilons=fractions((0.3, 0.6)),
    num_steps=Arg(STEPS.good, STEPS.wild.filter(lambda v: not _long(v))), batch=BATCH,
    level=number(0.95, 0.5), **COMMON,
)  # fmt: skip
def test_compression_probability(few_columns, call):
    if call.get("num_steps") is None:
        call["widths"] = (4, 8)  # the theorem's steps grow with the width and t1
        call["t1"] = 1.0
    outcome = check(studies.compression_probability, **call)
    if outcome.error is None:
        promise(outcome.value.errors)
        finite_record(outcome.value)


@fuzz(
    50, widths=several((2, 4, 8, 16)), num_steps=work(2), law_particles=work(64),
    coupled=Arg(st.just(True), flag().wild),
    frequencies=Arg(st.none(), array((1, 1), (2, 1)).wild), batch=work(4),
    **(COMMON | {"replicas": work(8)}),
)  # fmt: skip
def test_independence(call):
    outcome = check(studies.independence, **call)
    if outcome.error is None:
        promise(outcome.value.means)
        finite_record(outcome.value)


@fuzz(
    120, theta=array((8, 3, 2), (9, 2, 1)), frequencies=value(None, bad=array((3, 2)).good),
    level=number(0.95, 0.5),
)  # fmt: skip
def test_pair_dependence(call):
    outcome = check(studies.pair_dependence, **call)
    if outcome.error is None:
        promise([outcome.value.squared, outcome.value.lower, outcome.value.upper], (3,))


@fuzz(
    24,
    study=value(studies.strong_error, studies.propagation_of_chaos, bad=st.just(studies.design)),
    model=MODELS, noise=NOISES, key=key(), t1=number(1.0), accuracy=real(0.5, 0.9),
    pilot_replicas=work(16), widths=WIDTHS,
)  # fmt: skip
def test_design(call):
    if call["study"] in (studies.strong_error,):
        call |= {"num_steps": (1, 2, 4, 8), "fine_steps": 16}
    else:
        call["num_steps"] = 2

    def design(study, model, noise, key, *, widths, num_steps=1, fine_steps=1, **rest):
        """The design. **Raises:** as `ssd.studies.design`."""
        more = {"fine_steps": fine_steps} if study is studies.strong_error else {}
        return studies.design(
            study, ssd.System(model, noise), key, widths=widths, num_steps=num_steps, **more, **rest
        )

    mine = inspect.signature(design).parameters.values()
    theirs = inspect.signature(studies.design).parameters
    names = {p.name: p.replace(kind=p.KEYWORD_ONLY) for p in (*theirs.values(), *mine)}
    names = {k: p for k, p in names.items() if k not in ("settings", "rest")}
    design.__signature__ = inspect.Signature(list(names.values()))
    outcome = check(design, **call)
    if outcome.error is None:
        assert outcome.value.table()


# Statistics and records --------------------------------------------------------------------------


@fuzz(150, successes=Arg(st.integers(0, 9), wild(st.integers(-3, 10**6))), trials=count(9, 100),
      level=number(0.95, 0.5))  # fmt: skip
def test_clopper_pearson(call):
    outcome = check(studies.clopper_pearson, **call)
    if outcome.error is None:
        low, high = outcome.value
        assert 0 <= promise(low, ()) <= promise(high, ()) <= 1


@fuzz(120, level=real(0.01, 0.99), count=count(1, 7))
def test_simultaneous_level(call):
    outcome = check(studies.simultaneous_level, **call)
    if outcome.error is None:
        assert 0 < promise(outcome.value, ()) <= 1


def rates():
    """A record of two axes with a bound and a source of error."""
    rng = np.random.default_rng(0)
    widths, steps = (4.0, 8.0, 16.0, 32.0), (0.5, 0.25, 0.125, 0.0625)
    errors = np.asarray(widths)[:, None] ** -0.5 * np.asarray(steps) ** 0.6
    errors = errors * np.exp(0.1 * rng.normal(size=(12, 4, 4)))
    return studies.RateStudy(
        name="strong_error", config={"model": "M", "alpha": 1.5, "dtype": "float32"},
        axes=(studies.Axis("width", widths, -0.5), studies.Axis("step", steps, 0.6, 1)),
        errors={"sup": errors, "mean": errors / 2}, rate_measure="sup", rate_statistic="mean",
        rate_axis="width", bounds={"paper": np.ones((4, 4))},
        sources=(studies.ErrorSource("law flow", "a note", 0.01, np.full((4, 4), 1.01)),),
    )  # fmt: skip


RATES = rates()
TAILS = studies.TailStudy(
    config={"alpha": 1.5, "num_columns": 1000, "t1": 1.0}, top=np.geomspace(100, 1, 64),
    num_columns=1000, alpha=1.5, tail_constant=1.0, k=5, estimate=1.5, lower=1.4, upper=1.6,
)  # fmt: skip
AXES = choice("width", "step")
STATISTICS = choice("mean", "median", "trimmed", "geometric")


@fuzz(
    200, axis=AXES, measure=choice("sup", "mean"), statistic=STATISTICS,
    level=Arg(st.sampled_from([0.9, 0.5]), wild(st.sampled_from([1 - 1e-12, 1e-300, 0.9999]))),
    interval=choice("percentile", "bca"),
)  # fmt: skip
def test_slope(call):
    outcome = check(RATES.slope, **call)
    if outcome.error is None:
        slope = outcome.value
        promise([slope.estimate, slope.lower, slope.upper, *slope.local], (6,))
        assert str(slope)


METHODS = ("budget", "systematic", "attained", "rate_holds", "fitted", "over_budget")


@pytest.mark.parametrize("method", METHODS)
@fuzz(20, axis=AXES)
def test_methods_of_an_axis(method, call):
    check(getattr(RATES, method), **call)


@fuzz(40, name=AXES)
def test_axis(call):
    check(RATES.axis, **call)


@fuzz(60, measure=choice("sup", "mean"), statistic=STATISTICS)
def test_location_interval(call):
    outcome = check(RATES.location_interval, **call)
    if outcome.error is None:
        for part in outcome.value:
            promise(part, (4, 4))


@fuzz(40, measure=choice("sup", "mean"))
def test_tail_diagnosis(call):
    check(RATES.tail_diagnosis, **call)


@fuzz(40, level=real(0.5, 0.999), interval=choice("bca", "percentile"))
def test_a_record_with_another_level(call):
    """A level that is none is told by every method that needs an interval."""
    study = dataclasses.replace(RATES, **call)
    outcome = check(study.slope, "width")
    if outcome.error is None:
        promise([outcome.value.lower, outcome.value.upper], (2,))


JSON_PATHS = value("a.json", bad=st.sampled_from(["\x00", b"x"]))


@fuzz(60, path=JSON_PATHS)
def test_to_json(call):
    for record in (RATES, TAILS):
        outcome = check_files(record.to_json, **call)
        if outcome.error is None:
            json.loads(Path(call["path"]).read_text(), parse_constant=_refuse)


def _refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


# Records as tables -------------------------------------------------------------------------------

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(10**400), st.floats(),
    st.text(max_size=4), st.just([]), st.just({}), st.just([[1]]), st.just({"mean": 1.0}),
    st.just("nan"), st.just("a" * 1000), st.just([None, 1]),
)  # fmt: skip


def places(record, path=()):
    """The paths to all values in JSON data."""
    yield path
    items = record.items() if isinstance(record, dict) else enumerate(record)
    for step, item in items:
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, step))
        else:
            yield (*path, step)


def changed(record, path, junk):
    """The record with another value at a place."""
    if not path:
        return junk
    copy = dict(record) if isinstance(record, dict) else list(record)
    copy[path[0]] = changed(record[path[0]], path[1:], junk)
    return copy


def without(record, path):
    """The record without what is at a place."""
    copy = dict(record) if isinstance(record, dict) else list(record)
    if len(path) == 1:
        del copy[path[0]]
    elif path:
        copy[path[0]] = without(record[path[0]], path[1:])
    return copy


def spoiled(record):
    """A record with one or two wild values in it, or with something left out."""
    found = sorted(places(record), key=repr)
    # Mostly not deep down among the replicas, where all values are alike.
    found = [p for p in found if len(p) < 5] or found

    @st.composite
    def strategy(draw):
        new = record
        for _ in range(draw(st.integers(1, 2))):
            path = draw(st.sampled_from(found))
            try:
                new = without(new, path) if draw(st.booleans()) else changed(new, path, draw(JUNK))
            except (KeyError, IndexError, TypeError, AttributeError):
                continue  # the first change has taken the place of the second away
        return new

    return strategy()


RECORD = json.loads(json.dumps(studies._format.finite_json(RATES.to_dict())))
TAIL_RECORD = json.loads(json.dumps(studies._format.finite_json(TAILS.to_dict())))
WHOLE = {"studies": {"strong_error": {"runs": [RECORD]}, "tails": {"runs": [TAIL_RECORD]}}}
RECORDS = Arg(
    st.sampled_from([RECORD, TAIL_RECORD, WHOLE]),
    st.one_of(spoiled(RECORD), spoiled(TAIL_RECORD), spoiled(WHOLE), wild()),
)


@fuzz(200, record=RECORDS)
def test_tidy_rows(call):
    outcome = check(studies.tidy_rows, **call)
    if outcome.error is None:
        assert all(isinstance(row, dict) for row in outcome.value)


@fuzz(200, record=RECORDS)
def test_summary_rows(call):
    outcome = check(studies.summary_rows, **call)
    if outcome.error is None:
        assert all(isinstance(row, dict) for row in outcome.value)


ROWS = value(
    [], [{"a": 1, "b": None}], [{"a": 0.1}, {"a": float("nan")}],
    bad=st.sampled_from([[{"a": 1}, {"b": 2}], [{"a": 1}, {}], [None], [[1, 2]], [{1: 2}], "ab",
                         {"a": 1}, 5, [{"a": Thing()}], [{"a": "\ud800"}], [("a", 1)], None]),
)  # fmt: skip


@fuzz(100, rows=ROWS, path=value("a.csv", bad=st.sampled_from(["\x00", b"x"])))
def test_write_csv(call):
    check_files(studies.write_csv, **call)
