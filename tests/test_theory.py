"""Bounds and exponents: against Monte Carlo, closed forms and each other."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import stablesde as ssd
from stablesde import theory
from stablesde.noise._base import scalar_tail_constant
from stablesde.theory._compression import compression_exponent
from stablesde.theory._maximum import maximum_moment
from stablesde.theory._positive import positive_stable_quantile


@pytest.mark.parametrize("alpha", [1.05, 1.2, 1.5, 1.8, 2.0])
def test_maximum_of_one_is_the_first_moment(alpha):
    """E|Z| = (2/π) Γ(1 - 1/α)."""
    exact = 2 / math.pi * math.gamma(1 - 1 / alpha)
    assert maximum_moment(alpha, 1) == pytest.approx(exact, rel=1e-4)
    # Type II in one dimension takes the same road; in two, the norm is between max and sum.
    plane = maximum_moment(ssd.IndependentStable(alpha, 2), 1)
    assert exact < plane < 2 * exact


@pytest.mark.parametrize("alpha", [1.05, 1.2, 1.5])
def test_maximum_approaches_the_frechet_limit(alpha):
    n = 10**7
    limit = math.gamma(1 - 1 / alpha) * (scalar_tail_constant(alpha) * n) ** (1 / alpha)
    assert maximum_moment(alpha, n) == pytest.approx(limit, rel=1e-3)


def test_lemma_b1_is_too_small_near_one():
    """The paper's Lemma B.1, E max ≤ (8 C_α + 1) n^{1/α} with C_α = c_α: refuted at α = 1.05."""
    alpha, n = 1.05, 10**6
    lemma = (8 * scalar_tail_constant(alpha) + 1) * n ** (1 / alpha)
    assert maximum_moment(alpha, n) > 1.9 * lemma


@pytest.mark.parametrize("alpha", [1.05, 1.2, 1.5, 1.9])
def test_the_bound_in_place_of_lemma_b1(alpha):
    """E max ≤ α/(α-1) (C* n)^{1/α}, C* = sup t^α P(|Z| > t): right at every n, and of its order."""
    t = np.geomspace(1e-2, 1e8, 2000)
    largest = float(np.max(t**alpha * 2 * np.asarray(ssd.stable.sf(t, alpha))))
    for n in (1, 10, 1000, 10**6):
        bound = alpha / (alpha - 1) * (largest * n) ** (1 / alpha)
        assert 1 <= bound / maximum_moment(alpha, n) < 4


def test_lemma_a1_has_the_wrong_constant():
    """h = 30 tanh(θx), logistic loss: the drift's Lipschitz constant in μ is 225, and B is 133.

    A mass moved by δ moves m by up to 30 δ, and b = -h'(θ) ∂₁ℓ(m, y) by 30 · 30 δ / 4.
    """
    bounds = (30.0, 30.0, 30 * 4 / (3 * math.sqrt(3)))
    model = ssd.NetworkModel(
        lambda theta, x: 30 * jnp.tanh(theta * x),
        "logistic",
        np.ones((1, 1)),
        np.array([1]),
        dim=1,
        bounds=bounds,
    )
    constants = model.assumption_constants()
    assert pytest.approx(133, abs=0.5) == constants.B
    delta, zero = 1e-2, jnp.zeros(1)
    moved = model.statistic(zero + delta) - model.statistic(zero)
    change = model.drift(zero, moved) - model.drift(zero, 0 * moved)
    assert 220 < abs(float(change[0])) / delta < 225.5
    assert constants.lipschitz_mean == pytest.approx(225)


def test_the_printed_constant_of_theorem_41_is_violated():
    """ℓ(f) = 1 + cos f, h = M tanh θ, one point as the start, no noise: B = Ψ √(1 + Φ²), Φ = 2."""
    scale, t1, steps = 1e3, 1e-5, 400

    def euler(steps):
        theta, path = 1e-7, []
        for _ in range(steps):
            theta += t1 / steps * scale / math.cosh(theta) ** 2 * math.sin(scale * math.tanh(theta))
            path.append(theta)
        return np.array(path)

    error = np.max(np.abs(euler(steps) - euler(256 * steps)[255::256]))
    b = scale * (2 + 4 / (3 * math.sqrt(3))) * math.sqrt(5)
    printed = t1 * math.exp(2 * b * t1) * b**2 * t1 / steps
    assert printed == pytest.approx(1.09e-5, rel=0.01)
    assert error > 8 * printed


def test_maximum_moment_of_vectors(key):
    """Against the mean of simulated maxima; medians of means, since the variance is infinite."""
    noise = ssd.IsotropicStable(1.8, 3)
    norms = np.linalg.norm(np.asarray(noise.sample(key, (4000, 100)), float), axis=-1).max(1)
    # Standard error of a trimmed comparison is about 1 %; the excess over a cut is integrated by
    # the tail, 100 C t^-α α/(α-1) for what lies above t.
    cut = 200.0
    clipped = np.minimum(norms, cut).mean()
    tail = 100 * noise.norm_tail_constant() * cut ** (1 - 1.8) / 0.8
    assert maximum_moment(noise, 100) == pytest.approx(clipped + tail, rel=0.06)
    assert maximum_moment(ssd.OneFactorStable(1.0, 2), 10) == math.inf


