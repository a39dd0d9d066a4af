"""The fit of all four parameters, blocks of sums, and the data that people have. Fixed keys."""

import decimal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablesde.stable import (
    absolute_moment,
    block_tail_index,
    bootstrap_test,
    cdf,
    fit,
    goodness_of_fit,
    logpdf,
    sample,
    tail_index,
)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 0.5), (1.0, -0.4), (1.3, 1.0)])
def test_fit_of_four_parameters(alpha, beta, key):
    """At the maximum, with the truth inside; an interval is one-sided at the end of its range."""
    with jax.enable_x64(True):
        x = sample(key, alpha, beta, (3000,), jnp.float64, scale=2.0, loc=-1.0,
                   parametrization="S0")  # fmt: skip
        found = fit(np.asarray(x), parametrization="S0", level=1 - 1e-6)
        truth = np.array([alpha, beta, 2.0, -1.0])
        assert np.all((found.lower <= truth) & (truth <= found.upper))

        def total(a, b, scale, loc):
            return float(logpdf(x, a, b, loc=loc, scale=scale, parametrization="S0").sum())

        best = total(found.alpha, found.beta, found.scale, found.loc)
        np.testing.assert_allclose(best, found.log_likelihood, rtol=1e-10)
        # twice the gain over the truth is χ²(4): above 44 with probability 1e-8
        assert -1e-9 <= best - total(*truth) < 22
        other = fit(np.asarray(x), level=1 - 1e-6)  # S1: the same law
        np.testing.assert_allclose(other.log_likelihood, best, rtol=1e-10)
        again = logpdf(x, other.alpha, other.beta, loc=other.loc, scale=other.scale).sum()
        np.testing.assert_allclose(again, best, rtol=1e-8)
        assert float(found.aic) == pytest.approx(8 - 2 * best)


def test_columns_and_masks(key):
    """What people have their numbers in; a masked array is never silently unmasked."""
    pd = pytest.importorskip("pandas")
    x = np.asarray(sample(key, 1.5, shape=(400,)), np.float64)
    expected = float(tail_index(x).estimate)
    objects = np.array([decimal.Decimal(v) for v in x], dtype=object)
    for same in (pd.Series(x), pd.DataFrame({"a": x})["a"], x.astype(np.longdouble), objects):
        np.testing.assert_allclose(float(tail_index(same).estimate), expected, rtol=1e-6)
    for call in (tail_index, fit, goodness_of_fit):
        with pytest.raises(ValueError, match="masked array"):
            call(np.ma.masked_greater(x, 3))
    with pytest.raises(ValueError, match="list of numbers"):
        tail_index(np.array(["a"] * 30, dtype=object))


def test_shifted_doubles_keep_their_digits(key):
    x = np.asarray(sample(key, 1.5, shape=(400,)), np.float64)
    for method in ("quantile", "ecf", "mle"):
        near, far = tail_index(x, method).estimate, tail_index(2e5 + 0.01 * x, method).estimate
        np.testing.assert_allclose(near, far, rtol=1e-4)
    near, far = fit(x), fit(2e5 + 0.01 * x)
    np.testing.assert_allclose(near.scale * 0.01, far.scale, rtol=1e-3)
    np.testing.assert_allclose(cdf(1e6 + 0.03, 1.6, loc=1e6, scale=0.1), 0.584771953968, rtol=1e-6)


def test_trees_leaf_by_leaf(key):
    tree = {"w": sample(key, 1.4, shape=(30, 40)), "b": jnp.ones(3), "n": 3}
    found = jax.jit(tail_index)(tree)
    assert found["b"] is None
    np.testing.assert_allclose(found["w"].estimate, tail_index(tree["w"]).estimate, rtol=1e-6)


