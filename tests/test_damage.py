"""Damaged run directories: the same numbers, or an error that names the file; nothing else is lost.

Each property takes a finished directory, damages one file of it, and reads it as its owner would.
"""

import json
import os
import random
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import stablesde as ssd
from stablesde import training
from stablesde.cli import main
from stablesde.datasets import teacher
from stablesde.dynamics import Recording, record
from stablesde.studies._runner import read_cell, run_cells

CONFIG = {"alpha": 1.5, "version": "0", "model_fingerprint": "abc", "widths": [4, 8]}


def run_study(folder, config=CONFIG, log=None):
    """A study of four cells; the numbers of all of them."""

    def cell(i):
        if log is not None:
            log.append(i)
        return {
            "mean": np.full(2, 1 / (i + 3)),
            "sup": np.random.default_rng(i).normal(size=(2, 3)),
        }

    cells = [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(4)]
    parts = run_cells("study", config, cells, folder)
    return [v for part in parts for _, v in sorted(part.items())]


RUN = dict(num_particles=5, t1=1.0, num_steps=6, save_every=1, saves_per_file=3)


def run_record(folder):
    noise = ssd.OneFactorStable(1.5, 1)
    run = record(ssd.System(ssd.MeanReversion(1), noise), jax.random.key(0), run_dir=folder, **RUN)
    assert run.complete
    return read_recording(folder)


def read_recording(folder):
    run = Recording(folder)
    parts = [a for p in run for a in (p.initial, p.levy, p.displacement)]
    return [run.times, run.mean_statistic, *parts]


def run_training(folder):
    preset = training.Preset(0.05, 0.01, 3)
    network, steps = training.fit(teacher(), 4, "I", 1.5, preset, 0, run_dir=folder)
    return [*map(np.asarray, network), np.asarray(steps)]


