"""Downloads from a server that breaks off, lies or is not there: whole files or none."""

import gzip
import hashlib
import io
import re
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from click.testing import CliRunner

from stablesde._extras import MissingExtraError
from stablesde.cli import main
from stablesde.datasets import _download, _files, load
from stablesde.datasets._download import fetch

pooch = pytest.importorskip("pooch", reason="pooch is not installed (stablesde[data])")

BODY = np.random.default_rng(0).bytes(30_000)
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Server:
    """Serves `files` by path; what it does wrong, request by request, is in `faults`."""

    def __init__(self):
        self.files, self.faults, self.asked = {"/data.bin": BODY}, [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append(self.path)
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
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(handler, status, body, length=None):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def honest(handler, server):
    if handler.path in server.files:
        answer(handler, 200, server.files[handler.path])
    else:
        answer(handler, 404, b"no such page")


def breaks_off(after):
    """Announces the whole answer and sends the first `after` bytes of it."""
    return lambda handler, server: answer(
        handler, 200, server.files[handler.path][:after], len(server.files[handler.path])
    )


def fails(status):
    return lambda handler, server: answer(handler, status, b"of the test")


def hangs(handler, server):
    threading.Event().wait(0.5)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and no waiting."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "stablesde"


@pytest.fixture
def server(cache):
    running = Server()
    yield running
    running.stop()


@pytest.mark.parametrize(
    "faults", [[], [breaks_off(1000)], [breaks_off(0), fails(503)], [fails(500)] * 2]
)
def test_the_file_arrives_in_the_end_and_is_loaded_once(faults, server, cache):
    server.faults[:] = faults
    found = fetch(server.url(), SHA256)
    assert found.read_bytes() == BODY
    assert list(cache.iterdir()) == [found]
    assert len(server.asked) == len(faults) + 1 if faults else 1
    assert fetch(server.url(), SHA256) == found
    found.write_bytes(BODY[:-1])  # damaged in the cache
    assert fetch(server.url(), SHA256).read_bytes() == BODY


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([fails(404)] * 3, "404"),
        ([fails(500)] * 3, "500"),
        ([hangs] * 3, "timed out|aborted"),
        ([breaks_off(100)] * 3, "IncompleteRead|broken"),
    ],
)
def test_what_cannot_be_had_is_told(faults, told, server, cache, monkeypatch):
    monkeypatch.setattr(_download, "_TIMEOUT", 0.15)
    server.faults[:] = faults
    with pytest.raises(OSError, match=told) as caught:
        fetch(server.url(), SHA256)
    assert server.url() in str(caught.value)
    assert str(cache / pooch.utils.unique_file_name(server.url())) in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_wrong_checksum_is_told_and_not_kept(server, cache):
    with pytest.raises(OSError, match="known hash may be outdated"):
        fetch(server.url(), "sha256:" + 64 * "0")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(server, cache):
    cache.parent.write_text("a file where a folder should be")
    with pytest.raises(OSError, match=re.escape(str(cache))):
        fetch(server.url(), SHA256)


def test_certificates_and_proxies_are_those_of_requests(server, cache, monkeypatch, tmp_path):
    """A bundle that is named is used, and what a SOCKS proxy lacks is said."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(OSError, match=r"none\.pem.*REQUESTS_CA_BUNDLE"):
        fetch("https://127.0.0.1:1/data.bin", SHA256)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(OSError, match="SOCKS"):
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
    ecg.faults[:] = [breaks_off(1)]
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


def test_offline_it_is_said_where_a_file_belongs(ecg, cache):
    ecg.stop()
    ecg.stop = lambda: None
    done = CliRunner().invoke(main, ["train", "--dataset", "ecg5000"])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    place = cache / pooch.utils.unique_file_name(ecg.url("/ECG5000.zip"))
    for part in (ecg.url("/ECG5000.zip"), "ecg5000.npz", "STABLESDE_DATA"):
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
    assert load("digits").num_classes == 10
