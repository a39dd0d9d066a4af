"""The paper's tables from cells: what is shown, what is missing, and kills that change nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import shells

from stablesde import paper, training
from stablesde.cli import main
from stablesde.paper._presets import paper_tables
from stablesde.paper._suite import Setting

TABLES = sorted(int(n) for n in paper_tables()["tables"])


SMALL = dict(width=32, steps=20, learning_rate=0.05, data=shells())


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("number", TABLES)
def test_every_table_is_shown_before_anything_is_computed(number, tmp_path):
    done = run("table", number, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.output)
    printed = paper_tables()["tables"][str(number)]
    assert [row["label"] for row in record["rows"]] == list(printed["rows"])
    assert all(row["paper"] == printed["rows"][row["label"]] for row in record["rows"])
    assert all(row["missing"] == [0, 1, 2, 3, 4] for row in record["rows"])
    assert not record["complete"]
    text = run("table", number, "--out", tmp_path, "--seeds", 2).output
    assert text.count("missing:") == len(printed["rows"])
    first = next(iter(printed["rows"].values()))["test_accuracy_pruned"]["mean"]
    assert f"{first:.4f}" in text
    assert list(tmp_path.iterdir()) == []


def test_presets_of_the_tables(tmp_path):
    def settings(number):
        rows = paper.paper_table(number, tmp_path).rows
        return {row.label: row.setting for row in rows}

    assert settings(2)["1.75"].preset == paper.Preset(5e-5, 0.5, 3000)
    assert settings(3)["1.75"].preset.sigma == 0.15
    assert settings(2)["none"] == Setting(
        "ecg5000", 10_000, "none", None, paper.Preset(5e-5, 0.0, 3000)
    )
    assert [s.preset.sigma for s in settings(20).values()] == [1e-5, 2e-5, 3e-5]
    assert {s.alpha for s in settings(20).values()} == {1.8}
    # The vanilla controls of MNIST are the noiseless networks of Tables 15, 16 and 5.
    for control, table in ((17, 15), (18, 16), (19, 5)):
        assert set(settings(control).values()) == {settings(table)["none"]}


def test_a_table_fills_seed_by_seed(tmp_path):
    only = dict(only=["none", "1.75"], **SMALL)
    one = paper.paper_table(1, tmp_path, run=True, seeds=1, **only)
    assert one.complete
    assert [row.label for row in one.rows] == ["none", "1.75"]
    direct = paper.train(
        SMALL["data"], width=32, noise="I", alpha=1.75, sigma=0.5, steps=20, learning_rate=0.05,
        seeds=2,
    )  # fmt: skip
    partial = paper.paper_table(1, tmp_path, seeds=2, **only)
    assert partial.rows[1].seeds == (0,)
    assert partial.rows[1].missing == (1,)
    text = str(partial)
    assert "missing: 1.75, seed 1" in text
    assert "n = 32 (the paper's: 2000)" in text
    assert "not the paper's, learning_rate = 0.05, steps = 20" in text
    assert "60 training and 30 test inputs" in text
    both = paper.paper_table(1, tmp_path, run=True, seeds=2, **only)
    for name, ours in both.rows[1].ours.items():
        assert ours == getattr(direct, name)
    assert both.rows[0].ours["pruning_ratio"].mean < both.rows[1].ours["pruning_ratio"].mean
    again = paper.paper_table(1, tmp_path, run=True, seeds=2, **only)
    assert again == both
    assert not (tmp_path / "unfinished").exists()


def test_vanilla_controls_are_the_noiseless_networks_pruned_at_those_ratios(tmp_path):
    small = SMALL | dict(data=shells("mnist", 8, 10), seeds=2)
    table = paper.paper_table(17, tmp_path, run=True, **small)
    names = [p.name for p in tmp_path.iterdir()]
    assert len(names) == 1  # one setting for the three rows
    preset = table.rows[0].setting.preset
    data = small["data"]
    networks = [paper.fit(data, 32, "none", 2.0, preset, seed)[0] for seed in (0, 1)]
    for row in table.rows:
        curves = [training.pruning_curve(n, data, (row.ratio,)) for n in networks]
        assert row.ours["test_accuracy_pruned"].values == tuple(c.test_accuracy[0] for c in curves)
    assert "trained without noise" in str(table)


def test_marks_what_is_off(tmp_path):
    table = paper.paper_table(1, tmp_path, run=True, seeds=1, **SMALL)
    row = table.rows[0]
    off = abs(row.ours["test_accuracy"].mean - 0.957) > 0.01
    assert row.differs("test_accuracy") is off
    assert off  # 30 test inputs: multiples of 1/30, and nothing near
    assert "* off the paper's" in str(table)
    assert paper.paper_table(1, tmp_path / "empty").rows[0].differs("test_accuracy") is None


def test_a_diverging_seed_is_a_cell(tmp_path):
    wild = SMALL | dict(learning_rate=1e30, only=["none"])
    with pytest.warns(UserWarning, match="diverged"):
        table = paper.paper_table(1, tmp_path, run=True, seeds=1, **wild)
    assert table.rows[0].diverged == (0,)
    assert table.complete
    assert "diverged: none, seed 0" in str(table)


def test_part_of_cifar_is_named_so(tmp_path):
    data = shells("cifar10", 8, 10)
    table = paper.paper_table(6, tmp_path, run=True, seeds=1, **SMALL | dict(data=data))
    assert "a part of CIFAR-10: these accuracies are not CIFAR-10 accuracies" in str(table)


@pytest.mark.parametrize(
    ("number", "settings", "message"),
    [
        (7, {}, "hyperparameters"),
        (21, {}, "no Table 21"),
        (20, dict(sigma=0.1), "noise levels"),
        (1, dict(only=["2.0"]), "no row 2.0; it has none, 1.75, 1.8, 1.9"),
        (1, dict(seeds=0), "seeds"),
        (1, dict(width=0), "width"),
        (1, dict(sigma=-1.0), "sigma"),
        (1, dict(data=shells("mnist")), "about ecg5000"),
    ],
)
def test_bad_input(number, settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        paper.paper_table(number, tmp_path, **settings)


def test_other_data_and_damage_are_refused(tmp_path):
    paper.paper_table(1, tmp_path, run=True, seeds=1, only=["none"], **SMALL)
    other = SMALL | dict(data=shells(dim=9))
    with pytest.raises(ValueError, match=r"another configuration \(different: data"):
        paper.paper_table(1, tmp_path, run=True, seeds=1, only=["none"], **other)
    (cell,) = tmp_path.glob("*/seed-00000.npz")
    cell.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        paper.paper_table(1, tmp_path, seeds=1, **SMALL)
    config = cell.parent / "config.json"
    config.write_text(config.read_text().replace('"version": "', '"version": "0'))
    with pytest.raises(ValueError, match=r"other settings \(different: version"):
        paper.paper_table(1, tmp_path, seeds=1, **SMALL)
    done = run("table", 7, "--out", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


PROGRAM = Path(__file__).parent / "programs" / "paper_table.py"


def cells(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.glob("ecg5000-*/[cs]*.*")}


@pytest.mark.thorough
def test_killed_and_resumed_is_the_same(tmp_path):
    """Killed again and again at other moments; the cells that were finished stay as they are."""
    paper.paper_table(1, tmp_path / "whole", run=True, seeds=3, only=["none", "1.75"], **SMALL)
    folder, kills = tmp_path / "killed", 0
    for _ in range(20):
        process = subprocess.Popen([sys.executable, PROGRAM, folder], env=os.environ)
        before = len(cells(folder))
        while process.poll() is None and len(cells(folder)) < before + 4:
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills >= 2
    assert cells(folder) == cells(tmp_path / "whole")
    assert not (folder / "unfinished").exists()
