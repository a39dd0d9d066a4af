"""Runs that are killed, shared, or out of disk end in the same bytes, and say where they are."""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from stablesde import _storage
from stablesde._locks import holder, take
from stablesde.studies._runner import run_cells

# A study of 30 cells whose numbers are any function of their labels; its cells are slow enough to
# be killed in. No JAX: the kill test starts it over and over.
SCRIPT = """
import json, sys, time, types
from pathlib import Path
root, out, pause, count = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), 30
# The package's __init__ would import JAX, which takes seconds.
for name in ("stablesde", "stablesde.studies"):
    module = types.ModuleType(name)
    module.__path__ = [str(root.joinpath(*name.split(".")))]
    sys.modules[name] = module
import numpy as np
from stablesde._storage import write_json
from stablesde.studies._runner import run_cells

def cell(number):
    time.sleep(pause)
    with open(out / "computed.log", "a") as log:
        log.write(f"{number}\\n")
    return {"sup": np.random.default_rng(number).standard_cauchy((2, 500))}

cells = [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(count)]
results = run_cells("study", {"alpha": 1.5}, cells, out / "run")
name = sys.argv[4] if len(sys.argv) > 4 else "final.json"
write_json(out / name, [{k: v.tolist() for k, v in r.items()} for r in results])
"""
ROOT = Path(__file__).parents[1]


def start(out, pause=0.0, name="final.json"):
    out.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, "-c", SCRIPT, ROOT, out, pause, name]
    return subprocess.Popen([str(a) for a in arguments], stderr=subprocess.PIPE)


def finish(process):
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told.decode()


def computed(out):
    return [int(line) for line in (out / "computed.log").read_text().split()]


def leftovers(folder):
    """Files that are neither cells nor of the run: temporary ones and locks."""
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def cells_of(count, log=None):
    def cell(i):
        if log is not None:
            log.append(i)
        return {"sup": np.full((2, 3), i + 0.1)}

    return [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(count)]


