"""The command line under any arguments: exit code 0, 1 or 2, one clear line on 2, no traceback.

The main job is cut down to a tail study and a training of a second, so that what is valid by chance
costs little, and nothing is downloaded.
"""

import dataclasses
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import strategies as st

from fuzz import engine
from fuzz.engine import Arg, fuzz
from fuzz.surroundings import offline
from stablesde import check
from stablesde.cli import STUDY_NAMES, main

pytestmark = pytest.mark.fuzz


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
JUNK = st.one_of(st.sampled_from(BAD_NUMBERS), TEXT, st.floats().map(str), st.just("-5"))


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

    size = dataclasses.replace(
        check.QUICK,
        cases={"tails": (("I", 1.5),)},
        settings={"tails": dict(num_columns=1000, num_steps=1, law_particles=16)},
        training=dict(width=4, seeds=1, steps=1),
    )
    with offline(tmp_path_factory.mktemp("here")) as patch:
        for name in ("quick", "default", "full"):
            patch.setitem(check.SIZES, name, dataclasses.replace(size, name=name))
        yield


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def outcome(arguments, progress=False):
    """Runs the command and asserts that it ends as documented; `progress` may stand on stderr."""
    engine.cases += 1
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


def any_of(strategy):
    """An argument without good and wild values."""
    return Arg(strategy, strategy)


def count(good="2"):
    return Arg(st.just(good), COUNTS)


@fuzz(250, options=any_of(TRAIN), width=count(), steps=count(), seeds=count("1"))
def test_train(call):
    counts = [p for name in ("width", "steps", "seeds") for p in (f"--{name}", call[name])]
    outcome(["train", "--dataset", "teacher", *counts, *call["options"]])


TABLE = options(
    out=st.sampled_from((*FAILING_PATHS, "tables")), seeds=COUNTS, sigma=REALS,
    learning_rate=REALS, steps=COUNTS, width=COUNTS, data=st.sampled_from(FAILING_PATHS),
    only=st.one_of(st.sampled_from(("none", "1.75", "1.8", "1e-05")), JUNK), json=None, run=None,
)  # fmt: skip
NUMBERS = Arg(st.sampled_from(("1", "4", "6", "17", "20")), st.one_of(
    st.integers(-2, 25).map(str), st.sampled_from(HUGE), JUNK))  # fmt: skip


@fuzz(250, number=NUMBERS, options=any_of(TABLE))
def test_table(call):
    outcome(["table", call["number"], *call["options"]])


@fuzz(40, number=NUMBERS, width=count(), options=any_of(TABLE))
def test_table_predicted(call):
    """The prediction draws 200 networks: narrow ones."""
    small = ["--width", call["width"], "--steps", "2"]
    outcome(["table", call["number"], "--predict", *small, *call["options"]])


CHECK = options(
    quick=None, full=None, resume=None, overwrite=None, json=None, seed=SEEDS,
    out=st.sampled_from(FAILING_PATHS),
)  # fmt: skip
ABSENT_STUDIES = st.sampled_from([s for s in STUDY_NAMES if s not in ("tails", "training")])
STUDIES = st.lists(st.one_of(ABSENT_STUDIES, JUNK), min_size=1, max_size=2)


@fuzz(150, studies=any_of(STUDIES), options=any_of(CHECK))
def test_check_of_what_cannot_run(tmp_path, call):
    arguments = ["--out", str(tmp_path / "out"), *call["options"], "--", *call["studies"]]
    outcome(["check", *arguments], progress=True)


@fuzz(5, options=any_of(CHECK))
def test_check_that_runs(tmp_path, call):
    outcome(["check", "tails", "--out", str(tmp_path), *call["options"]], progress=True)


WORDS = st.one_of(st.sampled_from(("train", "table", "status", "report", "-h", "1", ".")), JUNK)


@fuzz(150, words=any_of(st.lists(WORDS, max_size=4)))
def test_any_words(call):
    words = call["words"]
    if words != ["train"]:  # the paper's network
        outcome(words, progress=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--dataset", "teacher", "--width", "1000000000000000"],
        ["train", "--dataset", "teacher", "--width", "2", "--steps", "10000000000"],
        ["train", "--dataset", "teacher", "--width", "2", "--seeds", "1000000000"],
        ["table", "1", "--seeds", "1000000000"],
        ["status", "/nowhere", "--json"],
        ["report", "/proc"],
        ["check", "--seed", "-1"],
        ["train", "--out", "\udcff/x", "--sigma", "nan"],
    ],
)
def test_in_a_process_of_its_own(arguments, tmp_path):
    """As a shell sees it."""
    engine.cases += 1
    program = "from stablesde.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    limits = {"timeout": engine.SECONDS, "check": False}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, **limits)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert (
        sum(line.startswith(("stablesde: ", "Error: ")) for line in done.stderr.splitlines()) == 1
    )
