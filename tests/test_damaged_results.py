"""`status`, `report`, `check` and `table` on damaged directories: a line, a page, never a trace."""

import json
import random
import shutil

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import shells
from hypothesis import given, settings
from hypothesis import strategies as st

import stablesde as ssd
from stablesde import check, report, training
from stablesde._status import status
from stablesde.cli import main
from stablesde.studies._runner import run_cells
from stablesde.training import _suite
from stablesde.training._train import MEASURED

matplotlib.use("Agg")

WIDTHS = (10.0, 30.0, 100.0, 300.0)


def run(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    if done.exit_code == 2:
        assert len(done.stderr.splitlines()) == 1, done.stderr
    return done


def study(run_dir):
    """A study of chaos whose cells cost nothing."""
    config = {"alpha": 1.5, "model": "M", "noise": "N", "version": "0", "dtype": "float32"}

    def cell(i):
        rng = np.random.default_rng(i)
        mean = np.asarray(WIDTHS) ** -0.5 * np.exp(0.05 * rng.normal(size=(4, 4)))
        return {"mean": mean, "sup": 2 * mean}

    cells = [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(3)]
    parts = run_cells("propagation_of_chaos", config, cells, run_dir)
    return ssd.RateStudy(
        name="propagation_of_chaos", config=config,
        axes=(ssd.studies.Axis("width", WIDTHS, -0.5),),
        errors={k: np.concatenate([p[k] for p in parts]) for k in parts[0]}, rate_measure="mean",
        rate_statistic="mean", rate_axis="width",
        bounds={"paper": 9 * np.asarray(WIDTHS) ** -0.5},
    )  # fmt: skip


JOB = check.Job("propagation-of-chaos", "a case", study, "width")
CHECK = ("check", "propagation-of-chaos", "--quick", "--out")


@pytest.fixture
def cheap(monkeypatch):
    """The main job with that study alone, whose figure is a line."""
    monkeypatch.setattr(check, "jobs", lambda size, seed, only: [JOB])
    monkeypatch.setattr(
        "stablesde.plotting.plot",
        lambda study, path: check.write_json(path, "a figure"),
    )


@pytest.fixture
def out(cheap, tmp_path):
    """What `check` leaves."""
    folder = tmp_path / "run"
    done = run(*CHECK, folder)
    assert done.exit_code == 0, done.output
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_resumed_it_is_the_same(out):
    whole = contents(out)
    assert run(*CHECK, out, "--resume").exit_code == 0
    assert contents(out) == whole


CELL = "cells/propagation-of-chaos-a-case/propagation_of_chaos/"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize(
    ("name", "resumes"),
    [
        ("run.json", False), ("results.json", True), ("progress.json", True),
        (CELL + "config.json", False), (CELL + "progress.json", True),
        (CELL + "replicas-00001.json", False), ("results.csv", True), ("summary.csv", True),
        ("figures/propagation-of-chaos-a-case.png", True), (".run.lock", True),
    ],
)  # fmt: skip
def test_check_on_a_damaged_file(name, resumes, content, out):
    """The file is made anew from the cells, or named; an unreadable record is moved aside."""
    whole = contents(out)
    (out / name).write_bytes(content)
    assert run("status", out).exit_code == 0
    done = run(*CHECK, out, "--resume")
    after = contents(out)
    damaged = {p for p in after if whole.get(p) != after[p]}
    if resumes:
        assert done.exit_code == 0, done.output
        assert {p.name for p in damaged} <= {"results.unreadable.json"}
        return
    assert done.exit_code == 2
    assert str(name).rpartition("/")[2] in done.output
    assert [str(p) for p in damaged] == [str(name)]


def test_a_record_that_would_not_be_written_again_is_moved_aside(out):
    """Parts of it are kept by a run of other studies: not those that are no record."""
    path = out / "results.json"
    good = json.loads(path.read_text())
    for other in ({"tails": 3}, {"tails": {"runs": [{}]}}, {"tails": {"runs": [], "x": np.nan}}):
        path.write_text(json.dumps(good | {"studies": good["studies"] | other}))
        bad = path.read_bytes()
        assert run(*CHECK, out, "--resume").exit_code == 0
        assert json.loads(path.read_text()) == good
        aside = out / "results.unreadable.json"
        assert aside.read_bytes() == bad
        aside.unlink()


def test_a_run_whose_size_is_lost_is_not_discarded(out):
    whole = contents(out)
    (out / "run.json").unlink()
    for more in ((), ("--resume",), ("--seed", 1)):
        done = run(*CHECK, out, *more)
        assert done.exit_code == 2
        assert "run.json is missing, beside files of a run: write {" in done.output
        assert contents(out).items() < whole.items()
    assert run(*CHECK, out, "--seed", 1, "--overwrite").exit_code == 0
    assert json.loads((out / "results.json").read_text())["config"]["seed"] == 1


def test_lost_cells_and_a_dead_lock(out):
    whole = contents(out)
    (out / (CELL + "replicas-00001.json")).unlink()
    (out / (CELL + ".replicas-00001.lock")).write_text('{"pid": 1e400, "host": 3')
    (out / ".run.lock").write_text('{"pid": 123456789, "host": "gone"}')
    assert run("status", out).exit_code == 0
    assert run(*CHECK, out, "--resume").exit_code == 0
    assert contents(out) == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["\ud800", "$x^{", "<b>", 10**400, "replicas-00000", "width"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value, path=()):
    """The way to every part of a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value[:3])
        for key, inner in items:
            yield from places(inner, (*path, key))


def put(value, path, new):
    if not path:
        return new
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


FILES = ("run.json", "progress.json", CELL + "config.json", CELL + "progress.json",
         CELL + "replicas-00000.json", CELL + ".replicas-00000.lock")  # fmt: skip


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A finished directory that lasts, for many examples."""
    folder = tmp_path_factory.mktemp("example") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "jobs", lambda size, seed, only: [JOB])
        assert run(*CHECK, folder).exit_code == 0
    return folder


