"""Places that cannot be written to: one line that names them, before anything long is computed."""

import errno
import os
import subprocess
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import shells

import stablesde as ssd
from stablesde import check, training
from stablesde._storage import check_writable, write_atomically
from stablesde.cli import main
from stablesde.datasets import teacher
from stablesde.studies._runner import run_cells
from stablesde.training import _suite


def run(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


@pytest.fixture
def never(monkeypatch):
    """Fails the test if anything is computed."""

    def computed(*arguments, **settings):
        raise AssertionError("it was computed")

    monkeypatch.setattr(check, "run", computed)
    monkeypatch.setattr(training, "train", computed)
    monkeypatch.setattr(training, "train_mean_field", computed)
    monkeypatch.setattr(_suite, "_measure", computed)
    monkeypatch.setattr("stablesde.training._tables.load", lambda name, root: shells(name))


COMMANDS = {
    "check": ("check", "tails", "--quick", "--out"),
    "table": ("table", 1, "--run", "--only", "none", "--width", 8, "--out"),
    "train": ("train", "--dataset", "teacher", "--width", 8, "--out"),
}


def below_a_file(root):
    (root / "file").write_text("precious")
    return root / "file" / "folder" / "out"


def a_long_name(root):
    return root / (300 * "n")


def in_proc(root):
    return root.joinpath("/proc/nowhere/out")


def at_a_loop(root):
    (root / "loop").symlink_to(root / "loop")
    return root / "loop" / "out"


PLACES = [below_a_file, a_long_name, in_proc, at_a_loop]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_that_cannot_be(command, place, never, tmp_path):
    path = place(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = run(*COMMANDS[command], path)
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert str(path)[:200] in line
    assert "choose another place" in line
    assert sorted(tmp_path.iterdir()) == before
    assert not (tmp_path / "file").exists() or (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("command", ["check", "table"])
def test_a_file_as_out(command, never, tmp_path):
    (tmp_path / "file").write_text("precious")
    done = run(*COMMANDS[command], tmp_path / "file")
    assert done.exit_code == 2
    assert "is a file" in done.output
    assert (tmp_path / "file").read_text() == "precious"


def test_a_directory_as_a_file(never, tmp_path):
    done = run(*COMMANDS["train"], tmp_path)
    assert done.exit_code == 2
    assert "is a directory" in done.output
    with pytest.raises(OSError, match="Is a directory: no file can be written there"):
        check_writable(tmp_path)


def test_a_name_that_only_just_fits(never, tmp_path):
    """The file is written beside under a longer name first: what cannot be is found at once."""
    name = tmp_path / (250 * "n")
    assert name.write_text("the system takes it") > 0
    done = run(*COMMANDS["train"], name)
    assert done.exit_code == 2
    assert "File name too long" in done.output
    with pytest.raises(OSError, match="File name too long"):
        write_atomically(name, b"x")


@contextmanager
def mounted(folder, *options):
    """A small file system, or a skip with the reason."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("size=64k", *options)), "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here ({error})")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_file_system(command, never, tmp_path):
    with mounted(tmp_path / "disk", "ro") as disk:
        done = run(*COMMANDS[command], disk / "out")
        assert done.exit_code == 2
        assert "Read-only file system" in done.output
        assert str(disk) in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_file_system(command, never, tmp_path):
    with mounted(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(bytes(64 * 1024))
        done = run(*COMMANDS[command], disk / "out")
        assert done.exit_code == 2
        assert "no space left" in done.output
        assert "free some space" in done.output
        left = [p for p in disk.rglob("*") if p.is_file() and p.name != "ballast"]
        assert left == []


def a_file(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")


def a_directory(path):
    path.mkdir(parents=True)


NAME = "tails-tanh-network-Type-I-1.5"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("figures", a_file), (f"cells/{NAME}", a_file), (f"cells/{NAME}/tails", a_file),
        ("results.json", a_directory), ("results.csv", a_directory), ("run.json", a_directory),
        ("report.html", a_directory), (f"figures/{NAME}.png", a_directory),
        ("progress.json", a_directory),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [(), ("--resume",), ("--overwrite",)])
def test_what_is_in_the_way_inside(name, make, more, never, tmp_path):
    """Found before the cells of an earlier run are replaced."""
    make(tmp_path / name)
    if name != "run.json":
        (tmp_path / "run.json").write_text('{"size": "quick", "seed": 0}')
    cell = tmp_path / "cells" / "tails-tanh-network-Type-I-1.8" / "tails" / "columns-00000.json"
    a_file(cell)
    before = sorted(tmp_path.rglob("*"))
    done = run(*COMMANDS["check"], tmp_path, *more)
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert name.split("/")[-1] in line
    assert "choose another place" in line
    assert sorted(tmp_path.rglob("*")) == before
    assert cell.read_text() == "mine"


def test_a_setting_of_a_table_that_is_in_the_way(never, tmp_path):
    """Of the last row, before the first is trained."""
    rows = training.paper_table(1, tmp_path, width=8).rows
    (tmp_path / rows[-1].setting.name).write_text("mine")
    with pytest.raises(OSError, match="choose another place"):
        training.paper_table(1, tmp_path, run=True, width=8)
    assert (tmp_path / rows[-1].setting.name).read_text() == "mine"


@pytest.mark.parametrize("place", PLACES)
def test_a_run_directory_that_cannot_be(place, tmp_path, monkeypatch):
    path = place(tmp_path)

    def computed(*arguments, **settings):
        raise AssertionError("it was computed")

    monkeypatch.setattr("stablesde.dynamics._record._write_parts", computed)
    monkeypatch.setattr("stablesde.training._train.train_chunk", computed)
    noise, key = ssd.OneFactorStable(1.5, 1), jax.random.key(0)
    attempts = [
        lambda: run_cells("study", {}, [("replicas-00000", computed)], path),
        lambda: training.fit(
            teacher(), 4, "I", 1.5, training.Preset(0.1, 0.1, 5), 0, run_dir=path
        ),
        lambda: ssd.dynamics.record(
            ssd.MeanReversion(1), noise, key, run_dir=path, num_particles=3, t1=1.0, num_steps=2,
            save_every=1,
        ),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(OSError, match="choose another place") as caught:
            attempt()
        assert caught.value.errno in (errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ELOOP)
        assert str(path)[:200] in str(caught.value)


def test_a_report_that_cannot_be_written(tmp_path):
    cells = [("replicas-00000", lambda: {"sup": np.ones(2)})]
    run_cells("study", {}, cells, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for out in (tmp_path / "study" / "config.json" / "page.html", "/proc/nowhere/page.html"):
        done = run("report", tmp_path, "--out", out)
        assert done.exit_code == 2
        (line,) = done.output.splitlines()
        assert os.path.dirname(out) in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    """`--out /dev/null` as root would otherwise put a file in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(pipe)
        write_atomically(pipe, b"data")
        assert os.read(reader, 10) == b"data"
        assert not pipe.is_file()
        assert os.listdir(tmp_path) == ["pipe"]
    finally:
        os.close(reader)
