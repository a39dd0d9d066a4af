"""Wild arguments to `stablesde.stable`: what is promised of each function stands in its test."""

import numpy as np
import pytest
from hypothesis import strategies as st

from fuzz.engine import (
    ABSENT,
    array,
    check,
    choice,
    count,
    dtype,
    fuzz,
    key,
    number,
    promise,
    real,
    value,
)
from stablesde import stable

POINTS = array((), (3,), others=(0.0, 1, 2.5, float("inf"), -1e6))
ALPHA = real(0.3, 2.0)
SCALE = number(1.0, 2, 0.5)
LOC = number(0.0, 1, -2.5)
LEVELS = array((), (3,), low=0.0, high=1.0, others=(0, 1, 0.5, 1e-9))
SAMPLE = np.random.default_rng(3).standard_cauchy(30)
OBSERVED = array((30,), others=(SAMPLE, SAMPLE.tolist(), SAMPLE.reshape(5, 6)))


def common_shape(call, *names):
    """The shape to which the arguments broadcast."""
    return np.broadcast_shapes(*(np.shape(call[name]) for name in names if name in call))


def has_nan(call, *names):
    """Whether an argument holds NaN, which density functions hand on."""
    return any(bool(np.any(np.isnan(np.asarray(call[n], float)))) for n in names if n in call)


def densities(function, call):
    """The result of a density function, of the broadcast shape, NaN only where x is."""
    outcome = check(function, **call)
    if outcome.error is not None:
        return None
    shape = common_shape(call, *call)
    result = promise(outcome.value, shape, finite=False)
    name = next(iter({"x", "q"} & set(call)))
    nan = np.broadcast_to(np.isnan(np.asarray(call[name], float)), shape)
    assert not np.any(np.isnan(result) & ~nan), f"NaN from numbers: {result}"
    return result[~nan]


def ordinary(call):
    """Whether no density passes the largest float32 at this index and scale."""
    alpha, scale = np.asarray(call["alpha"], float), np.asarray(call["scale"], float)
    return bool(np.all(alpha > 0.1) and np.all(scale > 1e-6))


LAW = dict(alpha=ALPHA, beta=number(0, 0.0), loc=LOC, scale=SCALE)


@fuzz(250, x=POINTS, **LAW)
def test_logpdf(call):
    result = densities(stable.logpdf, call)
    if result is not None and ordinary(call):
        assert np.all(result < np.inf)  # -inf at ±inf


@fuzz(250, x=POINTS, **LAW)
def test_pdf(call):
    result = densities(stable.pdf, call)
    if result is not None:
        assert np.all(result >= 0)
        assert not ordinary(call) or np.all(result < np.inf)


@pytest.mark.parametrize("function", [stable.cdf, stable.sf], ids=["cdf", "sf"])
@fuzz(250, x=POINTS, **LAW)
def test_distribution(function, call):
    result = densities(function, call)
    if result is not None:
        assert np.all((result >= 0) & (result <= 1))


@pytest.mark.parametrize("function", [stable.ppf, stable.isf], ids=["ppf", "isf"])
@fuzz(200, q=LEVELS, **LAW)
def test_quantiles(function, call):
    outcome = check(function, **call)
    if outcome.error is None:
        shape = common_shape(call, *call)
        result = promise(outcome.value, shape, finite=False)
        q = np.broadcast_to(np.asarray(call["q"], np.float32), shape)
        inside = (q >= 0) & (q <= 1)  # outside, NaN
        assert np.array_equal(np.isnan(result), ~inside)
        if ordinary(call) and np.all(np.asarray(call["scale"]) < 1e6):
            assert np.all(np.isfinite(result[(q > 1e-3) & (q < 0.999)]))


POSITIVE = dict(x=array((), (3,), low=0.0, others=(0, 1, 1e6)), alpha=real(0.2, 0.95), scale=SCALE)


@fuzz(250, **POSITIVE)
def test_positive_logpdf(call):
    result = densities(stable.positive_logpdf, call)
    if result is not None and ordinary(call):
        assert np.all(result < np.inf)  # -inf for x ≤ 0 and x = inf


@fuzz(200, **POSITIVE)
def test_positive_pdf(call):
    result = densities(stable.positive_pdf, call)
    if result is not None:
        assert np.all(result >= 0)


@pytest.mark.parametrize(
    "function", [stable.positive_cdf, stable.positive_sf], ids=["positive_cdf", "positive_sf"]
)
@fuzz(200, **POSITIVE)
def test_positive_distribution(function, call):
    result = densities(function, call)
    if result is not None:
        assert np.all((result >= 0) & (result <= 1))


@fuzz(250, alpha=array((), (3,), low=0.05, high=2.0, others=(1, 2)))
def test_tail_constant(call):
    outcome = check(stable.tail_constant, **call)
    if outcome.error is None:
        assert np.all(promise(outcome.value, np.shape(call["alpha"])) >= 0)


