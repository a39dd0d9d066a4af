"""Tail-index estimators and the test of fit on simulated samples.

Fixed keys. Bounds on random quantities are at 5.5 standard deviations or more of their known law,
so that a correct implementation fails under a fresh key with probability below 1e-6.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from stablesde.stable import TailIndex, fit, sample, tail_index
from stablesde.stable._density import logpdf
from stablesde.stable._ecf import goodness_of_fit
from stablesde.stable._estimate import METHODS, default_hill_k
from stablesde.stable._likelihood import symmetric_fit

# sqrt(n) times the standard deviation, from the asymptotic variances (measured to agree to 5 %)
SPREAD = {
    "log-moment": {1.2: 2.1, 1.5: 3.6, 1.8: 5.6},
    "quantile": {1.2: 1.6, 1.5: 2.0, 1.8: 3.1},
    "ecf": {1.2: 1.41, 1.5: 1.57, 1.8: 1.40},
    "mle": {1.2: 1.33, 1.5: 1.54, 1.8: 1.39},
}


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
@pytest.mark.parametrize("method", SPREAD)
def test_estimates_and_interval_widths(method, alpha, key):
    n = 20_000
    x = 3.0 * sample(key, alpha, shape=(n,))
    if method != "log-moment":  # which needs a known centre
        x = x + 7.0
    result = tail_index(x, method)
    deviation = SPREAD[method][alpha] / n**0.5
    assert abs(float(result.estimate) - alpha) < 5.5 * deviation + 0.002  # bias of order 1/n
    half = float(result.upper - result.lower) / 2
    assert abs(half / (1.96 * deviation) - 1) < 0.25
    assert result.level == 0.95
    assert result.method == method
    wider = tail_index(x, method, level=0.999)
    assert float(wider.upper - wider.lower) > 1.5 * 2 * half


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.2, 1.8])
@pytest.mark.parametrize("method", METHODS)
def test_coverage(method, alpha, key):
    """200 samples: 190 ± 3.1 intervals should contain α; benchmarks/ has the full table."""
    run = jax.jit(lambda k: tail_index(sample(k, alpha, shape=(4000,)), method))
    results = [run(k) for k in jax.random.split(key, 200)]
    covered = sum(bool(r.contains(alpha)) for r in results)
    assert covered >= 172  # 5.8 standard deviations below 95 %
    # An interval far too wide would cover every time: 200 of 200 has probability 4e-5 at 95 %,
    # so its width is compared with the spread of the estimates instead.
    spread = np.std([float(r.estimate) for r in results])
    half = np.mean([float(r.upper - r.lower) / 2 for r in results])
    assert half < 1.96 * spread * 1.4  # the spread over 200 samples is known to 5 %


@pytest.mark.parametrize("alpha", [1.5, 1.8])
def test_hill_on_two_million(alpha, key):
    x = jnp.abs(sample(key, alpha, shape=(2_000_000,)))
    result = tail_index(x, "hill", level=1 - 1e-7)
    assert bool(result.contains(alpha))
    assert result.num_used == default_hill_k(x.size) == 1169
    usual = tail_index(x, "hill")
    # The half-width, 1.96 α / sqrt(k), is what it takes to exclude 2 when the estimate is right.
    assert 0.95 < float(usual.upper - usual.lower) / 2 / (1.96 * alpha / 1169**0.5) < 1.1
    if alpha == 1.5:  # 2 is 8.8 standard errors away from the interval's end
        assert float(usual.upper) < 2


def test_hill_needs_only_the_tail(key):
    """θ_0 + σ L + bounded drift, a norm in 3 dimensions, and an exact Pareto tail."""
    keys = jax.random.split(key, 4)
    noise = sample(keys[0], 1.5, shape=(400_000,))
    x = jax.random.normal(keys[1], noise.shape) + 0.5 * noise + jnp.sin(noise)
    assert bool(tail_index(x, "hill", level=1 - 1e-7).contains(1.5))
    norms = jnp.linalg.norm(sample(keys[2], 1.5, shape=(400_000, 3)), axis=1)
    assert bool(tail_index(norms, "hill", level=1 - 1e-7).contains(1.5))
    pareto = jax.random.pareto(keys[3], 1.3, shape=(100_000,))
    result = tail_index(pareto, "hill", level=1 - 1e-7, k=20_000)
    assert bool(result.contains(1.3))
    assert float(result.upper - result.lower) < 0.11


@pytest.mark.parametrize("method", ["log-moment", "quantile", "ecf", "mle"])
def test_an_interval_at_the_boundary_has_a_width(method):
    """Uniform numbers, lighter than any stable law: 2, and an interval up to 2 that is no point."""
    found = tail_index(np.random.default_rng(0).uniform(-1, 1, 400), method)
    assert float(found.upper) == 2
    assert float(found.estimate) == pytest.approx(2, abs=1e-4)
    assert float(found.lower) < 1.999
    assert "at the boundary" in repr(found)


def test_hill_refuses_a_shifted_sample(key):
    """Prices, 30 + Z: the estimate would be near 4. Centred ones, norms and far tails are taken."""
    z = sample(key, 1.5, shape=(5000,))
    with pytest.raises(ValueError, match=r"median 29\.9.*subtract a centre"):
        tail_index(30 + z)
    assert bool(tail_index(30 + z - jnp.median(30 + z), level=1 - 1e-7).contains(1.5))
    tail_index(jnp.sort(jnp.abs(z))[-1000:])
    tail_index(jnp.linalg.norm(z.reshape(-1, 5), axis=1))


def test_hill_interval_is_the_gamma_law():
    """The k largest of a Pareto quantile grid: the estimate is known in closed form."""
    x = np.array([*np.linspace(-0.9, 1.0, 20), 2.0, 4.0, 8.0, 16.0], np.float32)
    result = tail_index(x, "hill", k=4)
    total = np.log(2.0) * (1 + 2 + 3 + 4)
    np.testing.assert_allclose(result.estimate, 4 / total, rtol=1e-5)
    low, high = stats.gamma.ppf([0.025, 0.975], 4) / total
    np.testing.assert_allclose([result.lower, result.upper], [low, high], rtol=1e-5)


@pytest.mark.parametrize("method", SPREAD)
def test_gaussian_sample_reaches_two(method, key):
    x = sample(key, 2.0, shape=(20_000,))
    result = tail_index(x, method, level=1 - 1e-7)
    assert float(result.upper) > 2 - 2e-5
    assert float(result.estimate) > 1.8
    assert not bool(tail_index(x, method).contains(1.5))


def test_small_alpha_in_both_precisions(dtype, key):
    x = sample(key, 0.6, shape=(20_000,), dtype=dtype)
    for method in METHODS:
        result = tail_index(x, method, level=1 - 1e-7)
        assert result.estimate.dtype == dtype
        assert bool(result.contains(0.6)), method


@pytest.mark.slow
def test_maximum_likelihood_is_at_the_maximum(key):
    with jax.enable_x64(True):
        x = 2.0 * sample(key, 1.4, shape=(3000,), dtype=jnp.float64) - 1.0
        found = fit(x, 0)

        def total(t):
            return jnp.sum(logpdf(x, t[0], loc=t[1], scale=jnp.exp(t[2])))

        point = jnp.stack([found.alpha, found.loc, jnp.log(found.scale)])
        np.testing.assert_allclose(total(point), found.log_likelihood, rtol=1e-12)
        # Newton's remaining step, in standard errors
        information = -jax.hessian(total)(point)
        errors = jnp.sqrt(jnp.diag(jnp.linalg.inv(information)))
        step = jnp.linalg.solve(information, jax.grad(total)(point))
        assert jnp.all(jnp.abs(step) < 1e-4 * errors)
        # of tail_index(x, "mle"): the observed information itself
        inner = symmetric_fit(x, None)
        np.testing.assert_allclose(
            jnp.sqrt(jnp.diag(inner.covariance)), errors[jnp.array([0, 2, 1])], rtol=1e-6
        )
        # the outer product of the scores estimates the same information
        told = jnp.sqrt(jnp.diag(found.covariance))
        np.testing.assert_allclose(told[jnp.array([0, 3, 2])], errors, rtol=0.1)
        assert told[1] == 0
        # twice the gain over the truth is χ²(3): above 38 with probability 3e-8
        gain = found.log_likelihood - total(jnp.array([1.4, -1.0, jnp.log(2.0)]))
        assert 0 <= float(gain) < 19
        single = fit(x.astype(jnp.float32), 0)
        np.testing.assert_allclose(single.alpha, found.alpha, atol=0.05 * float(errors[0]))


@pytest.mark.parametrize("alpha", [0.8, 1.5, 1.9])
def test_fit_test_has_its_level(alpha, key):
    """p-values of 300 samples are uniform, with parameters known and estimated."""

    def both(k):
        x = sample(k, alpha, shape=(2000,))
        known = goodness_of_fit(x, alpha, loc=0.0, scale=1.0)
        return known.p_value, goodness_of_fit(4 * x + 1).p_value

    values = np.asarray(jax.vmap(jax.jit(both))(jax.random.split(key, 300)))
    for p in values:
        # P(p < 0.05) = 5 %: 15 ± 3.8 of 300; mean 0.5 ± 0.0167
        assert 0 <= np.sum(p < 0.05) <= 38
        assert abs(p.mean() - 0.5) < 0.1


def test_fit_test_has_power(key):
    student = jax.random.t(key, 3.0, (20_000,))
    result = goodness_of_fit(student)
    assert result.dof == 7
    assert float(result.p_value) < 1e-6
    skewed = stats.levy_stable.rvs(1.5, 0.5, size=20_000, random_state=1)
    assert float(goodness_of_fit(skewed).p_value) < 1e-6
    x = sample(key, 1.5, shape=(20_000,))
    assert float(goodness_of_fit(x, 1.6).p_value) < 1e-6
    assert float(goodness_of_fit(x, 1.5, scale=1.1).p_value) < 1e-6
    fitted = goodness_of_fit(x)
    np.testing.assert_allclose(fitted.alpha, 1.5, atol=0.07)
    np.testing.assert_allclose(fitted.scale, 1.0, atol=0.06)


def test_vmap_and_bad_arguments(key):
    x = sample(key, 1.5, shape=(3, 400))
    for method in ("hill", "log-moment", "ecf", "mle"):
        batch = jax.jit(jax.vmap(lambda row, method=method: tail_index(row, method)))(x)
        assert batch.estimate.shape == (3,)
        single = tail_index(x[1], method)
        np.testing.assert_allclose(batch.estimate[1], single.estimate, rtol=2e-3)
    with pytest.raises(ValueError, match="method must be"):
        tail_index(x, "moment")
    with pytest.raises(ValueError, match="k must lie in"):
        tail_index(x, "hill", k=1200)
    with pytest.raises(ValueError, match="belongs to method='hill'"):
        tail_index(x, "ecf", k=10)
    with pytest.raises(ValueError, match="at least 20"):
        tail_index(x[0, :19])
    with pytest.raises(ValueError, match="level"):
        tail_index(x, level=95.0)
    with pytest.raises(ValueError, match="at least 20"):
        goodness_of_fit(x[0, :10])


def test_traced_data_are_not_inspected(key):
    x = sample(key, 1.5, shape=(400,)).at[0].set(jnp.nan)
    assert jnp.isnan(jax.jit(lambda x: tail_index(x, "mle").estimate)(x))
    assert jnp.isnan(jax.jit(lambda x: fit(x, 0).alpha)(x))
    assert jnp.isnan(jax.jit(lambda x: goodness_of_fit(x).p_value)(x))


ESTIMATORS = {
    **{m: lambda x, m=m: tail_index(x, m) for m in METHODS},
    "fit": lambda x: fit(x, 0),
    "test": goodness_of_fit,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_data_that_cannot_work(name, key):
    estimate = ESTIMATORS[name]
    x = sample(key, 1.5, shape=(400,))
    for data, message in [
        ([], "at least 20 observations, got 0"),
        (x[:19], "at least 20 observations, got 19"),
        ([2.5] * 50, "differ; all are 2.5"),
        (x.at[3].set(jnp.nan).at[7].set(-jnp.inf), "2 of the 400 observations are not finite"),
        (["a"] * 30, "list of numbers"),
        ([[1.0, 2.0], [3.0]], "list of numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            estimate(data)


def test_ties_that_cannot_work():
    mostly_zero = np.concatenate([np.zeros(100), np.linspace(1, 2, 20)])
    for name in ("quantile", "ecf", "mle", "fit", "test"):
        with pytest.raises(ValueError, match="different quartiles, but both are 0"):
            ESTIMATORS[name](mostly_zero)
    with pytest.raises(ValueError, match="other than 0"):
        tail_index(mostly_zero, "log-moment")
    with pytest.raises(ValueError, match="choose another k"):
        tail_index(mostly_zero, k=30)
    with pytest.raises(ValueError, match="from 1 to 1"):
        tail_index(np.tile([1.0, -1.0], 50))


def test_lists_and_integers_are_data(key):
    x = np.round(100 * np.asarray(sample(key, 1.5, shape=(400,))))
    for name, estimate in ESTIMATORS.items():
        if name == "log-moment":
            continue
        for same in (x.astype(int).tolist(), tuple(x.tolist()), x.astype(int)):
            leaves = jax.tree.leaves(estimate(same)), jax.tree.leaves(estimate(x))
            for a, b in zip(*leaves, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3)


def test_results_print_their_numbers(key):
    index = TailIndex(jnp.asarray(1.50321), jnp.asarray(1.471), jnp.asarray(1.53567), 0.95, "hill")
    assert repr(index) == "TailIndex(1.503 [1.471, 1.536], 95 %)"
    x = sample(key, 1.5, shape=(400,))
    found = fit(x, 0)
    error = float(found.covariance[0, 0]) ** 0.5
    assert repr(found).startswith(f"LawFit(alpha {float(found.alpha):.4g} ± {error:.2g}, beta 0, ")
    result = goodness_of_fit(x, 1.5)
    assert f"p = {float(result.p_value):.3g}, χ²(8) = " in repr(result)
    seen = []
    jax.jit(lambda x: seen.append(repr((tail_index(x), fit(x, 0), goodness_of_fit(x)))))(x)
    assert "traced" in seen[0]
    batch = jax.vmap(tail_index)(x.reshape(2, 200))
    assert repr(batch) == "TailIndex(array(2,) [array(2,), array(2,)], 95 %)"