def test_moments_of_skewed_laws(key):
    for alpha, p, beta in ((1.5, 0.4, 0.6), (0.7, 0.3, -1.0), (1.8, -0.3, 0.9)):
        x = np.abs(np.asarray(sample(key, alpha, beta, (200_000,)), np.float64)) ** p
        error = x.std() / x.size**0.5
        # 2p < α: the mean is normal; five standard errors have probability 6e-7
        assert abs(x.mean() - float(absolute_moment(alpha, p, beta=beta))) < 5 * error
    assert np.isnan(absolute_moment(1.0, 0.3, beta=0.5))


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_blocks_are_unbiased_in_the_inverse(alpha, key):
    """Over 200 samples: five standard errors of the mean have probability 6e-7."""
    x = sample(key, alpha, shape=(200, 2500, 2))
    found = jax.vmap(block_tail_index)(x)
    inverse = 1 / np.asarray(found.estimate)
    if alpha < 1.7:  # above, estimates are cut at 2
        assert abs(inverse.mean() - 1 / alpha) < 5 * inverse.std() / 200**0.5
    inside = np.asarray((found.lower <= alpha) & (alpha <= found.upper))
    assert inside.mean() > 0.85
    assert block_tail_index(x[0]).method == "block"
    with pytest.raises(ValueError, match="block must lie in"):
        block_tail_index(x[0], block=2000)


def test_blocks_of_numbers_whose_squares_overflow(key):
    x = np.asarray(sample(key, 0.3, shape=(100_000,)))
    found = block_tail_index(x)
    # 5.1 standard errors, of which a 95 % interval holds 3.92: probability 4e-7
    assert abs(found.estimate - 0.3) < 1.3 * (found.upper - found.lower)
    for same in (x[:, None] * np.float32([1, 0, 1]), 1e-3 * x):
        np.testing.assert_allclose(block_tail_index(same).estimate, found.estimate, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_laws_on_a_half_line(alpha, key):
    """With β held at ±1 the search finds the maximum, though the support must hold the data."""
    truth = np.array([alpha, 1.0, 3.0, 2.0])
    x = np.asarray(sample(key, alpha, 1.0, shape=(1000,), loc=2.0, scale=3.0))
    found = fit(x, 1.0, level=1 - 1e-7)
    there = float(logpdf(x, alpha, 1.0, loc=2.0, scale=3.0).sum())
    # twice the gain over the truth is χ²(3): above 42 with probability 5e-9
    assert -0.05 < float(found.log_likelihood) - there < 21
    assert np.all((found.lower <= truth) & (truth <= found.upper))
    mirrored = fit(-x, -1.0)
    np.testing.assert_allclose(mirrored.alpha, found.alpha, rtol=2e-3)
    np.testing.assert_allclose(mirrored.loc, -found.loc, atol=0.1)


@pytest.mark.thorough
def test_data_outside_of_the_half_line(key):
    x = np.asarray(sample(key, 0.6, 1.0, shape=(200,)))
    wrong = fit(x, -1.0, parametrization="S0")  # the other side: any law that has these data
    assert bool(np.isfinite(wrong.log_likelihood)) != bool(np.isnan(wrong.alpha))


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 0.5), (0.7, -0.4)])
def test_regression_alone(alpha, beta, key):
    """Within 0.1: some 6 of the standard deviations, 0.016 or less, found over 200 samples."""
    x = sample(key, alpha, beta, (20_000,), loc=3.0, scale=2.0, parametrization="S0")
    found = fit(x, method="regression", parametrization="S0")
    estimates = np.array([found.alpha, found.beta, found.scale / 2, found.loc - 2])
    np.testing.assert_allclose(estimates, [alpha, beta, 1, 1], atol=0.1)
    assert np.isnan(found.lower).all()
    assert float(found.log_likelihood) < float(fit(x).log_likelihood)
    with pytest.raises(ValueError, match="method"):
        fit(x, method="moments")


def test_bootstrap_test_of_the_family(key):
    """Levels are those of ranks: of 40 p-values at most 0.1 more than 16 have probability 3e-7."""
    small = 0
    for i in range(40):
        keys = jax.random.split(jax.random.fold_in(key, i))
        x = sample(keys[0], 1.3, 0.6, (300,), loc=5.0, scale=10.0)
        small += float(bootstrap_test(x, keys[1], replicas=39).p_value) <= 0.1
    assert small <= 16
    rng = np.random.default_rng(0)
    mixture = np.concatenate([rng.normal(2, 0.3, 400), rng.normal(size=400)])
    result = bootstrap_test(mixture, key)
    assert float(result.p_value) == pytest.approx(1 / 200)
    assert "p = 0.005" in str(result)
    with pytest.raises(ValueError, match="replicas"):
        bootstrap_test(mixture, key, replicas=5)
