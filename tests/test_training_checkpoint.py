"""Long trainings: killed at any moment they go on, and end in the same numbers."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stablesde import training
from stablesde.datasets import teacher

DATA = teacher(num_train=256, num_test=64)
WIDTH = 256
PRESET = training.Preset(0.05, 0.01, 4000, batch_size=32)
PROGRAM = Path(__file__).parent / "programs" / "long_training.py"


def steps_saved(folder):
    with np.load(folder / "checkpoint.npz") as file:
        return int(file["steps"])


def start(folder):
    return subprocess.Popen([sys.executable, PROGRAM, folder], env=os.environ)


def test_killed_and_resumed_is_the_same(tmp_path):
    whole, steps = training.fit(DATA, WIDTH, "III", 1.75, PRESET, 3)
    file, progress = tmp_path / "checkpoint.npz", [0]
    for _ in range(3):
        process = start(tmp_path)
        while process.poll() is None and (
            not file.exists() or steps_saved(tmp_path) < progress[-1] + 300
        ):
            assert not file.exists() or steps_saved(tmp_path) >= progress[-1]  # not from the start
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        progress.append(steps_saved(tmp_path))
    assert progress == sorted(set(progress))  # each went on from where the last was killed
    assert progress[1] < steps
    resumed, taken = training.fit(
        DATA, WIDTH, "III", 1.75, PRESET, 3, run_dir=tmp_path, save_seconds=0
    )
    assert taken == steps
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_training_is_read_back(tmp_path, monkeypatch):
    preset = training.Preset(0.05, 0.0, 5000, batch_size=32, until_accuracy=0.9)
    arguments = (teacher(num_train=256), 128, "none", 1.5, preset, 0)
    network, steps = training.fit(*arguments, run_dir=tmp_path)
    assert steps < 5000
    monkeypatch.setattr("stablesde.training._train.train_chunk", None)  # nothing is trained
    again, same = training.fit(*arguments, run_dir=tmp_path)
    assert same == steps
    np.testing.assert_array_equal(network.w1, again.w1)


def test_train_keeps_a_folder_for_each_seed(tmp_path):
    settings = dict(width=16, noise="I", alpha=1.5, sigma=0.05, learning_rate=0.05, steps=30)
    plain = training.train(DATA, seeds=2, **settings)
    kept = training.train(DATA, seeds=2, run_dir=tmp_path, **settings)
    assert kept == plain
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seed-00000", "seed-00001"]
    with pytest.raises(ValueError, match=r"another configuration \(different: sigma"):
        training.train(DATA, seeds=2, run_dir=tmp_path, **settings | dict(sigma=0.1))


def test_damage_is_named(tmp_path):
    preset = training.Preset(0.05, 0.01, 10)
    arguments = (DATA, 16, "I", 1.5, preset, 0)
    training.fit(*arguments, run_dir=tmp_path)
    file = tmp_path / "checkpoint.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"checkpoint\.npz is damaged .* delete it"):
        training.fit(*arguments, run_dir=tmp_path)
    with pytest.raises(ValueError, match="save_seconds"):
        training.fit(*arguments, run_dir=tmp_path, save_seconds=-1.0)
