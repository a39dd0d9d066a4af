"""Results on disk: whole or absent, of one configuration, computed once, whoever dies meanwhile."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import stablesde as ssd
from stablesde import paper
from stablesde.cli import main
from stablesde.datasets import teacher
from stablesde.dynamics import Recording, record
from stablesde.store import Store, check_writable, holder, write_atomically
from stablesde.studies._runner import run_cells

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("STABLESDE_KILLS", "3"))  # of a training, and of the main job
# A study of 30 cells whose numbers are any function of their labels. No JAX: it starts over and
# over.
SCRIPT = """
import json, sys, time, types
from pathlib import Path
root, out, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
# The package's __init__ would import JAX, which takes seconds.
for name in ("stablesde", "stablesde.studies"):
    module = types.ModuleType(name)
    module.__path__ = [str(root.joinpath(*name.split(".")))]
    sys.modules[name] = module
import numpy as np
from stablesde.studies._runner import run_cells

def cell(number):
    time.sleep(pause)
    with open(out / "computed.log", "a") as log:
        log.write(f"{number}\\n")
    return {"sup": np.random.default_rng(number).standard_cauchy((2, 500))}

cells = [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(30)]
results = run_cells("study", {"alpha": 1.5}, cells, out / "run")
np.save(out / sys.argv[4], np.stack([r["sup"] for r in results]))
"""


def start(out, pause=0.0, name="final"):
    out.mkdir(parents=True, exist_ok=True)
    arguments = [sys.executable, "-c", SCRIPT, ROOT, out, pause, name]
    return subprocess.Popen([str(a) for a in arguments], stderr=subprocess.PIPE)


def finish(process):
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told.decode()


def cells_of(count, log=None, size=3):
    def cell(i):
        if log is not None:
            log.append(i)
        return {"sup": np.full((2, size), i + 0.1), "mean": np.full(2, 1 / (i + 3))}

    return [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(count)]


def hidden(folder):
    """Locks and temporary files."""
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_numbers_come_back_in_every_bit(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.standard_cauchy((3, 4)), "b": np.float32(rng.normal(size=5)),
        "c": np.array([np.nan, -0.0, np.inf, 5e-324]), "d": np.arange(3), "e": np.array(True),
    }  # fmt: skip
    store = Store(tmp_path, {"alpha": 1.5, "widths": (4, 8)})
    assert store.get("x") is None
    store.put("x", arrays)
    found = Store(tmp_path, {"widths": [4, 8], "alpha": 1.5}).get("x")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()
    first = store.path("x").read_bytes()
    store.put("x", arrays)
    assert store.path("x").read_bytes() == first


def test_a_folder_is_bound_to_its_configuration(tmp_path):
    Store(tmp_path, {"alpha": 1.5, "version": "0"}).put("x", {"a": 1.0})
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"another configuration \(different: alpha; see"):
        Store(tmp_path, {"alpha": 1.6, "version": "0"})
    with pytest.raises(ValueError, match="by another version, 0, with another configuration"):
        Store(tmp_path, {"alpha": 1.5, "version": "1"})
    assert contents(tmp_path) == before
    (tmp_path / "config.json").unlink()  # lost: files of other settings are not taken for its own
    with pytest.raises(ValueError, match=r"x\.npz is damaged \(it is another file, or of other"):
        Store(tmp_path, {"alpha": 1.6, "version": "0"})
    assert not (tmp_path / "config.json").exists()
    assert Store(tmp_path, {"alpha": 1.5, "version": "0"}).get("x")["a"] == 1.0
    assert contents(tmp_path) == before
    (tmp_path / "config.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"unreadable config\.json .* Delete"):
        Store(tmp_path, {"alpha": 1.5, "version": "0"})


def test_of_two_configurations_at_once_one_is_refused(tmp_path):
    outcomes, refusals, barrier = [], [], threading.Barrier(8)

    def attempt(i):
        barrier.wait()
        try:
            outcomes.append(Store(tmp_path / "run", {"alpha": 1 + i % 2}).config["alpha"])
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


@pytest.mark.slow
def test_twenty_kills_change_no_bit(tmp_path):
    finish(start(tmp_path / "whole"))
    rng, killed, inside, out = random.Random(0), 0, 0, tmp_path / "killed"
    study = out / "run" / "study"
    while killed < 20:
        # Without a pause in the cells, most of the time goes to writing them.
        process = start(out, pause=rng.choice((0.0, 0.03)))
        log = out / "computed.log"
        before = log.stat().st_size if log.exists() else 0
        while process.poll() is None and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.001)  # however slow the machine: not before it computes
        time.sleep(0.1 * rng.random())
        if process.poll() is not None:  # it ended before the kill came: make room for the next
            assert process.returncode == 0, process.stderr.read().decode()
            for path in rng.sample(sorted(study.glob("replicas-*.npz")), 20):
                path.unlink()
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        inside += study.exists() and bool(hidden(study))
    assert inside >= 5  # killed in a cell, with its lock held
    finish(start(out))
    assert (out / "final.npy").read_bytes() == (tmp_path / "whole" / "final.npy").read_bytes()
    for path in (tmp_path / "whole" / "run").rglob("*.npz"):
        assert (out / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_processes_share_the_work(tmp_path):
    whole, both = tmp_path / "whole", tmp_path / "both"
    finish(start(whole))
    for process in [start(both, pause=0.05, name=f"{i}") for i in range(3)]:
        finish(process)
    for i in range(3):
        assert (both / f"{i}.npy").read_bytes() == (whole / "final.npy").read_bytes()
    log = (both / "computed.log").read_text().split()
    assert sorted(map(int, log)) == list(range(30))  # each cell once
    assert hidden(both / "run" / "study") == []


@pytest.mark.slow
def test_a_cell_of_a_killed_process_is_taken_over(tmp_path):
    first, study = start(tmp_path, pause=0.5), tmp_path / "run" / "study"
    while (who := holder(study, "replicas-00001")) is None:
        assert first.poll() is None
        time.sleep(0.01)
    assert who["pid"] == first.pid
    told = CliRunner().invoke(main, ["status", str(tmp_path / "run")]).output
    assert f"replicas-00001: process {first.pid} on" in told
    second = start(tmp_path, name="second")
    time.sleep(0.3)
    first.kill()
    first.wait()
    finish(second)
    log = (tmp_path / "computed.log").read_text().split()
    assert sorted(map(int, log)) == list(range(30))


def test_what_a_kill_leaves_is_swept(tmp_path):
    whole = run_cells("study", {}, cells_of(4), tmp_path)
    folder = tmp_path / "study"
    before = contents(folder)
    (folder / "replicas-00002.npz").unlink()
    (folder / ".replicas-00002.npz.abcd_123").write_bytes(b"PK")
    (folder / ".replicas-00002.lock").write_text("")
    (folder / ".replicas-00002.who").write_text('{"pid": 1e400')
    mine = folder / ".replicas-00002.npz.backup-of-mine"
    mine.write_text("precious")
    log = []
    again = run_cells("study", {}, cells_of(4, log), tmp_path)
    assert log == [2]
    np.testing.assert_equal(again, whole)
    assert contents(folder) == before | {mine: b"precious"}


def test_a_cell_that_another_is_computing_comes_last(tmp_path):
    log, taken, free = [], threading.Event(), threading.Event()

    def slow():
        taken.set()
        free.wait(10)
        return {"sup": np.zeros(1)}

    thread = threading.Thread(
        target=run_cells, args=("study", {}, [("replicas-00000", slow)], tmp_path)
    )
    thread.start()
    taken.wait(10)
    threading.Timer(0.2, free.set).start()
    results = run_cells("study", {}, cells_of(3, log), tmp_path)
    thread.join()
    assert log == [1, 2]
    assert results[0]["sup"] == 0.0


def test_without_locks_in_the_file_system_it_still_runs(tmp_path, monkeypatch):
    def none(*arguments, **settings):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr("filelock.FileLock.acquire", none)
    assert len(run_cells("study", {}, cells_of(3), tmp_path)) == 3


def test_no_signal_is_sent_to_find_out_who_lives(tmp_path, monkeypatch):
    """On Windows `os.kill(pid, 0)` is Ctrl-C."""
    monkeypatch.setattr(os, "kill", lambda *arguments: pytest.fail("a signal"))
    Store(tmp_path, {})
    (tmp_path / ".x.who").write_text(json.dumps({"pid": os.getpid()}))
    (tmp_path / ".x.lock").write_text("")
    assert holder(tmp_path, "x") is None


def run_study(folder):
    parts = run_cells("study", {"alpha": 1.5, "version": "0"}, cells_of(4), folder)
    return [v for part in parts for _, v in sorted(part.items())]


RUN = dict(num_particles=5, t1=1.0, num_steps=6, save_every=1, saves_per_file=3)


def run_record(folder):
    noise = ssd.OneFactorStable(1.5, 1)
    record(ssd.System(ssd.MeanReversion(1), noise), jax.random.key(0), run_dir=folder, **RUN)
    return read_recording(folder)


def read_recording(folder):
    run = Recording(folder)
    assert run.complete
    return [run.times, run.mean_statistic, *(a for p in run for a in (p.initial, p.levy))]


def run_training(folder):
    preset = paper.Preset(0.05, 0.01, 3)
    network, steps = paper.fit(teacher(), 4, "I", 1.5, preset, 0, run_dir=folder)
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


CHANGES = {
    "flip": flip, "cut out": cut_out,
    "truncate": lambda data, rng: data[: rng.randrange(len(data))],
    "noise": lambda data, rng: rng.randbytes(len(data)),
    "nested": lambda data, rng: b"[" * 100_000,
    "foreign": lambda data, rng: rng.choice((b"{}", b"[]", b"null", b"1", b"")),
}  # fmt: skip


def damage(path, what, rng, others):
    if what in CHANGES:
        path.write_bytes(CHANGES[what](path.read_bytes(), rng))
    elif what == "swapped":
        path.write_bytes(rng.choice(others).read_bytes())
    else:
        path.unlink()
        if what == "directory":
            path.mkdir()
        elif what == "loop":
            path.symlink_to(path)


def outcome(run, folder):
    """What comes back: numbers, or what the error tells."""
    try:
        return run(folder), None
    except (ValueError, OSError) as error:
        return None, str(error)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.sampled_from([*CHANGES, "swapped", "deleted", "directory", "loop"]),
    st.integers(0, 2**32),
    st.sampled_from(["study", "study", "recording", "training"]),
)
def test_damage_is_found_and_named_or_does_nothing(finished, tmp_path_factory, what, seed, kind):
    """The same numbers, or an error that names the file; no other file is changed."""
    rng, (source, whole) = random.Random(seed), finished[kind]
    folder = tmp_path_factory.mktemp("damaged") / source.name
    for path, data in contents(source).items():
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
    files = sorted(contents(folder))
    path = rng.choice(files)
    damage(path, what, rng, [p for p in files if p != path])
    before = contents(folder)
    found, told = outcome(RUNS[kind], folder)
    if told is None:
        np.testing.assert_equal(found, whole)
    else:
        assert path.name in told or "config.json" in told
        assert contents(folder) == before
    after = contents(folder)
    assert {p: after[p] for p in before if p != path} == {
        p: d for p, d in before.items() if p != path
    }


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_file_of_a_recording(number, tmp_path):
    """Its last state cannot write what came before it."""
    whole = run_record(tmp_path)
    parts = sorted(tmp_path.glob("part-*"))
    assert len(parts) == 3
    kept = parts[number].read_bytes()
    parts[number].unlink()
    if number < 2:  # the last one holds the end alone, which is in the state
        for read in (run_record, read_recording):
            with pytest.raises(ValueError, match=rf"{parts[number].name} is damaged .*missing"):
                read(tmp_path)
        (tmp_path / "state.npz").unlink()
    np.testing.assert_equal(run_record(tmp_path), whole)
    assert parts[number].read_bytes() == kept


def test_the_folder_of_a_study_is_no_recording(finished):
    with pytest.raises(ValueError, match=r"config\.json is not that of a recording"):
        Recording(finished["study"][0] / "study")


@contextlib.contextmanager
def small_disk(folder, monkeypatch):
    """A full disk at `folder`, where we may mount one, else an injection; yields what frees it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        try:
            (folder / "ballast").write_bytes(bytes(32 * 1024))
            yield (folder / "ballast").unlink
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    calls, real = [], os.fsync

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 4:
            os.ftruncate(handle, 10)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        yield lambda: patch.setattr("os.fsync", real)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    whole = run_cells("study", {}, cells_of(9, size=150), tmp_path / "elsewhere")
    folder = tmp_path / "disk"
    with small_disk(folder, monkeypatch) as free:
        with pytest.raises(OSError, match=r"no space left to write .* free some space") as caught:
            run_cells("study", {}, cells_of(9, size=150), folder)
        assert caught.value.errno == errno.ENOSPC
        assert str(folder / "study") in str(caught.value)
        assert 0 < len(list((folder / "study").glob("replicas-*.npz"))) < 9
        assert not any(".npz." in name for name in hidden(folder / "study"))
        free()
        np.testing.assert_equal(run_cells("study", {}, cells_of(9, size=150), folder), whole)


