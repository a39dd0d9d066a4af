"""Data sets: shapes, normalisation, where files are looked for, and clear failures."""

import numpy as np
import pytest
from helpers import available

from stablesde.datasets import Dataset, _files, load, teacher


def test_ecg5000():
    data = load("ecg5000", available("ecg5000"))
    assert data.x_train.shape == (500, 140)
    assert data.x_test.shape == (4500, 140)
    assert data.x_train.dtype == np.float32
    assert np.bincount(data.y_train).tolist() == [292, 208]
    five = load("ecg5000", num_classes=5)
    assert np.bincount(five.y_train).tolist() == [292, 177, 10, 19, 2]
    with pytest.raises(ValueError, match="classes must be 2 or 5"):
        load("ecg5000", num_classes=3)


def test_mnist():
    data = load("mnist", available("mnist"))
    assert data.x_train.shape == (60000, 784)
    assert abs(data.x_train.mean()) < 1e-3
    assert abs(data.x_train.std() - 1) < 1e-3


def test_cifar():
    data = load("cifar10", available("cifar10"))
    assert data.x_train.shape == (10000, 3072)
    assert data.num_classes == 10


def test_embedded_sets_need_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("STABLESDE_DATA", str(tmp_path))
    digits = load("digits")
    assert digits.x_train.shape == (1200, 64)
    assert abs(digits.x_train.mean()) < 1e-6
    assert abs(digits.x_train.std() - 1) < 1e-6
    small = load("teacher")
    assert np.linalg.norm(small.x_train, axis=1).max() <= 1
    assert np.bincount(small.y_train).tolist() == [32, 32]
    np.testing.assert_array_equal(teacher(seed=4).x_train, teacher(seed=4).x_train)
    assert np.any(teacher(seed=4).x_train != teacher(seed=5).x_train)


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "ecg5000.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="damaged"):
        load("ecg5000", tmp_path)
    monkeypatch.setenv("STABLESDE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="damaged"):
        load("ecg5000")


def test_missing_files(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz does not exist"):
        load("mnist", tmp_path)

    def offline(url, known_hash):
        raise OSError("no network")

    monkeypatch.setattr(_files, "fetch", offline)
    monkeypatch.setattr(_files, "search_path", lambda root: iter([tmp_path]))
    with pytest.raises(FileNotFoundError, match="set STABLESDE_DATA"):
        load("mnist")


def test_bad_input():
    with pytest.raises(ValueError, match="known are ecg5000"):
        load("imagenet")
    x, y = np.zeros((3, 2)), np.zeros(3, int)
    with pytest.raises(ValueError, match="different lengths"):
        Dataset("mine", x, y[:2], x, y, 2)
    with pytest.raises(ValueError, match="NaN"):
        Dataset("mine", x * np.nan, y, x, y, 2)
    with pytest.raises(ValueError, match="dim"):
        teacher(dim=0)


X, Y = np.ones((4, 3)), np.array([0, 1, 1, 0])
GOOD = dict(name="mine", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2], num_classes=2)


def test_a_record_keeps_float32_and_int32():
    data = Dataset(**GOOD | dict(x_test=X[:2].tolist(), y_test=[1, 0]))
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    assert data.y_train.dtype == data.y_test.dtype == np.int32
    assert data.x_test.shape == (2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(x_test=np.ones((2, 5))), "inputs of x_test have length 5, those of x_train 3"),
        (dict(x_test=np.ones((2, 3, 1))), r"x_test must have shape \(N, d\)"),
        (dict(x_train=np.ones(4)), r"flatten inputs with x.reshape\(len\(x\), -1\)"),
        (dict(x_test=np.ones((0, 3)), y_test=Y[:0]), "N, d ≥ 1"),
        (dict(x_test=np.array([[1, 2, np.inf], [0, 0, 0]])), "x_test holds NaN or infinite"),
        (dict(x_train=1e300 * X), "x_train holds NaN or infinite"),
        (dict(x_train=[["a", "b"]]), "array of numbers"),
        (dict(y_train=Y.astype(float)), r"integer labels.*y.astype\(int\)"),
        (dict(y_train=Y.astype(bool)), "integer labels"),
        (dict(y_test=Y[:2, None]), "integer labels"),
        (dict(y_test=np.array([-1, 0])), "labels in y_test must lie in 0, …, 1"),
        (dict(y_train=Y + 1), "labels in y_train .* got 1 to 2"),
        (dict(num_classes=0), "num_classes must be a positive integer"),
        (dict(num_classes=2.0), "num_classes must be a positive integer"),
    ],
)
def test_records_that_cannot_be_trained_on(change, message):
    with pytest.raises(ValueError, match=message):
        Dataset(**GOOD | change)
