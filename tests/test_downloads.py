"""Downloads from a server that breaks off, hangs, lies or is not there: whole files or none."""

import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import threading
import urllib.error
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from click.testing import CliRunner

from stablesde._extras import MissingExtraError
from stablesde._locks import take
from stablesde.cli import main
from stablesde.datasets import _download, _files, load
from stablesde.datasets._download import fetch

pooch = pytest.importorskip("pooch", reason="pooch is not installed (stablesde[data])")

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Server:
    """Serves `files` by path; what it does wrong, request by request, is in `faults`."""

    def __init__(self):
        self.files, self.faults, self.asked = {"/data.bin": BODY}, [], []
        self.over = threading.Event()  # lets what hangs go on
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range")))
                self.close_connection = True
                (outer.faults.pop(0) if outer.faults else honest)(self, outer)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def url(self, path="/data.bin"):
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def stop(self):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(handler, status, body, **headers):
    handler.send_response(status)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in ({"Content-Length": len(body)} | headers).items():
        if value is not None:
            handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(body)


def requested(handler, server):
    """Status, the bytes asked for, and the header that tells which they are."""
    body, asked = server.files[handler.path], handler.headers.get("Range")
    if asked is None:
        return 200, body, {}
    first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
    if first >= len(body):
        return 416, b"", {"Content-Range": f"bytes */{len(body)}"}
    return 206, body[first:], {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}


def honest(handler, server):
    if handler.path not in server.files:
        return answer(handler, 404, b"no such page")
    status, body, headers = requested(handler, server)
    return answer(handler, status, body, **headers)


def breaks_off(after):
    """Announces the whole answer and sends the first `after` bytes of it."""

    def fault(handler, server):
        status, body, headers = requested(handler, server)
        answer(handler, status, body[:after], Content_Length=len(body), **headers)

    return fault


def chunks_break_off(handler, server):
    """Without a length: in chunks, the last of which is cut."""
    answer(handler, 200, b"ff\r\n" + BODY[:255] + b"\r\nff\r\n" + BODY[255:300],
           Content_Length=None, Transfer_Encoding="chunked")  # fmt: skip


def ignores_ranges(handler, server):
    answer(handler, 200, server.files[handler.path])


def another_range(handler, server):
    answer(handler, 206, BODY[5:], Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}")


def not_satisfiable(handler, server):
    answer(handler, 416, b"")


def fails(status):
    return lambda handler, server: answer(handler, status, b"of the test")


def hangs(handler, server):
    server.over.wait(30)


def hangs_midway(handler, server):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[:1000])
    server.over.wait(30)


