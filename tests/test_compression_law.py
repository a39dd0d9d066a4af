"""The law of the compression error and the width it asks for, against simulation."""

import math

import jax
import numpy as np
import pytest
import scipy.stats

import stablesde as ssd
from stablesde import theory
from stablesde.compression import kept_rows
from stablesde.theory._compression import compression_exponent
from stablesde.theory._maximum import lemma_b1_smallest_n, lemma_b1_threshold


def simulated(noise, kappa, n, replicas, key):
    """Errors of independent systems of n stable columns."""
    errors, per = [], max(1, int(4e6 // (n * noise.dim)))
    for first in range(0, replicas, per):
        count = min(per, replicas - first)
        x = noise.sample(jax.random.fold_in(key, first), (count * n,))
        norms = np.linalg.norm(np.asarray(x, float), axis=-1).reshape(count, n)
        squares = np.sort(norms, axis=1) ** 2
        dropped = squares[:, : n - kept_rows(n, kappa)].sum(1)
        errors.append(np.sqrt(dropped / squares.sum(1)))
    return np.concatenate(errors)


LAWS = [
    ("I", 1, 1.5, 0.1, 50),
    ("I", 1, 1.2, 0.02, 100),
    ("I", 2, 1.9, 0.1, 100),
    ("II", 3, 1.5, 0.1, 60),
    ("III", 3, 1.5, 0.1, 60),
    ("I", 1, 0.8, 0.1, 100),
    ("I", 1, 1.5, 0.5, 30),
    ("I", 1, 1.5, 0.05, 30_000),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dim", "alpha", "kappa", "n"), LAWS)
def test_law_by_simulation(kind, dim, alpha, kappa, n, key):
    """Kolmogorov–Smirnov at a false-alarm probability of 1e-7: 2 exp(-2 d²) for √R times it."""
    noise = ssd.stable_noise(kind, alpha, dim)
    replicas = 40_000 if n < 1000 else 2000
    errors = simulated(noise, kappa, n, replicas, key)
    grid = np.quantile(errors, np.linspace(0.01, 0.99, 99))
    below = np.searchsorted(np.sort(errors), grid, side="right") / replicas
    law = theory.compression_law(noise, kappa)
    distance = np.abs(law.cdf(grid, n) - below).max()
    assert distance < math.sqrt(math.log(2e7) / 2 / replicas)
    # Its own inverse, and the geometric mean to 5.5 standard errors and the terms left out.
    assert law.cdf(law.quantile(0.9, n), n) == pytest.approx(0.9, abs=1e-6)
    logs = np.log(errors)
    slack = 5.5 * logs.std() / math.sqrt(replicas) + 1 / (kappa * n)
    assert abs(math.log(law.geometric_mean(n)) - logs.mean()) < slack


@pytest.mark.parametrize("n", [200, 2000])
def test_the_limit_law_is_approached(n):
    law = theory.compression_law(ssd.OneFactorStable(1.5, 1), 0.1)
    eps = law.quantile([0.1, 0.5, 0.9], n)
    gap = np.abs(law.limit_cdf(eps, n) - law.cdf(eps, n)).max()
    assert gap < 3 / n**0.75
    # Widths beyond the exact computation, up to the astronomical.
    assert law.median(1e12) == pytest.approx(law.median(1e6) * 1e6 ** (0.5 - 1 / 1.5), rel=1e-6)


WIDTHS = [
    ("I", 1, 1.2, 0.1, 0.2, 0.2),
    ("I", 1, 1.2, 0.3, 0.3, 0.3),
    ("I", 1, 1.5, 0.3, 0.2, 0.1),
    ("III", 2, 1.4, 0.2, 0.3, 0.1),
    ("II", 2, 1.3, 0.05, 0.4, 0.05),
    ("I", 1, 0.8, 0.02, 0.1, 0.1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dim", "alpha", "kappa", "epsilon", "delta"), WIDTHS)
def test_required_width_is_the_width(kind, dim, alpha, kappa, epsilon, delta, key):
    """P(error ≤ ε) = 1 - δ at the width returned, by Clopper–Pearson at level 1 - 1e-7."""
    n = math.ceil(theory.required_width(alpha, kappa, epsilon, delta, kind=kind, dim=dim))
    replicas = int(np.clip(4e7 / n, 400, 20_000))
    errors = simulated(ssd.stable_noise(kind, alpha, dim), kappa, n, replicas, key)
    test = scipy.stats.binomtest(int(np.sum(errors <= epsilon)), replicas)
    interval = test.proportion_ci(1 - 1e-7, "exact")
    # ⌊κn⌋ rows are kept where the width counts κn: one less of a few.
    assert interval.low - 2 / n < 1 - delta < interval.high + 2 / n


def test_required_width_keeps_its_power_for_small_kappa():
    """v(κ) = second moment minus C α/(2-α) κ^{1-2/α} C^{-...}: n grows like κ^-1, smoothly."""
    kappas = np.array([1e-6, 1e-7, 1e-8, 1e-9])
    for kind in ("I", "II"):
        widths = [theory.required_width(1.5, k, 0.3, 0.1, kind=kind, dim=2) for k in kappas]
        # The truncated second moment grows like κ^{1-2/α}, and n like its power 1/(2/α-1).
        np.testing.assert_allclose(np.diff(np.log10(widths)), 1.0, atol=0.02)


def test_law_of_simulated_columns(key):
    """θ = θ₀ + cX with θ₀ ~ N(0, I): offset d, tail of cX."""
    noise = ssd.OneFactorStable(1.5, 2)
    theta = np.asarray(noise.sample(key, (2**18,)), float) * 0.5
    theta += np.random.default_rng(0).normal(size=theta.shape)
    law = theory.compression_law(noise, 0.1, columns=theta, sigma=0.5)
    # Spread of a mean of squares below the 99 % quantile (about 10): 5.5 standard errors.
    assert law.offset == pytest.approx(2, abs=0.3)
    errors = []
    for r in range(100):
        x = np.asarray(noise.sample(jax.random.fold_in(key, r), (20_000,)), float) * 0.5
        x = (x + np.random.default_rng(r + 1).normal(size=x.shape)).reshape(20, 1000, 2)
        squares = np.sort((x**2).sum(-1), axis=1)
        errors.append(np.sqrt(squares[:, :900].sum(1) / squares.sum(1)))
    errors = np.concatenate(errors)
    grid = np.quantile(errors, np.linspace(0.05, 0.95, 19))
    below = np.arange(1, 20) * 0.05
    # Kolmogorov–Smirnov at 1e-7, and 0.02 for the finite width and the sample.
    assert np.abs(law.cdf(grid, 1000) - below).max() < math.sqrt(math.log(2e7) / 4000) + 0.02


@pytest.mark.parametrize("alpha", [1.5, 1.9, 1.95])
def test_stable_columns_have_no_offset(alpha, key):
    """Given as a sample, the noise itself has offset 0, and the median that it has without one.

    The old offset, less the power law of the tail, was -0.12 to -0.17, and the true median had a
    probability of 0.39 (α = 1.9) and 0.27 (1.95). 5.5 standard errors of the truncated mean of
    squares are 0.03.
    """
    noise = ssd.OneFactorStable(alpha, 1)
    columns = np.asarray(noise.sample(key, (2**18,)), float)
    given = theory.compression_law(noise, 0.1, columns=columns)
    own = theory.compression_law(noise, 0.1)
    assert abs(given.offset) < 0.03
    assert given.cdf(own.median(1000), 1000) == pytest.approx(0.5, abs=0.05)
    assert given.geometric_mean(1000) == pytest.approx(own.geometric_mean(1000), rel=0.02)


def test_an_offset_is_part_of_the_mean(key):
    """exp E log error of θ₀ + X with an offset, against 4000 simulated systems."""
    noise, rng = ssd.OneFactorStable(1.6, 1), np.random.default_rng(3)
    columns = np.asarray(noise.sample(key, (2**20,)), float) + 2 * rng.normal(size=(2**20, 1))
    law = theory.compression_law(noise, 0.1, columns=columns)
    assert law.offset == pytest.approx(4, abs=0.3)
    squares = np.sort(columns[: 2000 * 500].reshape(2000, 500) ** 2, axis=1)
    errors = np.sqrt(squares[:, :450].sum(1) / squares.sum(1))
    # Standard error 0.3 %; terms of order 1/(κn) and the law's own are 2 %.
    assert law.geometric_mean(500) == pytest.approx(np.exp(np.log(errors).mean()), rel=0.03)


def test_lemma_b1_fails_below_its_threshold():
    """Γ(1-1/α) c^{1/α} > 8c + 1 for α < 1.1155 (both tails), 1.2145 (one tail)."""
    both, one = lemma_b1_threshold(), lemma_b1_threshold(constant="one tail")
    assert (both, one) == (pytest.approx(1.11546, abs=1e-4), pytest.approx(1.21449, abs=1e-4))
    for alpha in (1.02, 1.05, both - 0.005):
        assert not theory.lemma_b1(alpha, 1e7).holds
        assert lemma_b1_smallest_n(alpha) < 1e6
    for alpha in (both + 0.005, 1.5, 1.95):
        assert theory.lemma_b1(alpha, 1e7).holds
    record = theory.lemma_b1(1.5, 1e7)
    assert record.exact == pytest.approx(record.limit, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.9])
def test_the_quadrature_of_the_maximum(alpha, key):
    """Maxima of 100 numbers: their law F^100 by KS at 1e-7, so the quadrature's integrand."""
    n, replicas = 100, 50_000
    z = jax.random.split(key, 10)
    maxima = np.concatenate(
        [np.abs(ssd.stable.sample(k, alpha, shape=(replicas // 10, n))).max(1) for k in z]
    ).astype(float)
    grid = np.quantile(maxima, np.linspace(0.01, 0.99, 99))
    with jax.enable_x64(True):
        law = np.exp(n * np.log1p(-2 * np.asarray(ssd.stable.sf(grid, alpha))))
    below = np.searchsorted(np.sort(maxima), grid, side="right") / replicas
    assert np.abs(law - below).max() < math.sqrt(math.log(2e7) / 2 / replicas)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda law: law.cdf(0.0, 100), "epsilon must be positive"),
        (lambda law: law.cdf(0.1, 1), "n must be at least 2"),
        (lambda law: law.quantile(1.0, 100), "q must lie"),
        (lambda law: theory.compression_law(ssd.OneFactorStable(2.0, 1), 0.1), "below 2"),
        (lambda law: theory.compression_law(ssd.OneFactorStable(1.5, 1), 1.0), "kappa"),
        (
            lambda law: theory.compression_law(
                ssd.OneFactorStable(1.5, 2), 0.1, columns=np.zeros((5000, 3))
            ),
            "columns must have shape",
        ),
        (lambda law: theory.lemma_b1(1.0, 10), "alpha must lie"),
        (lambda law: theory.lemma_b1(1.5, 0.5), "n must be between 1"),
        (lambda law: theory.lemma_b1(1.5, 10, constant="both"), "constant must be"),
        (lambda law: compression_exponent(1.5, p=0.0), "p must be"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(theory.compression_law(ssd.OneFactorStable(1.5, 1), 0.1))