RUNS = {"study": run_study, "recording": run_record, "training": run_training}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished directory of each kind, and its numbers."""
    root = tmp_path_factory.mktemp("finished")
    return {kind: (root / kind, run(root / kind)) for kind, run in RUNS.items()}


def flip(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def cut_out(data, rng):
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:first] + data[last:]


def put_in(data, rng):
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 20)) + data[at:]


def digit(data, rng):
    """Another digit in the place of one: still JSON, still a number."""
    places = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return flip(data, rng)
    at = rng.choice(places)
    return data[:at] + rng.choice(b"0123456789").to_bytes() + data[at + 1 :]


CHANGES = {
    "flip": flip, "digit": digit, "cut out": cut_out, "put in": put_in,
    "truncate": lambda data, rng: data[: rng.randrange(len(data))],
    "noise": lambda data, rng: rng.randbytes(len(data)),
    "nested": lambda data, rng: b"[" * 100_000,
    "foreign": lambda data, rng: rng.choice((b"{}", b"[]", b"null", b"1", b'{"sup": 3}', b"")),
}  # fmt: skip


def damage(path, what, rng, others):
    if what in CHANGES:
        return path.write_bytes(CHANGES[what](path.read_bytes(), rng))
    if what == "other":  # as by a mistaken copy
        return shutil.copy(rng.choice(others), path)
    path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path)
    elif what == "dangling":
        path.symlink_to(path.parent / "not mounted")
    return None


DAMAGE = st.sampled_from([*CHANGES, "other", "deleted", "directory", "loop", "dangling"])


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def outcome(run, folder):
    """What comes back: numbers, or what the error tells."""
    try:
        return run(folder), None
    except (ValueError, OSError) as error:
        return None, str(error)


def check_damage(run, source, whole, what, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / source.name
        shutil.copytree(source, folder)
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        path = rng.choice(files)
        damage(path, what, rng, [p for p in files if p != path])
        before = contents(folder)
        found, told = outcome(run, folder)
        if told is None:
            for a, b in zip(found, whole, strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            assert path.name in told
            assert contents(folder) == before
        after = contents(folder)
        for other, content in before.items():
            assert other == path or after[other] == content
        told = CliRunner().invoke(main, ["status", str(folder)])
        assert told.exit_code in (0, 2), told.output
        assert isinstance(told.exception, SystemExit | None)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(DAMAGE, st.integers(0, 2**32))
def test_a_damaged_study(finished, what, seed):
    check_damage(run_study, *finished["study"], what, seed)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(DAMAGE, st.integers(0, 2**32), st.sampled_from([run_record, read_recording]))
def test_a_damaged_recording(finished, what, seed, run):
    if run is read_recording and what in ("deleted", "loop", "dangling"):
        run = run_record  # who only reads may be told that there is no recording, or less of it
    check_damage(run, *finished["recording"], what, seed)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(DAMAGE, st.integers(0, 2**32))
def test_a_damaged_training(finished, what, seed):
    check_damage(run_training, *finished["training"], what, seed)


def test_a_cell_cut_anywhere(finished, tmp_path):
    """At every byte."""
    path = tmp_path / "replicas-00001.json"
    data = (finished["study"][0] / "study" / path.name).read_bytes()
    assert read_cell(path, CONFIG) is None
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"replicas-00001\.json is damaged .* the other cells"):
            read_cell(path, CONFIG)
    path.write_bytes(data)
    assert set(read_cell(path, CONFIG)) == {"mean", "sup"}


def test_a_cell_with_other_content(tmp_path):
    """JSON, and even numbers of the right shape, that were not computed here."""
    whole = run_study(tmp_path)
    path = tmp_path / "study" / "replicas-00002.json"
    good = path.read_text()
    values = json.loads(good)
    strangers = [
        values | {"sup": [[float("nan")] * 3] * 2}, values | {"sup": [[1.0] * 4] * 2},
        values | {"extra": [1.0]}, {k: v for k, v in values.items() if k != "mean"},
        {k: v for k, v in values.items() if k != "sha256"}, values | {"sup": [[1, 2], [3]]},
        values | {"sup": "text"}, values | {"sha256": None}, values | {"sup": {"a": 1}},
    ]  # fmt: skip
    for stranger in strangers:
        path.write_text(json.dumps(stranger))
        with pytest.raises(ValueError, match=r"replicas-00002\.json is damaged"):
            run_study(tmp_path)
    path.unlink()
    for a, b in zip(run_study(tmp_path), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert path.read_text() == good


def test_cells_that_go_while_the_study_runs(tmp_path):
    """Deleted by somebody between two looks: they are computed again."""
    log = []
    whole = run_study(tmp_path, log=log)
    real = os.stat

    def gone(path, *arguments, **settings):
        found = real(path, *arguments, **settings)
        if str(path).endswith("replicas-00001.json"):
            Path(path).unlink(missing_ok=True)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.stat", gone)
        patch.setattr("pathlib.Path.stat", lambda self, **k: gone(self, **k))
        found = run_study(tmp_path, log=log)
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cells_without_their_configuration_are_not_taken_for_others(tmp_path):
    """config.json is lost: other settings are refused, and do not claim the folder."""
    whole = run_study(tmp_path)
    config = tmp_path / "study" / "config.json"
    text = config.read_bytes()
    config.unlink()
    with pytest.raises(ValueError, match=r"replicas-00000\.json is damaged .* config\.json"):
        run_study(tmp_path, CONFIG | {"alpha": 1.6})
    assert not config.exists()
    for a, b in zip(run_study(tmp_path), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert config.read_bytes() == text


def test_a_training_without_its_configuration(tmp_path):
    whole = run_training(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"checkpoint\.npz is damaged \(it is of a training with"):
        training.fit(teacher(), 4, "I", 1.6, training.Preset(0.05, 0.01, 3), 0, run_dir=tmp_path)
    assert not (tmp_path / "config.json").exists()
    for a, b in zip(run_training(tmp_path), whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_file_of_a_recording(number, finished, tmp_path):
    """Of a finished run: its last state cannot write what came before it."""
    source, whole = finished["recording"]
    folder = tmp_path / "run"
    shutil.copytree(source, folder)
    parts = sorted(folder.glob("part-*"))
    assert len(parts) == 3
    kept = parts[number].read_bytes()
    parts[number].unlink()
    if number == 2:  # the end alone, which is in the state
        assert not Recording(folder).complete
    else:
        for read in (run_record, read_recording):
            with pytest.raises(ValueError, match=rf"{parts[number].name} is damaged .*missing"):
                read(folder)
        (folder / "state.npz").unlink()
    for a, b in zip(run_record(folder), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert parts[number].read_bytes() == kept


def test_a_lost_last_file_that_holds_more_than_the_end(tmp_path):
    """Steps before the end are in it: the final state must not be taken further."""
    settings = RUN | dict(saves_per_file=4, run_dir=tmp_path)
    system = ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.5, 1))
    arguments = (system, jax.random.key(0))
    last = record(*arguments, **settings).parts[-1]
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(ValueError, match=rf"{last.name} is damaged"):
        record(*arguments, **settings)
    (tmp_path / "state.npz").unlink()
    record(*arguments, **settings)
    assert last.read_bytes() == kept


def test_the_folder_of_a_study_is_no_recording(finished):
    with pytest.raises(ValueError, match=r"config\.json is not that of a recording"):
        Recording(finished["study"][0] / "study").complete  # noqa: B018