@fuzz(
    300,
    u=POINTS,
    alpha=ALPHA,
    beta=real(-1, 1),
    loc=LOC,
    scale=SCALE,
    parametrization=choice("S0", "S1"),
)
def test_characteristic_function(call):
    outcome = check(stable.characteristic_function, **call)
    if outcome.error is None:
        names = ("u", "alpha", "beta", "loc", "scale")
        result = promise(outcome.value, common_shape(call, *names), finite=False)
        # NaN at frequencies that are not finite (in float32), as documented.
        if np.all(np.abs(np.asarray(call["u"], float)) < 1e30):
            assert np.all(np.abs(result) <= 1 + 1e-5)


@fuzz(250, alpha=ALPHA, p=array((), (3,), low=-2.0, high=3.0))
def test_absolute_moment(call):
    outcome = check(stable.absolute_moment, **call)
    if outcome.error is None:
        result = promise(outcome.value, common_shape(call, "alpha", "p"), finite=False)
        assert has_nan(call, "p") or np.all(result > 0)  # infinite outside its range


@fuzz(
    200,
    alpha=array((), (3,), low=1.1, high=2.0, others=(0.5, 1, 2)),
    n=number(1, 5, 100, 1e4),
    method=choice("exact", "frechet"),
)
def test_expected_maximum(call):
    outcome = check(stable.expected_maximum, **call)
    if outcome.error is None:
        result = promise(outcome.value, common_shape(call, "alpha", "n"), finite=False)
        assert np.all(result >= 0)
        alpha = np.broadcast_to(np.asarray(call["alpha"], float), result.shape)
        assert np.all(np.isfinite(result[(alpha > 1.05)])) or np.max(call["n"]) > 1e6


@fuzz(200, n=count(0, 1, 50, 10**6))
def test_default_hill_k(call):
    outcome = check(stable.default_hill_k, **call)
    if outcome.error is None:
        assert isinstance(outcome.value, int)
        assert outcome.value >= 10


@fuzz(
    400,
    x=OBSERVED,
    method=choice("hill", "log-moment", "quantile", "ecf", "mle"),
    level=real(0.5, 0.99),
    k=value(ABSENT, None, None, 5, 10, bad=st.sampled_from([1, 29, 30, 31])),
)
def test_tail_index(call):
    outcome = check(stable.tail_index, **call)
    if outcome.error is None:
        result = outcome.value
        low, mid, high = (promise(v, ()) for v in (result.lower, result.estimate, result.upper))
        assert 0 <= low <= high
        # Hill's exact interval is about the median of its law: at level 0 it is that alone.
        assert low <= mid <= high or float(call["level"]) < 0.5
        contains = check(result.contains, call["level"])
        assert contains.error is not None or promise(contains.value, ()).dtype == bool


@fuzz(200, x=OBSERVED)
def test_fit_symmetric(call):
    outcome = check(stable.fit_symmetric, **call)
    if outcome.error is None:
        fit = outcome.value
        assert 0.2 <= promise(fit.alpha, ()) <= 2
        assert promise(fit.scale, ()) > 0
        promise(fit.loc, ())
        promise(fit.log_likelihood, ())
        promise(fit.covariance, (3, 3), finite=False)  # singular where the likelihood is flat
        assert "StableFit(" in repr(fit)


@fuzz(
    300,
    x=OBSERVED,
    alpha=number(None, None, 1.0, 1.5, 2),
    loc=number(None, 0.0, 1),
    scale=number(None, 1.0, 2),
)
def test_goodness_of_fit(call):
    outcome = check(stable.goodness_of_fit, **call)
    if outcome.error is None:
        assert 0 <= promise(outcome.value.p_value, ()) <= 1
        for part in ("statistic", "alpha", "scale", "loc"):
            promise(getattr(outcome.value, part), ())
        assert "EcfTest(" in repr(outcome.value)


DRAW = dict(key=key(), alpha=number(0.5, 1.0, 1.5, 2), scale=SCALE, dtype=dtype())
SHAPE = value((), (3,), 3, (2, 3), (0,), bad=st.sampled_from([10**12, (2**16, 2**17), -1, (2.0,)]))


@fuzz(
    400,
    shape=SHAPE,
    beta=number(0.0, 0, 0.5, -1),
    loc=LOC,
    parametrization=choice("S0", "S1"),
    **DRAW,
)
def test_sample(call):
    outcome = check(stable.sample, **call)
    if outcome.error is None:
        shape = call["shape"]
        promise(outcome.value, (int(shape),) if np.ndim(shape) == 0 else tuple(shape))


@fuzz(300, shape=SHAPE, **{**DRAW, "alpha": number(0.5, 0.25, 0.9, 1)})
def test_sample_positive(call):
    outcome = check(stable.sample_positive, **call)
    if outcome.error is None:
        shape = call["shape"]
        result = promise(outcome.value, (int(shape),) if np.ndim(shape) == 0 else tuple(shape))
        assert np.all(result > 0)
