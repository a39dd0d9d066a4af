"""The command: what it prints and writes, its exit codes, and one clear line for bad input."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

import stablesde as ssd
from stablesde import check
from stablesde.cli import main


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
    settings = {name: check.QUICK.settings[name] | rest for name, rest in smaller.items()}
    size = dataclasses.replace(
        check.QUICK, settings=settings, training=check.QUICK.training | {"width": 64}
    )
    monkeypatch.setitem(check.SIZES, "quick", size)
    return size


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_check_writes_table_figures_and_record(tiny, tmp_path):
    done = run("check", "--quick", "--out", tmp_path)
    assert done.exit_code in (0, 1), done.output
    record = json.loads((tmp_path / "results.json").read_text())
    assert set(record["studies"]) == {
        "strong_error",
        "propagation_of_chaos",
        "tails",
        "compressibility",
    }
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
    assert len(list((tmp_path / "figures").glob("*.png"))) == 5
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + len(ssd.studies.tidy_rows(record))
    rows = (tmp_path / "summary.csv").read_text().splitlines()
    assert len(rows) == 1 + len(ssd.studies.summary_rows(record))
    assert run("status", tmp_path).output.count("finished") == 6  # each study, and all cells
    assert run("report", tmp_path).exit_code == 0
    assert "linear drift" in done.output
    assert "pruning ratio" in done.output
    assert "no such row" not in done.output
    holds = all(r["holds"] is True for g in record["studies"].values() for r in g["runs"])
    assert done.exit_code == (0 if holds else 1)


def outcome(group="tails", sharp="norm", **changes):
    """A finished tail study with a given estimate."""
    values = dict(
        config={}, top=np.geomspace(100, 1, 10), num_columns=1000, alpha=1.5, tail_constant=1.0,
        k=900, estimate=1.5, lower=1.4, upper=1.6,
    )  # fmt: skip
    job = check.Job(group, "a case", None, sharp)
    return check.Outcome(job, ssd.TailStudy(**(values | changes)))


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
    record = check.results(check.QUICK, 0, [outcome(**c) for c in cases], None)
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
    return check.Outcome(check.Job("strong-error", "a case", None, sharp), study)


WIDTHS = (10.0, 30.0, 100.0, 300.0)


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
    assert ("—" in check.table([finished])) == (bound is None)
    assert ("inconclusive" in check.table([finished])) == (holds is None)


def test_inconclusive_does_not_pass(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("stablesde.studies.TailStudy.bound_holds", None)
    done = run("check", "tails", "--quick", "--out", tmp_path)
    assert done.exit_code == 1
    assert "INCONCLUSIVE  tails" in done.output
    assert json.loads((tmp_path / "results.json").read_text())["studies"]["tails"]["holds"] is None


def test_results_are_written_before_the_training(tiny, tmp_path, monkeypatch):
    def stop(*arguments):
        raise MemoryError("of the test")

    monkeypatch.setattr(check, "run_training", stop)
    done = run("check", "tails", "training", "--quick", "--out", tmp_path)
    assert done.exit_code == 2
    assert "out of memory" in done.output
    record = json.loads((tmp_path / "results.json").read_text())
    assert set(record["studies"]) == {"tails"}
    assert record["training"] is None


@pytest.mark.parametrize("text", ["{", "[]", '{"config": {}}', "\xff"])
def test_an_unreadable_record_is_moved_aside(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))
    new = check.results(check.QUICK, 0, [outcome()], None)
    for number in ("", "-2"):
        assert check.keep_earlier(path, new) == new
        assert (tmp_path / f"results.unreadable{number}.json").read_bytes()[:1]
        assert not path.exists()
        path.write_text("{")


def test_only_a_record_of_the_same_size_and_seed_is_kept(tmp_path):
    path = tmp_path / "results.json"
    old = check.results(check.QUICK, 0, [outcome()], None)
    old["version"] = "0.0.1"
    path.write_text(json.dumps(old))
    new = check.results(check.QUICK, 0, [outcome("compressibility")], None)
    assert set(check.keep_earlier(path, new)["studies"]) == {"tails", "compressibility"}
    other = check.results(check.QUICK, 1, [outcome("compressibility")], None)
    assert check.keep_earlier(path, other) == other
    assert path.exists()


def test_one_study_resumes_to_the_same_bytes(tiny, tmp_path):
    arguments = ("check", "tails", "--quick", "--out", tmp_path)
    run(*arguments)
    first = (tmp_path / "results.json").read_bytes()
    assert set(json.loads(first)["studies"]) == {"tails"}
    resumed = run(*arguments, "--resume", "--json")
    assert json.loads(resumed.stdout)["studies"] == json.loads(first)["studies"]
    assert (tmp_path / "results.json").read_bytes() == first


def test_a_single_study_updates_its_part_of_the_record(tiny, tmp_path):
    run("check", "tails", "training", "--quick", "--out", tmp_path)
    run("check", "compressibility", "--quick", "--out", tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    assert set(record["studies"]) == {"tails", "compressibility"}
    assert record["training"] is not None
    assert list(tmp_path.rglob("columns-*.json"))


def test_nothing_of_the_users_is_deleted(tiny, tmp_path):
    run("check", "tails", "--quick", "--out", tmp_path)
    cells = tmp_path / "cells" / "tails-tanh-network-Type-I-1.5" / "tails"
    own = [cells / "config.json", cells / "columns-00000.json", cells / "progress.json"]
    own += [tmp_path / "figures" / "tails-tanh-network-Type-I-1.5.png"]
    assert check.own_files(tmp_path) == sorted(own)
    mine = [
        tmp_path / "notes.txt", tmp_path / "cells" / "tails-mine" / "data.txt",
        cells / "columns-copy.json", tmp_path / "figures" / "tails-mine.png",
    ]  # fmt: skip
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    run("check", "training", "--quick", "--out", tmp_path, "--seed", 1, "--overwrite")
    assert [path.read_text() for path in mine] == ["precious"] * 4
    assert not any(path.exists() for path in own)


def test_a_second_run_computes_anew_whatever_version_wrote_the_first(tiny, tmp_path):
    arguments = ("check", "tails", "--quick", "--out", tmp_path)
    run(*arguments)
    path = next(tmp_path.rglob("cells/*/tails/config.json"))
    path.write_text(path.read_text().replace('"version": "', '"version": "0.old-'))
    refused = run(*arguments, "--resume")
    assert refused.exit_code == 2
    assert "by another version, 0.old-" in refused.output
    assert run(*arguments).exit_code in (0, 1)


def test_another_seed_does_not_overwrite(tiny, tmp_path):
    run("check", "tails", "--quick", "--out", tmp_path)
    cells = sorted(tmp_path.rglob("columns-*.json"))
    refused = run("check", "tails", "--quick", "--out", tmp_path, "--seed", 1)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert sorted(tmp_path.rglob("columns-*.json")) == cells
    allowed = run("check", "tails", "--quick", "--out", tmp_path, "--seed", 1, "--overwrite")
    assert allowed.exit_code in (0, 1)


def test_a_violated_bound_is_told(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("stablesde.studies.TailStudy.bound_holds", False)
    done = run("check", "tails", "--quick", "--out", tmp_path)
    assert done.exit_code == 1
    assert "DOES NOT HOLD" in done.output


def test_train(tmp_path):
    arguments = ("train", "--dataset", "teacher", "--width", 32, "--steps", 10, "--seeds", 2)
    done = run(*arguments, "--out", tmp_path / "record.json")
    assert done.exit_code == 0, done.output
    assert "test accuracy, pruned" in done.output
    record = json.loads((tmp_path / "record.json").read_text())
    assert len(record["train_accuracy"]["values"]) == 2
    assert json.loads(run(*arguments, "--json").stdout) == record
    assert "the paper has no such run" in done.output
    assert all(len(line) == len(line.rstrip()) for line in done.output.splitlines())


def test_train_prints_what_it_cannot_write(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("stablesde._storage.write_json", full)
    done = run(
        "train", "--dataset", "teacher", "--width", 8, "--steps", 2, "--seeds", 1,
        "--out", tmp_path / "record.json",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "test accuracy" in done.output
    assert "no space left" in done.output


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

    monkeypatch.setattr("stablesde.training.train", fail)
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
        (("check", "--seed", 2**32), "seed"),
        (("train", "--seed", -1), "seed"),
        (("train", "--seed", 2**32), "seed"),
        (("check", "--quick", "--full"), "exclude each other"),
        (("train", "--out", "/proc/nowhere/record.json"), "/proc/nowhere"),
        (("check", "--out", "/proc/nowhere", "tails"), "/proc/nowhere"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)
