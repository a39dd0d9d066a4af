"""Estimates of α say when the law is wrong, when data depend on each other, and which are data.

Fixed keys. p-values of the wrong law are below 1e-8 here; that of the right one is 0.29, under a
fresh key it would be below 0.001 with probability 0.001.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablesde.stable import fit, goodness_of_fit, sample, tail_index

KEY = jax.random.key(3)
LAW_METHODS = ("log-moment", "quantile", "ecf", "mle")
X = np.asarray(sample(KEY, 1.5, shape=(2000,)))
# Two point masses with a little width.
MIXED = np.random.default_rng(0).normal(size=2000) + np.repeat([-6.0, 6.0], 1000)


@pytest.mark.parametrize("method", LAW_METHODS)
def test_a_rejected_law_is_in_the_result(method):
    wrong, right = tail_index(MIXED, method), tail_index(X, method)
    assert bool(wrong.rejected)
    assert float(wrong.p_value) < 1e-8
    assert "LAW REJECTED" in repr(wrong)
    assert not bool(right.rejected)
    assert "REJECTED" not in repr(right)
    # The log-moment method assumes a law about 0, the others any location.
    moved = tail_index(X + 3.0, method)
    assert bool(moved.rejected) == (method == "log-moment")


@pytest.mark.thorough
def test_the_test_is_the_public_one():
    expected = float(goodness_of_fit(X).p_value)
    np.testing.assert_allclose(float(tail_index(X, "ecf").p_value), expected, rtol=1e-3)
    np.testing.assert_allclose(float(fit(X, 0).p_value), expected, rtol=1e-3)
    assert bool(fit(MIXED, 0).rejected)
    assert tail_index(X, "hill").p_value is None
    assert not bool(tail_index(X, "hill").rejected)


@pytest.mark.parametrize("method", ["hill", "log-moment", "ecf"])
def test_zeros_are_left_out_at_fixed_shape(method):
    dead = X.copy()
    dead[::3] = 0
    expected = tail_index(X[dead != 0], method)
    k = expected.num_used if method == "hill" else None
    traced = jax.jit(lambda x: tail_index(x, method, where=x != 0, k=k))
    for found in (tail_index(dead, method, where=dead != 0), traced(jnp.asarray(dead))):
        np.testing.assert_allclose(found.estimate, expected.estimate, rtol=2e-4)
        np.testing.assert_allclose(found.upper, expected.upper, rtol=2e-4)
    if method == "log-moment":
        with pytest.raises(ValueError, match=r"where=\(x != 0\)"):
            tail_index(dead, method)


def test_a_mask_of_the_whole_fit():
    mask = np.arange(2000) % 4 > 0
    spoilt = np.where(mask, X, np.nan)
    a, b = fit(spoilt, 0, where=mask), fit(X[mask], 0)
    np.testing.assert_allclose(a.alpha, b.alpha, rtol=1e-5)
    a, b = goodness_of_fit(spoilt, where=mask), goodness_of_fit(X[mask])
    np.testing.assert_allclose(a.p_value, b.p_value, rtol=1e-5)


@pytest.mark.thorough
def test_a_mask_under_jit_and_far_from_zero():
    mask = np.arange(2000) % 4 > 0
    traced = jax.jit(lambda x, w: fit(x, 0, where=w))(jnp.asarray(X), mask)
    np.testing.assert_allclose(traced.alpha, fit(X[mask], 0).alpha, rtol=1e-4)
    far = 1e5 + 0.01 * X.astype(np.float64)
    a, b = fit(far, where=np.ones(2000, bool)), fit(far)
    np.testing.assert_allclose([a.alpha, a.scale], [b.alpha, b.scale], rtol=1e-6)


@pytest.mark.thorough
def test_blocks_of_the_fit():
    """The same estimates; the spread over blocks of a dependent series is wider."""
    series = autoregressive(KEY, 2000)
    plain, blocks = fit(series, 0), fit(series, 0, block_length=40, key=KEY, resamples=60)
    for name in ("alpha", "scale", "loc", "log_likelihood"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(plain, name), rtol=1e-6)
    width, plain_width = (f.upper - f.lower for f in (blocks, plain))
    assert np.all(width[2:] > 1.5 * plain_width[2:])
    assert blocks.p_value is None
    for wrong in ({"beta": None}, {"beta": 0.5}, {"beta": 0, "method": "regression"}):
        with pytest.raises(ValueError, match="block_length is for beta=0"):
            fit(series, **wrong, block_length=40, key=KEY)


def autoregressive(key, n, rate=0.8):
    noise = sample(key, 1.5, shape=(n + 200,))
    step = lambda y, e: (rate * y + e, rate * y + e)  # noqa: E731
    return jax.lax.scan(step, jnp.zeros(()), noise)[1][200:]


def test_blocks_widen_the_interval_of_dependent_data():
    """The spread of 100 estimates is known to 7 %; the bars are over ten times that away."""
    series = jax.vmap(lambda key: autoregressive(key, 2000))(jax.random.split(KEY, 100))
    estimates = jax.vmap(lambda x: tail_index(x, "ecf"))(series)
    spread = 2 * 1.96 * float(np.std(estimates.estimate))
    independent = np.median(estimates.upper - estimates.lower)
    assert independent < 0.5 * spread
    found = [
        tail_index(x, "ecf", block_length=40, key=key)
        for x, key in zip(series[:8], jax.random.split(KEY, 8), strict=True)
    ]
    width = np.median([float(r.upper - r.lower) for r in found])
    assert width > 1.5 * independent
    assert width < 1.5 * spread
    assert found[0].p_value is None
    again = tail_index(series[0], "ecf", block_length=40, key=jax.random.split(KEY, 8)[0])
    assert float(again.lower) == float(found[0].lower)


def test_independent_data_keep_their_interval():
    plain = tail_index(X, "ecf")
    blocks = tail_index(X, "ecf", block_length=10, key=KEY)
    assert float(blocks.estimate) == pytest.approx(float(plain.estimate), rel=1e-5)
    assert 0.6 < float((blocks.upper - blocks.lower) / (plain.upper - plain.lower)) < 1.6


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"block_length": 10}, "needs a key"),
        ({"key": KEY}, "give a block_length"),
        ({"block_length": 1000, "key": KEY}, "fewer than 5 blocks"),
        ({"block_length": 10, "key": KEY, "resamples": 20}, "resamples=20 are too few"),
        ({"block_length": 0, "key": KEY}, "block_length must be"),
        ({"where": np.ones(3, bool)}, "where must be an array of bools"),
        ({"where": np.ones(2000)}, "where must be an array of bools"),
        ({"where": np.arange(2000) < 10}, "at least 20"),
    ],
)
def test_bad_arguments(settings, text):
    for call in (lambda **s: tail_index(X, "ecf", **s), lambda **s: fit(X, 0, **s)):
        with pytest.raises(ValueError, match=text):
            call(**settings)
