"""Wild arguments to `stablesde.datasets`."""

import numpy as np
import pytest
from hypothesis import strategies as st

from fuzz.engine import (
    Arg,
    array,
    check,
    choice,
    count,
    fuzz,
    promise,
    real,
    value,
    wild,
)
from fuzz.surroundings import check_files, offline
from stablesde import datasets


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    with offline(tmp_path_factory.mktemp("here")):
        yield


@fuzz(
    150, name=choice("teacher", "teacher", "ecg5000", "mnist", "cifar10"),
    root=value(None, "/nowhere", bad=st.sampled_from(["\x00", b"x"])), num_classes=count(2, 5),
)  # fmt: skip
def test_load(call):
    outcome = check_files(datasets.load, **call)
    if outcome.error is None:
        promise(outcome.value.x_train)


@fuzz(
    150, num_train=count(1, 5), num_test=count(1, 5), dim=count(1, 3), units=count(1, 4),
    radius=real(0.1, 10.0), seed=count(1, 7),
)  # fmt: skip
def test_teacher(call):
    outcome = check(datasets.teacher, **call)
    if outcome.error is None:
        promise(outcome.value.x_train, (call.get("num_train"), call.get("dim")))


LABELS = Arg(
    st.sampled_from([[0, 1, 1], np.array([0, 1, 0]), np.array([1, 1, 1], np.uint8)]),
    st.one_of(
        st.sampled_from([[0, 5, 1], [-1, 0, 1], [0.0, 1.0, 1.0], [0, 1], [True, False, True],
                         [[0], [1], [1]], [2**63, 0, 1], [10**30, 0, 1], ["a", "b", "c"]]),
        wild(),
    ),
)  # fmt: skip
INPUTS = array((3, 2))


@fuzz(
    250, name=choice("mine"), x_train=INPUTS, y_train=LABELS, x_test=INPUTS, y_test=LABELS,
    num_classes=count(2, 3), source=choice("here"),
)  # fmt: skip
def test_dataset(call):
    outcome = check(datasets.Dataset, **call)
    if outcome.error is None:
        assert outcome.value.dim == 2
        assert repr(outcome.value)
