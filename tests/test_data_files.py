"""Damaged data files: one clear line, from `load` and from the command, that names the file."""

import hashlib
import io
import os

import numpy as np
import pytest
from click.testing import CliRunner

from stablesde.cli import main
from stablesde.datasets import _files, load

SHAPES = {"ecg5000": (140,), "mnist": (28, 28), "cifar10": (32, 32, 3)}
NAMES = {name: file for name, (file, _) in _files.ARCHIVES.items()}


def arrays_of(name):
    """Arrays of the right kind, few of them."""
    rng, images = np.random.default_rng(0), name != "ecg5000"
    draw = (lambda shape: rng.integers(0, 256, shape).astype(np.uint8)) if images else (
        lambda shape: rng.normal(size=shape).astype(np.float32)
    )  # fmt: skip
    dtype = np.uint8 if images else np.int32
    return {
        "x_train": draw((6, *SHAPES[name])), "y_train": (np.arange(6) % 5).astype(dtype),
        "x_test": draw((4, *SHAPES[name])), "y_test": np.arange(4).astype(dtype),
    }  # fmt: skip


def packed(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def refused(name, folder, told):
    """`load` and the command tell the same, with the name of the file, in one line."""
    with pytest.raises(ValueError, match=told) as caught:
        load(name, folder)
    assert str(folder / NAMES[name]) in str(caught.value)
    done = CliRunner().invoke(main, ["train", "--dataset", name, "--data", str(folder)])
    assert done.exit_code == 2, done.output
    assert done.output == f"stablesde: {caught.value}\n"


@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_not_the_file(name, tmp_path):
    good = packed(**arrays_of(name))
    for content in (b"", b"not an archive\n", good[: len(good) // 2], good, good + b"."):
        (tmp_path / NAMES[name]).write_bytes(content)
        refused(name, tmp_path, rf"damaged or another version \({len(content)} bytes.*replace it")
        assert (tmp_path / NAMES[name]).read_bytes() == content


def test_what_is_no_file(tmp_path):
    place = tmp_path / NAMES["ecg5000"]
    place.mkdir()
    refused("ecg5000", tmp_path, r"cannot be read \(a directory\): put a readable file")
    place.rmdir()
    place.symlink_to(place)
    refused("ecg5000", tmp_path, r"cannot be read \(Too many levels of symbolic links\)")
    place.unlink()
    place.symlink_to(tmp_path / "not mounted")
    refused("ecg5000", tmp_path, r"cannot be read \(No such file")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / NAMES["ecg5000"]).write_bytes(b"")

    def no_permission(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.read_bytes", no_permission)
    refused("ecg5000", tmp_path, r"cannot be read \(Permission denied\)")


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load("mnist", tmp_path / "data")


def without(key):
    return lambda a: a.pop(key)


def put(key, value):
    return lambda a: a.__setitem__(key, value(a[key]))


def spoiled(a):
    a["x_test"].reshape(-1)[0] = np.nan


FAULTS = [
    (without("y_test"), "it has no array 'y_test'"),
    (without("x_train"), "it has no array 'x_train'"),
    (put("y_train", lambda y: y.astype(float)), "y_train holds float64, not integer labels"),
    (put("y_test", lambda y: y.astype(str)), "y_test holds <U"),
    (put("y_test", lambda y: y + 10), "labels in y_test must lie in"),
    (put("y_test", lambda y: y.astype(int) - 1), "labels in y_test must lie in"),
    (put("y_train", lambda y: y[:-1]), "x_train and y_train have different lengths, 6 and 5"),
    (put("y_train", lambda y: y[:, None]), "y_train must hold integer labels"),
    (put("x_train", lambda x: x.astype(str)), "x_train holds <U"),
    (put("x_train", lambda x: x.astype(complex)), "x_train holds complex128"),
    (put("x_train", lambda x: x.reshape(-1)), "x_train holds .* not numbers, an input a row"),
    (put("x_train", lambda x: x[0, 0]), "x_train holds"),
    (put("x_test", lambda x: x[:, 1:]), "inputs of x_test have length"),
    (put("x_test", lambda x: x[:0]), "x_test"),
    (put("x_train", lambda x: np.array([{}])), "no archive of arrays"),
]


@pytest.mark.parametrize("name", ["ecg5000", "mnist"])
@pytest.mark.parametrize(("fault", "told"), FAULTS)
def test_arrays_that_are_not_the_data(name, fault, told, tmp_path, monkeypatch):
    """The checksum forbids them; here it is that of the bad file, so that what is behind acts."""
    arrays = arrays_of(name)
    fault(arrays)
    content = packed(**arrays)
    (tmp_path / NAMES[name]).write_bytes(content)
    monkeypatch.setitem(_files.ARCHIVES, name, (NAMES[name], hashlib.sha256(content).hexdigest()))
    refused(name, tmp_path, told)


@pytest.mark.parametrize("fault", [spoiled, put("x_train", lambda x: 1e300 * x.astype(float))])
def test_numbers_that_are_none(fault, tmp_path, monkeypatch):
    test_arrays_that_are_not_the_data(
        "ecg5000", fault, "holds NaN or infinite values", tmp_path, monkeypatch
    )


@pytest.mark.parametrize("name", NAMES)
def test_good_arrays_pass_the_same_way(name, tmp_path, monkeypatch):
    content = packed(**arrays_of(name))
    (tmp_path / NAMES[name]).write_bytes(content)
    monkeypatch.setitem(_files.ARCHIVES, name, (NAMES[name], hashlib.sha256(content).hexdigest()))
    data = load(name, tmp_path)
    assert data.x_train.shape == (6, np.prod(SHAPES[name]))
    assert data.y_test.tolist() == ([0, 1, 1, 1] if name == "ecg5000" else [0, 1, 2, 3])
    assert os.listdir(tmp_path) == [NAMES[name]]