def with_change(folder, name, new, seed):
    """A file's JSON with one part replaced, put back afterwards."""
    path = folder / name
    old = path.read_bytes() if path.exists() else b'{"pid": 1, "host": "h", "since": 1.0}'
    value = json.loads(old)
    path.write_text(json.dumps(put(value, random.Random(seed).choice([*places(value)]), new)))
    return path, old


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from((*FILES, "results.json")), JSON, st.integers(0, 2**32))
def test_status_of_any_json(example, name, new, seed):
    path, old = with_change(example, name, new, seed)
    try:
        for more in ((), ("--json",)):
            assert run("status", example, *more).exit_code in (0, 2)
    finally:
        path.write_bytes(old)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(JSON, st.integers(0, 2**32))
def test_report_of_any_record(example, new, seed):
    """The figures have a test of their own: here they are what was drawn."""

    def no_figure(*arguments):
        raise ValueError("of the test")

    path, old = with_change(example, "results.json", new, seed)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stablesde.plotting.plot", no_figure)
            done = run("report", example)
    finally:
        path.write_bytes(old)
    assert done.exit_code == 0, done.output
    assert (example / "report.html").read_text().endswith("</html>\n")


@pytest.mark.slow
@settings(max_examples=60, derandomize=True, deadline=None)
@given(JSON, st.integers(0, 2**32))
def test_figures_of_any_record(example, new, seed):
    path, old = with_change(example, "results.json", new, seed)
    try:
        assert run("report", example).exit_code == 0
    finally:
        path.write_bytes(old)


def test_status_where_names_are_not_files(example, tmp_path):
    """Directories and links in the place of every file."""
    for number, name in enumerate((*FILES, "results.json", "report.html")):
        for kind in ("directory", "loop"):
            folder = tmp_path / f"{number}-{kind}"
            shutil.copytree(example, folder)
            path = folder / name
            path.unlink(missing_ok=True)
            path.mkdir() if kind == "directory" else path.symlink_to(path)
            assert run("status", folder).exit_code in (0, 2)
            if name == "report.html" and kind == "directory":
                assert run("report", folder).exit_code == 2
            elif "results" in name:
                assert report.report(folder).endswith("</html>\n")
    assert status(example)["problems"] == []


SMALL = dict(width=32, steps=20, learning_rate=0.05, data=shells())
ROW = dict(seeds=2, only=["none"], **SMALL)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Cells of Table 1, not trained."""
    names = ("curve_train_accuracy", "curve_test_accuracy", "curve_error")

    def measure(setting, seed, data, folder):
        numbers = {k: np.asarray(0.9 + seed / 100) for k in (*MEASURED, "steps_taken")}
        return numbers | {k: np.full(len(setting.fractions), 0.5) for k in names}

    monkeypatch.setattr(_suite, "_measure", measure)
    shown = str(training.paper_table(1, tmp_path, run=True, **ROW))
    (folder,) = tmp_path.iterdir()
    return tmp_path, folder, shown


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"train_accuracy": 1.0}'])
@pytest.mark.parametrize("name", ["config.json", "seed-00000.json", "seed-00001.json"])
@pytest.mark.parametrize("compute", [False, True])
def test_a_table_from_damaged_files(name, content, compute, table):
    out, folder, shown = table
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    before = contents(out)
    with pytest.raises(ValueError, match=r"damaged|unreadable|different:") as caught:
        training.paper_table(1, out, run=compute, **ROW)
    assert str(folder) in str(caught.value)
    assert contents(out) == before
    done = run("table", 1, "--out", out, "--only", "none", "--width", 32, "--steps", 20,
               "--learning-rate", 0.05)  # fmt: skip
    assert done.exit_code == 2
    (folder / name).unlink()  # as it is told
    assert str(training.paper_table(1, out, run=True, **ROW)) == shown
    assert (folder / name).read_bytes() == good


def test_a_table_whose_configuration_is_lost(table):
    out, folder, shown = table
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config\.json is missing, beside cells"):
        training.paper_table(1, out, **ROW)
    assert str(training.paper_table(1, out, run=True, **ROW)) == shown