@pytest.mark.parametrize("n", [1, 1000])
@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_maximum_moment_on_the_line_has_the_scale_of_the_noise(alpha, n):
    """X = s Z: Σ = s² (elliptical), s^α = Σ w_k |s_k|^α (spectral)."""
    unit = maximum_moment(alpha, n)
    elliptical = ssd.EllipticalStable(alpha, [[9.0]])
    assert maximum_moment(elliptical, n) == pytest.approx(3 * unit, rel=1e-5)
    spectral = ssd.SpectralStable(alpha, [[2.0], [-1.0]], [0.5, 3.0])
    scale = (0.5 * 2**alpha + 3) ** (1 / alpha)
    assert maximum_moment(spectral, n) == pytest.approx(scale * unit, rel=1e-5)
    for zero in (np.zeros((1, 1)), np.zeros((2, 2))):
        assert maximum_moment(ssd.EllipticalStable(alpha, zero), n) == 0


@pytest.mark.parametrize("alpha", [0.3, 0.75, 0.99, 0.9999])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.5, 0.99])
def test_positive_stable_quantile_inverts_the_distribution_function(alpha, p):
    x = positive_stable_quantile(p, alpha)
    with jax.enable_x64(True):
        assert float(ssd.stable.positive_cdf(x, alpha)) == pytest.approx(p, rel=1e-7)


@pytest.mark.parametrize("kind", ["I", pytest.param("III", marks=pytest.mark.slow)])
def test_required_width_at_its_ends(kind):
    """No compression at α → 2; all is kept, without error, at κ → 1, beyond the sample's grain."""
    for alpha in (1.99, 1.9999, 2 - 4e-16):
        assert theory.required_width(alpha, 0.1, 0.1, kind=kind, dim=2) == math.inf
    for kappa in (1 - 1e-7, 1 - 1e-15):
        assert theory.required_width(1.5, kappa, 0.1, kind=kind, dim=2) == 1
    assert 1 <= theory.required_width(0.01, 0.1, 0.1, kind=kind, dim=2) < 100


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_positive_stable_quantile_is_levys(p):
    """α = 1/2 is the Lévy law: P(A ≤ x) = erfc(1 / (2√x))."""
    x = positive_stable_quantile(p, 0.5)
    assert scipy.special.erfc(0.5 / math.sqrt(x)) == pytest.approx(p, rel=1e-7)


def test_required_width_by_simulation(key):
    """At the predicted width the error exceeds ε in about a fraction δ of the draws."""
    alpha, kappa, epsilon, delta = 1.2, 0.1, 0.2, 0.2
    n = round(theory.required_width(alpha, kappa, epsilon, delta))
    assert 100 < n < 20_000
    z = ssd.stable.sample(key, alpha, shape=(600, n, 1))
    errors = jax.vmap(ssd.compression_error, in_axes=(0, None))(z, kappa)
    exceed = float(np.mean(np.asarray(errors) > epsilon))
    # Binomial with standard error 0.016: 5.5 of them.
    assert abs(exceed - delta) < 0.09


def test_bounds_are_ordered_and_have_their_powers(network):
    constants = network.assumption_constants()
    noise = ssd.OneFactorStable(1.5, 2)
    coarse, fine = (
        theory.strong_error_bound(constants, noise, width=100, step_size=h, t1=1.0)
        for h in (1e-6, 1e-6 / 8)
    )
    assert 0 < fine.gronwall < fine.paper
    assert fine.least == min(fine.gronwall, fine.jump, fine.trivial)
    assert fine.trivial == 2 * constants.drift_bound
    # For small steps the noise term dominates: η^{2/3}, so a factor 4 for 8 times.
    assert coarse.paper / fine.paper == pytest.approx(4, rel=0.02)
    assert coarse.gronwall / fine.gronwall == pytest.approx(4, rel=0.02)
    wide, narrow = (theory.chaos_bound(constants, width=n, t1=1.0) for n in (400, 100))
    assert 0 < wide.gronwall < wide.paper
    assert narrow.paper / wide.paper == pytest.approx(2)
    assert narrow.gronwall / wide.gronwall == pytest.approx(2)


def test_no_bound_without_the_assumption(network):
    model = ssd.NetworkModel("relu", "logistic", np.asarray(network.x), np.arange(8) % 2)
    constants = model.assumption_constants()
    assert theory.chaos_bound(constants, width=10, t1=1.0).paper == math.inf
    noise = ssd.OneFactorStable(1.5, 2)
    bound = theory.strong_error_bound(constants, noise, width=10, step_size=0.1, t1=1.0)
    assert bound.gronwall == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.required_width(2.0, 0.1, 0.1), "below 2"),
        (lambda: theory.required_width(1.5, 0.0, 0.1), "kappa"),
        (lambda: theory.required_width(1.5, 0.1, 1.0), "epsilon"),
        (lambda: theory.required_width(2.5, 0.1, 0.1), "alpha"),
        (lambda: maximum_moment(1.5, 0), "at least 1"),
        (lambda: compression_exponent(0.0), "alpha"),
        (lambda: positive_stable_quantile(1.0, 0.5), "probability"),
        (lambda: positive_stable_quantile(0.5, 1.0), "alpha"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_proven_order_of_the_euler_scheme():
    assert ssd.theory.euler_order(1.5) == 1.0
    assert ssd.theory.euler_order(2.0, 0.5) == pytest.approx(0.75)
    assert ssd.theory.euler_order(1.25, 0.5) == pytest.approx(0.9)
    for alpha, holder in [(1.2, 0.4), (1.5, 0.0), (1.5, 1.1), (0.5, 1.0)]:
        with pytest.raises(ValueError, match=r"holder|alpha"):
            ssd.theory.euler_order(alpha, holder)