def test_a_finished_run_may_be_read_only(tmp_path, monkeypatch):
    whole = run_cells("study", {}, cells_of(3), tmp_path)

    def refuse(*arguments, **settings):
        raise PermissionError("read-only")

    for name in ("os.open", "tempfile.mkstemp", "os.replace"):
        monkeypatch.setattr(name, refuse)
    np.testing.assert_equal(run_cells("study", {}, cells_of(3), tmp_path), whole)


def below_a_file(root):
    (root / "file").write_text("precious")
    return root / "file" / "folder" / "out"


PLACES = [below_a_file, lambda root: root / (300 * "n"), lambda root: Path("/proc/nowhere/out")]
COMMANDS = [
    ("check", "tails", "--quick", "--out"),
    ("table", "1", "--run", "--only", "none", "--width", "8", "--out"),
    ("train", "--dataset", "teacher", "--width", "8", "--out"),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
    place, tmp_path, monkeypatch
):
    def computed(*arguments, **settings):
        raise AssertionError("it was computed")

    path = place(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("stablesde.dynamics._record._write_parts", computed)
    for name in ("_train.train_chunk", "_suite._measure", "_mean_field.simulate"):
        monkeypatch.setattr(f"stablesde.paper.{name}", computed)
    monkeypatch.setattr("stablesde.studies._tails.simulate_limit", computed)
    monkeypatch.setattr("stablesde.paper._tables.load", lambda name, root: teacher())
    attempts = [
        lambda: run_cells("study", {}, [("replicas-00000", computed)], path),
        lambda: run_training(path),
        lambda: run_record(path),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match="choose another place") as caught:
            attempt()
        assert str(path)[:200] in str(caught.value)
    for command in COMMANDS:
        done = CliRunner().invoke(main, [*command, str(path)])
        assert done.exit_code == 2, done.output
        (line,) = done.output.splitlines()
        assert str(path)[:200] in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    """`--out /dev/null` as root would otherwise put a file in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(pipe)
        write_atomically(pipe, b"data")
        assert os.read(reader, 10) == b"data"
        assert os.listdir(tmp_path) == ["pipe"]
    finally:
        os.close(reader)


DATA = teacher(num_train=256, num_test=64)
LONG = (DATA, 256, "III", 1.75, paper.Preset(0.05, 0.01, 4000, batch_size=32), 3)
PROGRAM = Path(__file__).parent / "programs" / "long_training.py"


def steps_saved(folder):
    with np.load(folder / "checkpoint.npz") as file:
        return int(file["steps"])


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_numbers(tmp_path):
    whole, steps = paper.fit(*LONG)
    file, progress = tmp_path / "checkpoint.npz", [0]
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, PROGRAM, tmp_path], env=os.environ)
        while process.poll() is None and (
            not file.exists() or steps_saved(tmp_path) < progress[-1] + 900 // KILLS
        ):
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        progress.append(steps_saved(tmp_path))
    assert progress == sorted(set(progress))  # each went on from where the last was killed
    assert progress[1] < steps
    resumed, taken = paper.fit(*LONG, run_dir=tmp_path, save_seconds=0)
    assert taken == steps
    np.testing.assert_equal([*map(np.asarray, resumed)], [*map(np.asarray, whole)])


def test_a_finished_training_is_read_back(tmp_path, monkeypatch):
    preset = paper.Preset(0.05, 0.0, 5000, batch_size=32, until_accuracy=0.9)
    arguments = (DATA, 128, "none", 1.5, preset, 0)
    network, steps = paper.fit(*arguments, run_dir=tmp_path)
    assert steps < 5000
    monkeypatch.setattr("stablesde.paper._train.train_chunk", None)  # nothing is trained
    again, same = paper.fit(*arguments, run_dir=tmp_path)
    assert same == steps
    np.testing.assert_array_equal(network.w1, again.w1)
    with pytest.raises(ValueError, match="save_seconds"):
        paper.fit(*arguments, run_dir=tmp_path, save_seconds=-1.0)


@pytest.mark.slow
def test_check_is_resumed_to_the_same_bytes_after_kills(tmp_path):
    """The command itself, killed at random while it computes."""
    command = [sys.executable, "-m", "stablesde", "check", "tails", "compressibility", "--quick",
               "--out"]  # fmt: skip
    subprocess.run([*command, tmp_path / "whole"], cwd=ROOT, capture_output=True, timeout=300)
    rng, out = random.Random(1), tmp_path / "killed"
    for _ in range(KILLS):
        before = len(list(out.rglob("*/cells/*/*/*-*.npz")))
        process = subprocess.Popen(
            [*command, out], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while len(list(out.rglob("*/cells/*/*/*-*.npz"))) == before:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5 * rng.random())
        process.kill()
        process.wait()
    assert not list(out.glob("*/results.json"))
    subprocess.run([*command, out], cwd=ROOT, capture_output=True, timeout=300)
    whole = {p.relative_to(tmp_path / "whole"): d for p, d in contents(tmp_path / "whole").items()}
    again = {p.relative_to(out): d for p, d in contents(out).items() if p.name[0] != "."}
    assert again == whole
