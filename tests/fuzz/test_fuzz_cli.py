"""The command line under any arguments: exit code 0, 1 or 2, one clear line on 2, no traceback.

The main job is cut down to a tail study and a training of a second, so that what is valid by chance
costs little, and nothing is downloaded.
"""

import dataclasses
import json
import os

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stablesde import check
from stablesde.cli import STUDY_NAMES, main
from stablesde.datasets import _files

pytestmark = pytest.mark.fuzz



def cases(number):
    """The same cases in every run, as many as are asked for."""
    return settings(
        max_examples=number,
        derandomize=not os.environ.get("STABLESDE_FUZZ_RANDOM"),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# Nothing between: a width of 10⁷ or 10⁶ steps are honest work, which a fuzz must not start.
BAD_NUMBERS = (
    "", " ", "x", "nan", "-nan", "inf", "-inf", "1e999", "-1e999", "1e400", "0", "-0", "-1",
    "-1e-320", "0.0", "1.5e", "0x10", "1_000", "１", "٣", "½", "None", "True", "[1]", "1,2", "1;2",
    "-10000000000000000000000000", "\udcff", "é", "--", "-h x", "💥", "1" * 400,
)  # fmt: skip
HUGE = ("1000000000000000", "9223372036854775808", "99999999999999999999999999", "1e30", "1e308")
TINY_NUMBERS = ("1e-320", "1e-300", "1e-30", "0.001")
# No process is given a zero byte.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=8)
JUNK = st.one_of(
    st.sampled_from(BAD_NUMBERS), TEXT, st.floats().map(str), st.just("-5")
)


def harmless(text):
    """Whether a text as a count starts nothing long: it is none, tiny, or must be refused."""
    try:
        return not 3 < int(text) < 10**15
    except ValueError:
        return True


COUNTS = st.one_of(st.just("2"), st.sampled_from(HUGE), JUNK.filter(harmless))
REALS = st.one_of(
    st.sampled_from(("0.1", "1.5", "2", "1")), st.sampled_from((*HUGE, *TINY_NUMBERS)), JUNK
)
ALPHAS = st.one_of(st.sampled_from(("1.5", "2")), st.sampled_from(HUGE), JUNK)
SEEDS = st.one_of(st.sampled_from(("0", "7", "4294967295", "4294967296")), COUNTS)
FAILING_PATHS = ("/proc/nowhere/x", "/dev/null/x", "", "a" * 300, "/proc", "/proc/1/x")


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    """All sizes of `check` tiny, no network, no data but what is built in."""

    def offline(url, known_hash):
        raise OSError(f"no network in the tests ({url})")

    def only_root(root):
        return iter(() if root is None else (root,))

    size = dataclasses.replace(
        check.QUICK,
        cases={"tails": (("I", 1.5),)},
        settings={"tails": dict(num_columns=1000, num_steps=1, law_particles=16)},
        training=dict(width=4, seeds=1, steps=1),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("quick", "default", "full"):
            patch.setitem(check.SIZES, name, dataclasses.replace(size, name=name))
        patch.chdir(tmp_path_factory.mktemp("here"))
        patch.setattr(_files, "_fetch", offline)
        patch.setattr(_files, "search_path", only_root)
        yield


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def outcome(arguments, progress=False):
    """Runs the command and asserts that it ends as documented; `progress` may stand on stderr."""
    done = CliRunner().invoke(main, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2), (arguments, done.output)
    assert "Traceback" not in done.output, (arguments, done.output)
    lines = done.stderr.splitlines()
    if done.exit_code == 2:
        told = [line for line in lines if line.startswith(("stablesde: ", "Error: "))]
        told = told or lines[:1] * (not arguments)  # the bare command shows its help
        assert len(told) == 1, (arguments, done.stderr)
        if told[0].startswith("stablesde: "):
            assert len(told[0]) > len("stablesde: "), (arguments, told)
            assert told[0].isprintable(), (arguments, told)
            assert progress or lines == told, (arguments, done.stderr)
        else:
            assert lines[0].startswith("Usage: "), (arguments, done.stderr)
    elif "--json" in arguments:
        json.loads(done.stdout, parse_constant=refuse)
    return done


@st.composite
def options(draw, **strategies):
    """Some of the options, in any order, flags where the strategy is None."""
    chosen = draw(st.lists(st.sampled_from(sorted(strategies)), unique=True, max_size=4))
    found = []
    for name in chosen:
        option = "--" + name.replace("_", "-")
        found += [option] if strategies[name] is None else [option, draw(strategies[name])]
    return found


NOISES = st.one_of(st.sampled_from(("I", "II", "III", "none")), JUNK)
DATASETS = st.one_of(st.sampled_from(("teacher", "digits", "ecg5000", "mnist", "cifar10")), JUNK)
TRAIN = options(
    dataset=DATASETS, noise=NOISES, alpha=ALPHAS, sigma=REALS, learning_rate=REALS, seed=SEEDS,
    scaling=st.one_of(st.sampled_from(("paper", "mean-field")), JUNK),
    data=st.one_of(st.sampled_from((*FAILING_PATHS, "/")), TEXT),
    out=st.sampled_from(FAILING_PATHS),
    json=None,
)  # fmt: skip


@cases(250)
@given(TRAIN, COUNTS, COUNTS, COUNTS)
def test_train(arguments, width, steps, seeds):
    small = ["--dataset", "teacher", "--width", width, "--steps", steps, "--seeds", seeds]
    outcome(["train", *small, *arguments])


@cases(150)
@given(TRAIN, st.sampled_from(("width", "steps", "seeds")), JUNK.filter(harmless))
def test_train_with_one_bad_count(arguments, name, value):
    small = {"width": "2", "steps": "2", "seeds": "1"}
    counts = [part for k, v in (small | {name: value}).items() for part in (f"--{k}", v)]
    outcome(["train", "--dataset", "teacher", *counts, *arguments])


TABLE = options(
    out=st.sampled_from((*FAILING_PATHS, "tables")), seeds=COUNTS, sigma=REALS,
    learning_rate=REALS, steps=COUNTS, width=COUNTS, data=st.sampled_from(FAILING_PATHS),
    only=st.one_of(st.sampled_from(("none", "1.75", "1.8", "1e-05")), JUNK), json=None, run=None,
)  # fmt: skip


@cases(250)
@given(st.one_of(st.integers(-2, 25).map(str), st.sampled_from(HUGE), JUNK), TABLE)
def test_table(number, arguments):
    outcome(["table", number, *arguments])


@cases(50)
@given(TABLE, COUNTS, st.sampled_from((1, 4, 6, 10, 17, 20)))
def test_table_predicted(arguments, width, number):
    """The prediction draws 200 networks: narrow ones."""
    outcome(["table", str(number), "--predict", "--width", width, "--steps", "2", *arguments])


CHECK = options(
    quick=None, full=None, resume=None, overwrite=None, json=None, seed=SEEDS,
    out=st.sampled_from(FAILING_PATHS),
)  # fmt: skip
STUDIES = st.lists(
    st.one_of(st.sampled_from([s for s in STUDY_NAMES if s not in ("tails", "training")]), JUNK),
    min_size=1, max_size=2,
)  # fmt: skip


@cases(150)
@given(STUDIES, CHECK)
def test_check_of_what_cannot_run(tmp_path_factory, studies, arguments):
    out = ["--out", str(tmp_path_factory.mktemp("check"))]
    outcome(["check", *out, *arguments, "--", *studies], progress=True)


@cases(5)
@given(CHECK)
def test_check_that_runs(tmp_path, arguments):
    outcome(["check", "tails", "--out", str(tmp_path), *arguments], progress=True)


@cases(100)
@given(st.lists(st.one_of(st.sampled_from(("train", "table", "--json", "-h", "1")), JUNK)))
def test_anything(arguments):
    if arguments[:1] not in (["train"], ["table"]):
        outcome([a for a in arguments if a != "--json"], progress=True)