@pytest.mark.slow
def test_twenty_kills_change_no_byte(tmp_path):
    finish(start(tmp_path / "whole"))
    rng, killed, inside, out = random.Random(0), 0, 0, tmp_path / "killed"
    while killed < 20:
        # Without a pause in the cells, most of the time goes to writing them.
        process = start(out, pause=rng.choice((0.0, 0.03)))
        # However slow the machine: not before it computes.
        log = out / "computed.log"
        before = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.001)
        time.sleep(0.1 * rng.random())
        if process.poll() is not None:
            # It ended before the kill came: make room for the next one.
            assert process.returncode == 0, process.stderr.read().decode()
            for path in rng.sample(sorted((out / "run" / "study").glob("replicas-*.json")), 20):
                path.unlink()
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        inside += (out / "run" / "study").exists() and bool(leftovers(out / "run" / "study"))
    assert inside >= 5  # killed in a cell, with its lock held
    finish(start(out))
    assert (out / "final.json").read_bytes() == (tmp_path / "whole/final.json").read_bytes()
    # A temporary file of the configuration may be a live process's: it is swept when it is old.
    assert [n for n in leftovers(out / "run" / "study") if "replicas" in n] == []
    for path in (tmp_path / "whole" / "run").rglob("*.json"):
        assert (out / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_processes_share_the_work(tmp_path):
    whole, both = tmp_path / "whole", tmp_path / "both"
    finish(start(whole))
    processes = [start(both, pause=0.05, name=f"{i}.json") for i in range(3)]
    for process in processes:
        finish(process)
    for i in range(3):
        assert (both / f"{i}.json").read_bytes() == (whole / "final.json").read_bytes()
    assert sorted(computed(both)) == list(range(30))  # each cell once
    assert leftovers(both / "run" / "study") == []


@pytest.mark.slow
def test_a_cell_of_a_killed_process_is_taken_over(tmp_path):
    first = start(tmp_path, pause=0.5)
    lock = tmp_path / "run/study/.replicas-00001.lock"
    while holder(lock) is None:
        assert first.poll() is None
        time.sleep(0.01)
    assert holder(lock)["pid"] == first.pid
    second = start(tmp_path, name="second.json")
    time.sleep(0.3)
    first.kill()
    first.wait()
    finish(second)
    assert sorted(computed(tmp_path)) == list(range(30))
    assert leftovers(tmp_path / "run" / "study") == []


def test_a_kill_in_the_middle_of_a_write(tmp_path):
    run_cells("study", {}, cells_of(4), tmp_path)
    folder = tmp_path / "study"
    whole = {p.name: p.read_bytes() for p in folder.iterdir()}
    (folder / "replicas-00002.json").unlink()
    (folder / ".replicas-00002.json.abcd_123").write_text('{"sup": [[0.')
    (folder / ".replicas-00002.lock").write_text("")
    (folder / ".replicas-00003.lock").write_text("")  # killed after the write
    mine = folder / ".replicas-00002.json.backup-of-mine"
    mine.write_text("precious")
    log: list[int] = []
    run_cells("study", {}, cells_of(4, log), tmp_path)
    assert log == [2]
    assert mine.read_text() == "precious"
    mine.unlink()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == whole


def test_a_temporary_file_that_may_be_written_to_is_left_alone(tmp_path):
    young, old = tmp_path / ".a.json.abcdefgh", tmp_path / ".a.json.12345678"
    young.write_text("")
    old.write_text("")
    os.utime(old, (time.time() - 7200,) * 2)
    _storage.write_json(tmp_path / "a.json", 1)
    assert young.exists()
    assert not old.exists()


def test_a_cell_that_another_is_computing_comes_last(tmp_path):
    folder = tmp_path / "study"
    lock = take(folder / ".replicas-00000.lock")
    assert take(folder / ".replicas-00000.lock") is None
    log: list[int] = []
    timer = threading.Timer(0.3, lock.release)
    timer.start()
    results = run_cells("study", {}, cells_of(3, log), tmp_path)
    assert log == [1, 2, 0]
    assert [r["sup"][0, 0] for r in results] == [0.1, 1.1, 2.1]


def test_without_locks_in_the_file_system_it_still_runs(tmp_path, monkeypatch):
    def none(*arguments):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr("fcntl.flock", none)
    assert len(run_cells("study", {}, cells_of(3), tmp_path)) == 3
    # Of the lock files only the words are left to go by.
    lock = tmp_path / "study" / ".replicas-00000.lock"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid, held in ((os.getpid(), True), (gone.pid, False)):
        lock.write_text(json.dumps({"pid": pid, "host": socket.gethostname()}))
        assert (holder(lock) is not None) == held
    writing = tmp_path / "study" / ".replicas-00001.json.abcdefgh"
    writing.write_text("of another process, perhaps")
    (tmp_path / "study" / "replicas-00001.json").unlink()
    run_cells("study", {}, cells_of(3), tmp_path)
    assert writing.exists()


def test_of_two_configurations_at_once_one_is_refused(tmp_path):
    outcomes, refusals = [], []
    barrier = threading.Barrier(8)

    def attempt(i):
        barrier.wait()
        try:
            _storage.claim(tmp_path / "run", "a study", {"alpha": 1 + i % 2})
            outcomes.append(1 + i % 2)
        except ValueError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["alpha"]
    assert outcomes == [kept] * 4
    assert len(refusals) == 4
    assert all("different: alpha" in text for text in refusals)
    assert leftovers(tmp_path / "run") == []


def test_a_claim_without_links_in_the_file_system(tmp_path, monkeypatch):
    def none(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", none)
    _storage.claim(tmp_path, "a study", {"alpha": 1.5})
    with pytest.raises(ValueError, match="different: alpha"):
        _storage.claim(tmp_path, "a study", {"alpha": 1.6})
    (tmp_path / "config.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"unreadable config\.json"):
        _storage.claim(tmp_path, "a study", {"alpha": 1.6})


@contextmanager
def small_disk(folder, monkeypatch):
    """A full disk at `folder`: a file system of 64 kB where we may mount one, else an injection.

    Yields a function that frees space.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(32 * 1024))
        try:
            yield ballast.unlink
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    with full_disk(monkeypatch, after=4) as free:
        yield free


@contextmanager
def full_disk(monkeypatch, after):
    """Every `fsync` after some fails as on a full disk, with the data half written."""
    calls, real = [], os.fsync

    def fsync(handle):
        calls.append(handle)
        if len(calls) > after:
            os.ftruncate(handle, 10)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        yield lambda: patch.setattr("os.fsync", real)


def big_cells():
    return [
        (f"replicas-{i:05d}", lambda i=i: {"sup": np.full((2, 300), i + 0.1)}) for i in range(9)
    ]


@pytest.mark.parametrize("disk", ["mounted or injected", "injected"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, disk):
    whole = run_cells("study", {}, big_cells(), tmp_path / "elsewhere")
    folder = tmp_path / "disk"
    context = small_disk(folder, monkeypatch) if "mounted" in disk else full_disk(monkeypatch, 4)
    with context as free:
        with pytest.raises(OSError, match="no space left to write") as caught:
            run_cells("study", {}, big_cells(), folder)
        assert caught.value.errno == errno.ENOSPC
        assert str(folder / "study") in str(caught.value)
        cells = sorted((folder / "study").glob("replicas-*.json"))
        assert 0 < len(cells) < 9
        for path in cells:
            other = tmp_path / "elsewhere" / "study" / path.name
            assert path.read_bytes() == other.read_bytes()
        assert leftovers(folder / "study") == []
        free()
        resumed = run_cells("study", {}, big_cells(), folder)
        assert [r["sup"].tolist() for r in resumed] == [r["sup"].tolist() for r in whole]


def test_a_finished_run_may_be_read_only(tmp_path, monkeypatch):
    run_cells("study", {}, cells_of(3), tmp_path)

    def refuse(*arguments, **settings):
        raise PermissionError("read-only")

    for name in ("os.open", "tempfile.mkstemp", "os.replace"):
        monkeypatch.setattr(name, refuse)
    assert len(run_cells("study", {}, cells_of(3), tmp_path)) == 3


@pytest.mark.slow
def test_check_is_resumed_to_the_same_bytes_after_kills(tmp_path):
    """The command itself, killed three times at random while it computes."""
    command = [sys.executable, "-c", "from stablesde.cli import main; main()", "check", "tails",
               "compressibility", "--quick", "--out"]  # fmt: skip
    subprocess.run([*command, tmp_path / "whole"], cwd=ROOT, check=True, capture_output=True)
    rng, out = random.Random(1), tmp_path / "killed"
    for _ in range(3):
        before = len(list(out.rglob("cells/*/*/*-*.json")))
        process = subprocess.Popen(
            [*command, out, "--resume"], cwd=ROOT, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while len(list(out.rglob("cells/*/*/*-*.json"))) == before:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5 * rng.random())
        assert process.poll() is None
        process.kill()
        process.wait()
    assert not (out / "results.json").exists()
    subprocess.run([*command, out, "--resume"], cwd=ROOT, check=True, capture_output=True)
    for name in ("results.json", "results.csv", "summary.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    figures = [sorted((d / "figures").iterdir()) for d in (out, tmp_path / "whole")]
    assert [p.read_bytes() for p in figures[0]] == [p.read_bytes() for p in figures[1]]
