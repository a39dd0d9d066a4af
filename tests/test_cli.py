"""The command: what it prints and writes, its exit codes, and one clear line for bad input."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from stablesde import check
from stablesde.cli import main


@pytest.fixture
def tiny(monkeypatch):
    """The main job at a size of seconds."""
    size = dataclasses.replace(
        check.QUICK,
        strong_replicas=8,
        strong_steps=(2, 4, 8, 16),
        fine_steps=128,
        linear_replicas=32,
        linear_widths=(4, 8, 16, 32),
        chaos_replicas=32,
        chaos_widths=(8, 16, 32, 64),
        tail_columns=100_000,
        compression_replicas=8,
        compression_widths=(100, 200, 400, 800),
        training_width=64,
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
            "cells", "exponent", "bound_holds", "exponent_attained", "verdict", "runs"
        }  # fmt: skip
        assert set(group["exponent"]) >= {"estimate", "lower", "upper", "theory"}
    assert set(record["training"]) >= {
        "dataset", "width", "noise", "alpha", "sigma", "seeds", "train_accuracy",
        "test_accuracy", "pruning_ratio", "train_accuracy_pruned", "test_accuracy_pruned",
    }  # fmt: skip
    assert record["config"]["size"] == "quick"
    assert len(list((tmp_path / "figures").glob("*.png"))) == 5
    assert "linear drift" in done.output
    assert "pruning ratio" in done.output
    holds = all(r["holds"] for g in record["studies"].values() for r in g["runs"])
    assert done.exit_code == (0 if holds else 1)


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
    mine = tmp_path / "cells" / "tails-mine" / "data.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    run("check", "training", "--quick", "--out", tmp_path)
    assert mine.read_text() == "precious"


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
        (("check", "--out", "/proc/nowhere", "tails"), "/proc/nowhere"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)
