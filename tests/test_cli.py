"""The command: what it prints and writes, its exit codes, and one clear line for bad input."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner

import stablesde as ssd
from stablesde import paper
from stablesde._status import duration, status
from stablesde.cli import main
from stablesde.paper import _check, _outcomes
from stablesde.paper._jobs import SIZES, Job
from stablesde.studies import _tidy
from stablesde.studies._runner import run_cells

matplotlib.use("Agg")


@pytest.fixture
def tiny(monkeypatch):
    """The main job at a size of seconds."""
    smaller = {
        "strong-error": dict(replicas=8, num_steps=(2, 4, 8, 16), fine_steps=512),
        "linear-drift": dict(
            replicas=32, widths=(4, 8, 16, 32), num_steps=(2, 4, 8, 16), fine_steps=128
        ),
        "propagation-of-chaos": dict(replicas=32, widths=(8, 16, 32, 64)),
        "tails": dict(num_columns=100_000),
        "compressibility": dict(replicas=8, widths=(100, 200, 400, 800)),
    }
    quick = SIZES["quick"]
    settings = {name: quick.settings[name] | rest for name, rest in smaller.items()}
    size = dataclasses.replace(quick, settings=settings, training=quick.training | {"width": 64})
    monkeypatch.setitem(SIZES, "quick", size)
    return size


FOLDER = f"quick-seed0-{ssd.__version__}"


def run(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    if done.exit_code == 2:
        told = [line for line in done.stderr.splitlines() if line.startswith("stablesde: ")]
        assert len(told) == 1 or "Usage:" in done.stderr, done.stderr
    return done


@pytest.mark.thorough
def test_check_writes_table_figures_and_record(tiny, tmp_path):
    mine = tmp_path / "results.json"
    mine.write_text("precious")
    done = run("check", "--quick", "--out", tmp_path)
    assert done.exit_code in (0, 1), done.output
    folder = tmp_path / FOLDER
    assert mine.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == [FOLDER, "results.json"]
    record = json.loads((folder / "results.json").read_text())
    names = {"strong_error", "propagation_of_chaos", "tails", "compressibility"}
    assert set(record["studies"]) == names
    for group in record["studies"].values():
        assert set(group) >= {
            "cells", "exponent", "bound_holds", "exponent_attained", "holds", "verdict",
            "versions", "runs",
        }  # fmt: skip
        assert group["versions"]["stablesde"] == record["version"]
        assert set(group["exponent"]) >= {"estimate", "lower", "upper", "theory"}
    assert set(record["training"]) >= {
        "dataset", "width", "noise", "alpha", "sigma", "seeds", "train_accuracy",
        "test_accuracy", "pruning_ratio", "train_accuracy_pruned", "test_accuracy_pruned",
    }  # fmt: skip
    assert record["config"] == {"size": "quick", "seed": 0}
    assert record["studies"]["strong_error"]["exponent_attained"] is False
    assert "tanh network, Type I, α = 1.5: " in record["studies"]["strong_error"]["verdict"]
    assert len(list((folder / "figures").glob("*.png"))) == 5
    for name, rows in (("results", _tidy.tidy_rows), ("summary", _tidy.summary_rows)):
        assert len((folder / f"{name}.csv").read_text().splitlines()) == 1 + len(rows(record))
    page = (folder / "results.md").read_text()
    for part in ("stablesde check --quick --seed 0", "Type I, α = 1.5](figures/", "Training run"):
        assert part in page
    (run_,) = record["studies"]["propagation_of_chaos"]["runs"]
    assert run_["verdict"] in page
    assert ssd.RateStudy.from_dict(run_).to_dict()["errors"] == run_["errors"]
    assert "all are finished" in run("status", tmp_path).output
    for part in ("linear drift", "pruning ratio", "the paper has no such run"):
        assert part in done.output
    holds = all(r["holds"] is True for g in record["studies"].values() for r in g["runs"])
    assert done.exit_code == (0 if holds else 1)
    # Some of the studies again: from the cells, and the rest of the record stays.
    figure = next((folder / "figures").glob("tails*"))
    figure.unlink()
    before = (folder / "results.json").read_bytes()
    again = run("check", "tails", "--quick", "--out", tmp_path, "--json")
    assert json.loads(again.stdout) == record
    assert (folder / "results.json").read_bytes() == before
    figure.unlink()
    assert run("report", folder).exit_code == 0
    assert (folder / "results.md").read_text() == page
    assert figure.exists()


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
        bounds={"paper": 9 * np.asarray(WIDTHS) ** -0.5}, notes=("a | note",),
    )  # fmt: skip


WIDTHS = (10.0, 30.0, 100.0, 300.0)
CELL = "cells/propagation-of-chaos-a-case/propagation_of_chaos/replicas-00001.npz"


@pytest.fixture
def cheap(monkeypatch, tmp_path):
    """The main job with that study alone; arguments that run it."""
    job = Job("propagation-of-chaos", "a case", study, "width")
    for module in (_check, _outcomes):
        monkeypatch.setattr(module, "jobs", lambda size, seed, only: [job])
    return ("check", "propagation-of-chaos", "--quick", "--out", tmp_path)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_always_goes_on_from_what_is_there(cheap, tmp_path):
    assert run(*cheap).exit_code == 0
    whole = contents(tmp_path)
    assert run(*cheap).exit_code == 0
    assert contents(tmp_path) == whole
    (tmp_path / FOLDER / CELL).unlink()
    told = run("status", tmp_path).output
    assert "2/3" in told
    assert "stopped" in told
    assert status(tmp_path)["seconds_left"] is not None
    assert run(*cheap).exit_code == 0
    assert contents(tmp_path) == whole


def test_fresh_starts_over_and_deletes_nothing(cheap, tmp_path):
    run(*cheap)
    whole = contents(tmp_path / FOLDER)
    (tmp_path / FOLDER / CELL).write_bytes(b"damaged")
    (tmp_path / FOLDER / "notes.txt").write_text("mine")
    for number in (1, 2):
        assert run(*cheap, "--fresh").exit_code == 0
        assert contents(tmp_path / FOLDER) == whole
        assert (tmp_path / f"{FOLDER}.old-{number}").is_dir()
    assert (tmp_path / f"{FOLDER}.old-1" / "notes.txt").read_text() == "mine"
    # Another seed is another folder.
    assert run(*cheap, "--seed", 1).exit_code == 0
    assert contents(tmp_path / FOLDER) == whole


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize(
    "name", ["results.json", CELL, CELL.replace("replicas-00001.npz", "config.json")]
)
def test_a_damaged_file_is_named_and_nothing_is_changed(name, content, cheap, tmp_path):
    run(*cheap)
    (tmp_path / FOLDER / name).write_bytes(content)
    before = contents(tmp_path)
    done = run(*cheap)
    assert done.exit_code == 2
    assert name.rpartition("/")[2] in done.stderr
    assert contents(tmp_path) == before
    assert run("status", tmp_path).exit_code == 0
    if name == "results.json":
        assert run("report", tmp_path / FOLDER).exit_code == 2


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_directory_that_is_no_run_is_told(tmp_path, command):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("absent", "file", "empty"):
        done = run(command, tmp_path / name)
        assert done.exit_code == 2
        assert str(tmp_path / name) in done.output


def test_durations():
    assert [duration(s) for s in (0.4, 59.4, 61, 3600, 7500)] == [
        "0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip


def outcome(group="tails", sharp="norm", **changes):
    """A finished tail study with a given estimate."""
    values = dict(
        config={}, top=np.geomspace(100, 1, 10), num_columns=1000, alpha=1.5, tail_constant=1.0,
        k=900, estimate=1.5, lower=1.4, upper=1.6,
    )  # fmt: skip
    job = Job(group, "a case", None, sharp)
    return _outcomes.Outcome(job, ssd.TailStudy(**(values | changes)))


UNDECIDED = dict(k=30, estimate=1.9, lower=1.3, upper=2.6)
REFUTED = dict(estimate=2.5, lower=2.4, upper=2.6)


@pytest.mark.parametrize(
    ("cases", "holds", "attained"),
    [
        ([{}, {}], True, True),
        ([{}, UNDECIDED], None, None),
        ([UNDECIDED, {}], None, None),
        ([{}, UNDECIDED, REFUTED], False, False),
    ],
)
def test_the_record_joins_the_verdicts_of_all_runs(cases, holds, attained):
    found = [outcome(**c) for c in cases]
    record = _outcomes.results(SIZES["quick"], 0, found, None)
    group = record["studies"]["tails"]
    assert group["bound_holds"] is holds
    assert group["holds"] is holds
    assert group["exponent_attained"] is attained
    assert group["verdict"].count("a case: ") == len(cases)
    assert len(group["runs"]) == len(cases)


def rates(errors, bounds, sharp):
    """A finished rate study of errors over four widths."""
    study = ssd.RateStudy(
        name="synthetic", config={}, axes=(ssd.studies.Axis("width", WIDTHS, -0.5),),
        errors={"sup": errors}, rate_measure="sup", rate_statistic="median", rate_axis="width",
        bounds=bounds,
    )  # fmt: skip
    return _outcomes.Outcome(Job("strong-error", "a case", None, sharp), study)


@pytest.mark.parametrize(
    ("replicas", "slope", "bound", "sharp", "holds"),
    [
        (50, -0.5, 9.0, "width", True),
        (50, -0.5, 0.1, "width", False),
        (50, -0.8, 9.0, None, True),
        (50, -0.8, 9.0, "width", False),
        (5, -0.5, 9.0, "width", None),
        # Without a bound nothing is shown but the exponent: it must be attained.
        (50, -0.5, None, "width", True),
        (50, -0.8, None, "width", False),
        (5, -0.5, None, "width", None),
    ],
)
def test_what_holds(replicas, slope, bound, sharp, holds):
    rng = np.random.default_rng(0)
    power = np.asarray(WIDTHS) ** slope
    errors = power * np.exp(0.05 * rng.normal(size=(replicas, 4)))
    bounds = {} if bound is None else {"paper": bound * np.asarray(WIDTHS) ** -0.5}
    finished = rates(errors, bounds, sharp)
    assert finished.holds is holds
    head, row = _outcomes.rows([finished])
    assert (row[head.index("bound holds")] == "—") == (bound is None)
    assert ("inconclusive" in row) == (holds is None)
    assert row[head.index("measured/predicted")] == "—"


@pytest.mark.parametrize(("found", "word"), [(None, "INCONCLUSIVE  "), (False, "DOES NOT HOLD  ")])
def test_what_does_not_hold_or_is_open_does_not_pass(cheap, tmp_path, monkeypatch, found, word):
    monkeypatch.setattr("stablesde.studies.RateStudy.bound_holds", found)
    done = run(*cheap)
    assert done.exit_code == 1
    assert word in done.stderr
    record = json.loads((tmp_path / FOLDER / "results.json").read_text())
    assert record["studies"]["propagation_of_chaos"]["holds"] is found


def test_results_are_written_before_the_training(cheap, tmp_path, monkeypatch):
    def stop(*arguments):
        raise MemoryError("of the test")

    monkeypatch.setattr(_check, "run_training", stop)
    done = run("check", "propagation-of-chaos", "training", *cheap[2:])
    assert done.exit_code == 2
    assert "out of memory" in done.output
    record = json.loads((tmp_path / FOLDER / "results.json").read_text())
    assert set(record["studies"]) == {"propagation_of_chaos"}
    assert record["training"] is None


TRAIN = ("train", "--dataset", "teacher", "--width", 32, "--steps", 10)


def test_train(tmp_path):
    done = run(*TRAIN, "--seeds", 2, "--out", tmp_path / "record.json")
    assert done.exit_code == 0, done.output
    assert "test accuracy, pruned" in done.output
    record = json.loads((tmp_path / "record.json").read_text())
    assert len(record["train_accuracy"]["values"]) == 2
    assert json.loads(run(*TRAIN, "--seeds", 2, "--json").stdout) == record
    loaded = paper.TrainResult.load(tmp_path / "record.json")
    assert str(loaded) == done.output.rstrip("\n")
    assert all(len(line) == len(line.rstrip()) for line in done.output.splitlines())


def test_train_prints_what_it_cannot_write(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("stablesde._records.write_json", full)
    done = run(*TRAIN, "--seeds", 1, "--out", tmp_path / "record.json")
    assert done.exit_code == 2
    assert "test accuracy" in done.output
    assert "no space left" in done.output


@pytest.mark.parametrize("encoding", ["cp1252", "iso-8859-15"])
def test_a_console_without_greek(encoding, tmp_path):
    """As redirected output is on Windows: the record is there, and the text with names spelled."""
    command = [
        sys.executable,
        "-m",
        "stablesde",
        *map(str, TRAIN),
        "--seeds",
        "1",
        "--out",
        "r.json",
    ]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "alpha = 1.75, sigma = 0.02" in text
    assert json.loads((tmp_path / "r.json").read_text())["alpha"] == 1.75


@pytest.mark.parametrize("module", ["stablesde", "stablesde.cli"])
def test_the_modules_are_the_command(module, tmp_path):
    """A command that does nothing and exits 0 says that every bound holds."""
    for arguments, code in ((["--version"], 0), (["check", "--quick", "--full"], 2)):
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert (done.stdout or done.stderr).startswith("stablesde")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OverflowError("cannot convert"), "a number is too large: cannot convert"),
        (MemoryError(), "out of memory, take smaller sizes"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED\n  details"), "RESOURCE_EXHAUSTED details"),
    ],
)
def test_a_run_that_does_not_fit_ends_in_one_line(monkeypatch, error, message):
    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr("stablesde.paper.train", fail)
    done = run("train", "--dataset", "teacher")
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--alpha", 0), "alpha"),
        (("train", "--alpha", 2.5), "alpha"),
        (("train", "--alpha", "nan"), "alpha"),
        (("train", "--sigma", -1), "sigma"),
        (("train", "--width", 0), "width"),
        (("train", "--seeds", 0), "seeds"),
        (("train", "--dataset", "imagenet"), "unknown data set"),
        (("train", "--noise", "IV"), "noise"),
        (("train", "--data", "/nonexistent"), "does not exist"),
        (("check", "chaos"), "chaos"),
        (("check", "--seed", "x"), "seed"),
        (("check", "--seed", -1), "seed"),
        (("train", "--seed", 2**32), "seed"),
        (("check", "--quick", "--full"), "exclude each other"),
        (("check", "sharpness", "--quick"), "has no studies sharpness"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, message, tmp_path):
    more = ("--out", tmp_path) if arguments[0] == "check" else ()
    done = run(*arguments, *more)
    assert done.exit_code == 2
    assert message in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("record", [[], {"studies": {"x": 1}}, {"name": "x"}, {"studies": []}])
def test_tables_of_no_record(record):
    for rows in (_tidy.tidy_rows, _tidy.summary_rows):
        with pytest.raises(ValueError, match="record"):
            rows(record)


def test_long_tables(tmp_path):
    pandas = pytest.importorskip("pandas")
    chaos = study(None)
    rows = _tidy.tidy_rows(chaos.to_dict())
    assert len(rows) == 2 * 4 * 12
    assert set(map(tuple, rows)) == {_tidy.TIDY_COLUMNS}
    (point,) = [
        r for r in _tidy.summary_rows(chaos.to_dict()) if (r["measure"], r["width"]) == ("sup", 100)
    ]
    assert point["mean"] == pytest.approx(chaos.errors["sup"][:, 2].mean())
    assert (point["replicas"], point["case"]) == (12, None)
    _tidy.write_csv(tmp_path / "a.csv", rows)
    frame = pandas.read_csv(tmp_path / "a.csv")
    assert frame.value.tolist() == [r["value"] for r in rows]
    means = chaos.to_frame().query("measure == 'mean'").groupby("width").value.mean()
    np.testing.assert_allclose(means, chaos.errors["mean"].mean(0))
    _tidy.write_csv(tmp_path / "empty.csv", [])
    assert (tmp_path / "empty.csv").read_text().startswith("study,case,")
