"""Wild arguments to `stablesde.compression`."""

import numpy as np
import pytest

from fuzz.engine import ABSENT, array, check, flag, fuzz, promise, real, value
from stablesde import compression

THETA = array(
    (4, 3), (1, 1), others=(np.zeros((4, 3)), np.full((4, 3), 1e30), np.eye(3, dtype=int))
)


@fuzz(300, theta=THETA, kappa=real(0.01, 1.0))
def test_prune(call):
    outcome = check(compression.prune, **call)
    if outcome.error is None:
        promise(outcome.value, np.shape(call["theta"]))


@fuzz(300, theta=THETA, kappa=array((), (3,), low=0.01, high=1.0, others=(1, 0.5)))
def test_compression_error(call):
    outcome = check(compression.compression_error, **call)
    if outcome.error is None:
        result = promise(outcome.value, np.shape(call["kappa"]))
        assert np.all((result >= 0) & (result <= 1))


@pytest.mark.parametrize("function", [compression.pruning_ratio, compression.prunable])
@fuzz(250, theta=THETA, error=value(ABSENT, 0, 0.1, 0.5, bad=None), squared=flag())
def test_pruning(function, call):
    outcome = check(function, **call)
    if outcome.error is None:
        rows = np.shape(call["theta"])[:1]
        ratio = function is compression.pruning_ratio
        result = promise(outcome.value, () if ratio else rows)
        assert np.all((result >= 0) & (result <= 1))
