"""Fixtures shared by the tests. Every random number comes from a fixed key."""

import os

import jax
import numpy as np
import pytest

import stablesde as ssd
from stablesde._compilation import cache_settings, use_compilation_cache

os.environ.update(cache_settings())  # for the processes that tests start
use_compilation_cache()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions; float64 is switched on for the test only."""
    with jax.enable_x64(request.param == "float64"):
        yield jax.numpy.dtype(request.param)


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory():
    """Compiled programs of one module are of no use to the next; there are gigabytes of them."""
    yield
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(20231106)


@pytest.fixture
def network():
    """A small tanh network for which Assumption 1 holds."""
    rng = np.random.default_rng(1)
    return ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)


def pytest_terminal_summary(terminalreporter):
    """How many cases the fuzz tests ran, on whatever workers."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    counts = [(r, n) for r in reports for name, n in r.user_properties if name == "fuzz_cases"]
    if counts:
        bad = sum(r.failed for r, _ in counts)
        total = sum(n for _, n in counts)
        terminalreporter.write_line(f"fuzz: {total} cases, {bad} tests with undocumented outcomes")