def drips(handler, server):
    """A byte now and then: no silence is long, and the file never comes."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b".")
        if server.over.wait(0.02):
            return


def moved(handler, server):
    answer(handler, 302, b"", Location=server.url())


def moved_for_ever(handler, server):
    server.faults.append(moved_for_ever)
    answer(handler, 302, b"", Location=server.url())


def packed(handler, server):
    """What a proxy may do unasked."""
    answer(handler, 200, gzip.compress(server.files[handler.path]), Content_Encoding="gzip")


def only_called_packed(handler, server):
    answer(handler, 200, server.files[handler.path], Content_Encoding="x-gzip")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and no waiting."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(_download, "_PAUSE", 0.0)
    return tmp_path / "cache" / "stablesde"


@pytest.fixture
def server(cache):
    running = Server()
    yield running
    running.stop()


def whole(cache, found):
    """The file is right, and nothing else is in the cache."""
    assert found.read_bytes() == BODY
    assert list(cache.iterdir()) == [found]


def test_a_file_is_loaded_once(server, cache):
    found = fetch(server.url(), SHA256)
    whole(cache, found)
    assert fetch(server.url(), SHA256) == found
    assert server.asked == [("/data.bin", None)]


def test_a_damaged_file_in_the_cache_is_loaded_again(server, cache):
    found = fetch(server.url(), SHA256)
    found.write_bytes(BODY[:-1])
    whole(cache, fetch(server.url(), SHA256))


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        ([breaks_off(1000)], [None, "bytes=1000-"]),
        ([breaks_off(1000), breaks_off(50)], [None, "bytes=1000-", "bytes=1050-"]),
        ([breaks_off(0)], [None, None]),
        ([breaks_off(1000), ignores_ranges], [None, "bytes=1000-"]),
        ([breaks_off(1000), another_range], [None, "bytes=1000-", None]),
        ([breaks_off(1000), not_satisfiable], [None, "bytes=1000-", None]),
        ([breaks_off(1000), packed], [None, "bytes=1000-"]),
        ([chunks_break_off], [None, None]),
        ([fails(500)], [None, None]),
        ([fails(503), fails(429), fails(502)], [None] * 4),
        ([moved], [None, None]),
        ([packed], [None]),
    ],
)
def test_the_file_arrives_in_the_end(faults, ranges, server, cache):
    server.faults[:] = faults
    whole(cache, fetch(server.url(), SHA256))
    if chunks_break_off in faults:
        ranges = [None, server.asked[1][1]]  # of a cut chunk more or less is kept
    assert [asked for _, asked in server.asked] == ranges


def test_the_next_call_goes_on(server, cache):
    server.faults[:] = [breaks_off(1000), breaks_off(10), breaks_off(10), breaks_off(10)]
    with pytest.raises(OSError, match="only 1030 of 300000 bytes arrived"):
        fetch(server.url(), SHA256)
    assert [p.suffix for p in cache.iterdir()] == [".part"]  # nothing that is taken for whole
    whole(cache, fetch(server.url(), SHA256))
    assert server.asked[-1] == ("/data.bin", "bytes=1030-")


def test_an_interrupted_download_is_resumed(server, cache, monkeypatch):
    """Ctrl-C while the bytes come in."""
    real = _download.tqdm

    class Interrupting(real):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(_download, "tqdm", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.url(), SHA256)
    (part,) = cache.iterdir()
    assert 0 < part.stat().st_size < len(BODY)
    kept = part.stat().st_size
    monkeypatch.setattr(_download, "tqdm", real)
    whole(cache, fetch(server.url(), SHA256))
    assert server.asked[-1] == ("/data.bin", f"bytes={kept}-")


def part_of(server, cache):
    cache.mkdir(parents=True)
    return cache / f"{pooch.utils.unique_file_name(server.url())}.part"


def test_killed_between_the_last_byte_and_the_new_name(server, cache):
    part_of(server, cache).write_bytes(BODY)
    whole(cache, fetch(server.url(), SHA256))
    assert server.asked == [("/data.bin", f"bytes={len(BODY)}-")]


@pytest.mark.parametrize("rest", [b"another version", bytes(2 * len(BODY))])
def test_a_part_of_another_version_is_dropped(rest, server, cache):
    part_of(server, cache).write_bytes(rest)
    whole(cache, fetch(server.url(), SHA256))
    assert server.asked[-1] == ("/data.bin", None)


def test_two_that_load_one_file_do_not_meet(server, cache):
    part = part_of(server, cache)
    part.write_bytes(BODY[:1000])
    lock = take(part.with_suffix(".lock"))
    try:
        assert fetch(server.url(), SHA256).read_bytes() == BODY
        assert part.read_bytes() == BODY[:1000]
    finally:
        lock.release()


def test_a_gz_file_is_not_unpacked(server, cache):
    """Some servers announce it as a packed file."""
    server.files["/x.gz"] = gzip.compress(BODY)
    server.faults[:] = [only_called_packed]
    assert fetch(server.url("/x.gz"), None).read_bytes() == server.files["/x.gz"]


@pytest.mark.parametrize(
    ("faults", "told", "requests"),
    [
        ([fails(404)], "404", 1),
        ([fails(403)], "403", 1),
        ([fails(500)] * 4, "500", 4),
        ([hangs] * 4, "hangs .*time-out", 4),
        ([hangs_midway] * 4, "hangs .*time-out", 4),
        ([drips] * 4, "hangs .*only .* bytes in", 4),
        ([breaks_off(0)] * 4, "only 0 of 300000 bytes", 4),
        ([moved_for_ever], "redirect", 5),
    ],
)
def test_what_cannot_be_had_is_told(faults, told, requests, server, cache, monkeypatch):
    monkeypatch.setattr(_download, "_TIMEOUT", 0.15)
    monkeypatch.setattr(_download, "_PATIENCE", 0.1)
    monkeypatch.setattr(_download, "_LEAST", 1000.0)
    server.faults[:] = faults
    with pytest.raises(OSError, match=told) as caught:
        fetch(server.url(), SHA256)
    assert server.url() in str(caught.value)
    assert str(cache / pooch.utils.unique_file_name(server.url())) in str(caught.value)
    assert len(server.asked) == requests
    assert all(p.suffix == ".part" for p in cache.iterdir())


def test_a_wrong_checksum_is_told_and_not_kept(server, cache):
    with pytest.raises(OSError, match="does not match the known hash"):
        fetch(server.url(), "sha256:" + 64 * "0")
    assert list(cache.iterdir()) == []
    assert len(server.asked) == 1


def test_nobody_answers(server, cache):
    server.stop()
    with pytest.raises(OSError, match="refused"):
        fetch(server.url(), SHA256)


def test_a_cache_that_cannot_be_written(server, cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=re.escape(str(cache))):
        fetch(server.url(), SHA256)


def ecg_zip(files=None):
    """ECG5000 as the archive serves it, two heartbeats and three; its checksums."""
    rng = np.random.default_rng(0)
    texts = {}
    for name, count in (("ECG5000_TRAIN.txt", 2), ("ECG5000_TEST.txt", 3)):
        table = np.column_stack([1 + np.arange(count) % 5, rng.normal(size=(count, 140))])
        texts[name] = "\n".join("  ".join(map(repr, row)) for row in table.tolist()).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (texts if files is None else files).items():
            archive.writestr(name, text)
    return buffer.getvalue(), {k: hashlib.sha256(v).hexdigest() for k, v in texts.items()}


@pytest.fixture
def ecg(server, monkeypatch, tmp_path):
    """The server has ECG5000, and no folder has it."""
    server.files["/ECG5000.zip"], checksums = ecg_zip()
    monkeypatch.setattr(_files, "_ECG_URL", server.url("/ECG5000.zip"))
    monkeypatch.setattr(_files, "_ECG_SHA256", checksums)
    monkeypatch.setattr(_files, "search_path", lambda root: iter([tmp_path / "nothing"]))
    return server


def test_a_data_set_is_downloaded(ecg, cache):
    ecg.faults[:] = [breaks_off(3000)]
    data = load("ecg5000")
    assert data.x_train.shape == (2, 140)
    assert data.x_test.shape == (3, 140)
    assert data.y_test.tolist() == [0, 1, 1]
    assert data.source == "download"
    asked = len(ecg.asked)
    np.testing.assert_array_equal(load("ecg5000").x_train, data.x_train)
    assert len(ecg.asked) == asked


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in to this network</html>", b"", ecg_zip({})[0],
        ecg_zip({"ECG5000_TRAIN.txt": b"1 2", "ECG5000_TEST.txt": b"1 2"})[0], ecg_zip()[0][:-40],
    ],
    ids=["a page", "empty", "no files", "other files", "cut"],
)  # fmt: skip
def test_another_file_in_its_place_does_not_stay_in_the_cache(body, ecg, cache):
    good, ecg.files["/ECG5000.zip"] = ecg.files["/ECG5000.zip"], body
    with pytest.raises(FileNotFoundError, match=r"sent is not the data .*set STABLESDE_DATA"):
        load("ecg5000")
    assert list(cache.iterdir()) == []
    ecg.files["/ECG5000.zip"] = good
    assert len(load("ecg5000").x_train) == 2


def test_a_file_that_was_damaged_in_the_cache_is_replaced(ecg, cache):
    load("ecg5000")
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    assert len(load("ecg5000").x_train) == 2


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def images(server, monkeypatch, tmp_path):
    """The server has a few of MNIST and of CIFAR-10; the arrays that are in them."""
    rng, sums, arrays = np.random.default_rng(0), {}, {}
    for part, prefix, count in (("train", "train", 3), ("test", "t10k", 2)):
        x = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        y = rng.integers(0, 10, count).astype(np.uint8)
        arrays[part] = x, y
        for name, head, array in (("images-idx3", 16, x), ("labels-idx1", 8, y)):
            name, data = f"{prefix}-{name}-ubyte.gz", gzip.compress(bytes(head) + array.tobytes())
            server.files[f"/{name}"], sums[name] = data, md5(data)
    monkeypatch.setattr(_files, "_MNIST_URL", server.url("/"))
    monkeypatch.setattr(_files, "_MNIST_MD5", sums)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, label in (("data_batch_1.bin", 3), ("data_batch_2.bin", 4), ("test_batch.bin", 5),
                            ("readme.html", 0)):  # fmt: skip
            row = bytes([label]) + bytes(range(256)) * 12
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(row)
            archive.addfile(entry, io.BytesIO(row))
    server.files["/cifar.tar.gz"] = buffer.getvalue()
    monkeypatch.setattr(_files, "_CIFAR_URL", server.url("/cifar.tar.gz"))
    monkeypatch.setattr(_files, "_CIFAR_MD5", md5(buffer.getvalue()))
    monkeypatch.setattr(_files, "search_path", lambda root: iter([tmp_path / "nothing"]))
    return arrays


def test_images_are_downloaded(images):
    mnist, cifar = load("mnist"), load("cifar10")
    x, y = images["train"]
    np.testing.assert_allclose(mnist.x_train * 0.3081 + 0.1307, x.reshape(3, -1) / 255, atol=1e-6)
    assert mnist.y_train.tolist() == y.tolist()
    assert mnist.x_test.shape == (2, 784)
    assert cifar.y_train.tolist() == [3, 4]
    assert cifar.y_test.tolist() == [5]
    raw = cifar.x_train[0].reshape(32, 32, 3) * (0.2470, 0.2435, 0.2616) + (0.4914, 0.4822, 0.4465)
    assert np.rint(255 * raw[0, :3, 0]).tolist() == [0, 1, 2]  # channels come last


def test_offline_it_is_said_where_a_file_belongs(ecg, cache, monkeypatch):
    def no_network(request, **settings):
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    done = CliRunner().invoke(main, ["train", "--dataset", "ecg5000"])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    place = cache / pooch.utils.unique_file_name(ecg.url("/ECG5000.zip"))
    for part in (ecg.url("/ECG5000.zip"), str(place), "ecg5000.npz", "STABLESDE_DATA"):
        assert part in line
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(ecg.files["/ECG5000.zip"])  # by hand
    assert len(load("ecg5000").x_train) == 2


def test_without_the_extra(ecg, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r'pip install "stablesde\[data\]"'):
        load("ecg5000")
    done = CliRunner().invoke(main, ["train", "--dataset", "ecg5000"])
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert issubclass(MissingExtraError, ImportError)
    assert load("digits").num_classes == 10


PROGRAM = """
import sys
from pathlib import Path
import pooch
pooch.os_cache = lambda name: Path(sys.argv[1])
from stablesde.datasets import _download
_download.fetch(sys.argv[2], None)
"""


@pytest.mark.slow
def test_killed_while_it_loads(server, cache):
    """A kill leaves a part, which the next call completes."""
    server.faults[:] = [hangs_midway]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(cache), server.url()])
    while not (cache.exists() and any(p.suffix == ".part" and p.stat().st_size for p in
                                      cache.iterdir())):  # fmt: skip
        assert process.poll() is None
    process.kill()
    process.wait()
    assert fetch(server.url(), SHA256).read_bytes() == BODY
    assert server.asked[-1] == ("/data.bin", "bytes=1000-")
