"""Fixtures shared by the tests. Every random number comes from a fixed key."""

import collections
import os
import zlib

import jax
import numpy as np
import pytest

import stablesde as ssd
from stablesde._compilation import cache_settings, use_compilation_cache

os.environ.update(cache_settings())  # for the processes that tests start
use_compilation_cache()


# Of tests with many cases alike the fast ones run one in so many, `make test-slow` the others. The
# numbers of many cases have no factor with how many values the last parameter has, so that all of
# them come up; of two or three cases alike one is run, and which differs from test to test.
ONE_IN = {
    "test_levy.py::test_increments_have_their_exponent": 5,
    "test_dtypes.py::test_simulations": 3,
    "test_dtypes.py::test_studies": 3,
    "test_dtypes.py::test_other_noises": 5,
    "test_dtypes.py::test_noises": 7,
    "test_dtypes.py::test_draws": 5,
    "test_gradients.py::test_agrees_with_finite_differences": 5,
    "test_gradients.py::test_memory_of_a_few_dozen_states": 3,
    "test_dynamics.py::test_ornstein_uhlenbeck_process": 5,
    "test_dynamics.py::test_ornstein_uhlenbeck_law": 5,
    "test_dynamics.py::test_float32_errors_equal_float64_errors": 3,
    "test_jump_bound.py::test_no_error_is_above_the_bound": 3,
    "test_plotting.py::test_verdicts_of_independence": 3,
    "test_fokker_planck.py::test_ornstein_uhlenbeck_to_second_order": 2,
    "test_fokker_planck.py::test_nodes_to_seventh_order": 2,
    "test_fokker_planck.py::test_noise_alone_is_a_convolution": 5,
    "test_fokker_planck.py::test_mass_and_positivity": 5,
    "test_pairwise.py::test_all_pairs_against_a_direct_sum": 2,
    "test_record.py::test_a_recording_is_the_simulation": 5,
    "test_diffrax.py::test_euler_in_diffrax_is_our_euler": 5,
    "test_examples.py::test_a_well_is_left_by_one_jump": 2,
    "test_model.py::test_assumption_constants_are_bounds": 4,
    "test_sampling.py::test_skewed_characteristic_function": 7,
    "test_stable_estimate.py::test_estimates_and_interval_widths": 5,
    "test_stable_estimate.py::test_small_alpha_in_both_precisions": 2,
    "test_stable_estimate.py::test_fit_test_has_its_level": 3,
    "test_stable_fit.py::test_regression_alone": 2,
    "test_stable_fit.py::test_laws_on_a_half_line": 2,
    "test_stable_density.py::test_positive_law_against_mpmath": 3,
    "test_stable_density.py::test_quantiles_invert": 5,
    "test_stable_skewed.py::test_scalar_quantiles_invert": 2,
    "test_stable_skewed.py::test_quantiles_invert": 2,
    "test_stable_skewed.py::test_values_at_the_centre": 2,
    "test_stable_skewed.py::test_against_mpmath": 2,
    "test_stable_skewed.py::test_closed_forms": 2,
    "test_stable_skewed.py::test_score_at_the_centre": 2,
}


def pytest_collection_modifyitems(items):
    met = collections.Counter()
    for item in items:
        name = item.nodeid.split("[")[0].removeprefix("tests/")
        if name in ONE_IN:
            if (met[name] + zlib.crc32(name.encode())) % ONE_IN[name]:
                item.add_marker(pytest.mark.thorough)
            met[name] += 1


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
