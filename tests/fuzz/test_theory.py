"""Wild arguments to `stablesde.theory`."""

import functools
import math

import numpy as np
import pytest

import stablesde as ssd
from fuzz.engine import array, check, choice, count, fuzz, number, promise, real, value
from stablesde import theory

NETWORK = ssd.NetworkModel("tanh", "logistic", np.eye(4, 2), np.arange(4) % 2)
NOISES = value(
    *(ssd.stable_noise(kind, 1.5, 2) for kind in ("I", "II")), ssd.stable_noise("I", 1, 2)
)
CONSTANTS = value(
    NETWORK.assumption_constants(),
    ssd.NetworkModel("relu", "squared", np.eye(4, 2), np.ones(4)).assumption_constants(),
)


@functools.cache
def law(alpha):
    return theory.compression_law(ssd.stable_noise("I", alpha, 2), 0.3)


def number_or_infinity(outcome):
    """A float that is no NaN; infinity where the docstring says so."""
    if outcome.error is None:
        assert not math.isnan(promise(outcome.value, (), finite=False))
        return float(outcome.value)
    return None


@fuzz(250, alpha=real(0.1, 2.0), p=real(0.1, 5.0))
def test_compression_exponent(call):
    outcome = check(theory.compression_exponent, **call)
    if outcome.error is None:
        assert promise(outcome.value, ()) <= 0


@fuzz(250, alpha=real(2 / 3, 2.0), holder=real(0.7, 1.0))
def test_euler_order(call):
    outcome = check(theory.euler_order, **call)
    if outcome.error is None:
        assert 0.5 <= promise(outcome.value, ()) <= 1


@fuzz(
    250,
    constants=CONSTANTS,
    noise=NOISES,
    width=count(1, 10, 1000),
    step_size=real(0.001, 0.1),
    t1=real(0.1, 2.0),
    sigma=real(0.0, 2.0),
)
def test_strong_error_bound(call):
    outcome = check(theory.strong_error_bound, **call)
    if outcome.error is None:  # infinite for α ≤ 1, and where Assumption 1 fails
        bound = outcome.value
        assert min(promise(v, (), finite=False) for v in (bound.paper, bound.gronwall)) >= 0


@fuzz(250, constants=CONSTANTS, width=count(1, 10, 1000), t1=real(0.1, 2.0))
def test_chaos_bound(call):
    outcome = check(theory.chaos_bound, **call)
    if outcome.error is None:
        bound = outcome.value
        assert min(promise(v, (), finite=False) for v in (bound.paper, bound.gronwall)) >= 0


@fuzz(
    250, noise=value(1.5, 2, *(ssd.stable_noise("I", a, 2) for a in (1, 1.5))), n=count(1, 10, 100)
)
def test_maximum_moment(call):
    result = number_or_infinity(check(theory.maximum_moment, **call))
    assert result is None or result >= 0


LEMMA = dict(alpha=real(1.05, 1.95), constant=choice("both tails", "one tail"))


@fuzz(250, n=number(1, 10, 1e3, 2.5), **LEMMA)
def test_lemma_b1(call):
    outcome = check(theory.lemma_b1, **call)
    if outcome.error is None:
        for part in ("paper", "exact", "limit"):
            assert promise(getattr(outcome.value, part), ()) > 0
        assert isinstance(outcome.value.holds, bool)


@fuzz(200, constant=LEMMA["constant"])
def test_lemma_b1_threshold(call):
    outcome = check(theory.lemma_b1_threshold, **call)
    if outcome.error is None:
        assert 1 < promise(outcome.value, ()) < 2


@fuzz(60, alpha=number(1.05, 1.2, 1.5), constant=LEMMA["constant"])
def test_lemma_b1_smallest_n(call):
    result = number_or_infinity(check(theory.lemma_b1_smallest_n, **call))
    assert result is None or result >= 1


@fuzz(200, probability=real(0.001, 0.999), alpha=real(0.1, 0.95))
def test_positive_stable_quantile(call):
    result = number_or_infinity(check(theory.positive_stable_quantile, **call))
    assert result is None or result > 0


@fuzz(
    60,
    alpha=number(1.5, 1.2),
    kappa=number(0.3, 0.1),
    epsilon=number(1e-3, 1e-4, 2e-4, 5e-4, 0.3),  # widths below 10⁹ take seconds each
    delta=number(None, 0.1, 0.5),
    kind=choice("I", "II", "III"),
    dim=number(1, 2),
)
def test_required_width(call):
    result = number_or_infinity(check(theory.required_width, **call))
    assert result is None or result >= 1


COLUMNS = np.random.default_rng(5).standard_cauchy((1000, 2))


@fuzz(
    200,
    noise=NOISES,
    kappa=real(0.05, 0.9),
    columns=value(None, None, COLUMNS, COLUMNS.tolist(), bad=None),
    sigma=real(0.1, 2.0),
    t1=real(0.1, 2.0),
)
def test_compression_law(call):
    outcome = check(theory.compression_law, **call)
    if outcome.error is None:
        promise(outcome.value.log_scale, ())
        promise(outcome.value.spread, ())
        promise(outcome.value.offset, ())
        assert 0 < promise(outcome.value.median(1000), ()) <= 1


WIDTH = number(1e5, 10, 1e6, 1e12)


@pytest.mark.parametrize("method", ["cdf", "limit_cdf"])
@fuzz(100, epsilon=array((), (3,), low=0.01, high=0.9, others=(0.1, 1)), n=WIDTH)
def test_law_distribution(method, call):
    outcome = check(getattr(law(0.8), method), **call)
    if outcome.error is None:
        result = promise(outcome.value, np.shape(call["epsilon"]))
        assert np.all((result >= -1e-6) & (result <= 1 + 1e-6))


@fuzz(60, q=array((), (2,), low=0.05, high=0.95, others=(0.5,)), n=WIDTH)
def test_law_quantile(call):
    outcome = check(law(1.5).quantile, **call)
    if outcome.error is None:
        result = promise(outcome.value, np.shape(call["q"]))
        assert np.all((result > 0) & (result <= 1 + 1e-6))


@pytest.mark.parametrize("method", ["median", "geometric_mean"])
@fuzz(60, n=WIDTH)
def test_law_middle(method, call):
    outcome = check(getattr(law(1.5), method), **call)
    if outcome.error is None:
        assert promise(outcome.value, ()) > 0
