"""Constants and characteristic function of stable laws, against closed forms and mpmath."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from stablesde.stable import absolute_moment, characteristic_function, tail_constant
from stablesde.stable._density import pdf, sf
from stablesde.stable._maximum import expected_maximum

ALPHAS = (0.1, 0.5, 0.9, 1.0, 1.2, 1.5, 1.9, 1.99, 1.999999, 2.0)


def integral(function, low, high, panels=400):
    """Composite Gauss-Legendre; `function` takes an array."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(low, high, panels + 1)
    centre, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    values = np.asarray(function(centre[:, None] + half[:, None] * nodes))
    return float(np.sum(values * weights * half[:, None]))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def test_tail_constant(dtype):
    eps = float(jnp.finfo(dtype).eps)
    for alpha in ALPHAS:
        held = mp.mpf(float(jnp.asarray(alpha, dtype)))
        with mp.workdps(40):
            exact = 2 * mp.gamma(held) * mp.sin(mp.pi * held / 2) / mp.pi
        value = tail_constant(jnp.asarray(alpha, dtype))
        assert value.dtype == dtype
        assert abs(float(value) - float(exact)) <= 20 * eps * abs(float(exact)) + 1e-30
    assert float(tail_constant(2.0)) == 0.0
    # P(|Z| > t) t^α approaches it
    with jax.enable_x64(True):
        for alpha in (0.6, 1.0, 1.5, 1.9):
            t = 1e7 ** (1 / alpha) * 10
            ratio = 2 * float(sf(t, alpha)) * t**alpha / float(tail_constant(alpha))
            assert abs(ratio - 1) < 1e-5
    slope = jax.grad(tail_constant)(2.0)  # Γ(2) d/dα sin(πα/2) · 2/π
    assert abs(float(slope) + 1) < 1e-6


def test_absolute_moment(x64):
    for p in (-0.9, -0.5, 0.3, 0.9):
        cauchy = 1 / math.cos(math.pi * p / 2)
        np.testing.assert_allclose(absolute_moment(1.0, p), cauchy, rtol=1e-12)
    for p in (-0.5, 0.5, 1.0, 2.0, 4.0, 7.0):
        gauss = 2**p * math.gamma((1 + p) / 2) / math.sqrt(math.pi)
        np.testing.assert_allclose(absolute_moment(2.0, p), gauss, rtol=1e-12)
    for alpha, p in ((0.7, 0.4), (1.5, 1.2), (1.9, 0.5), (1.99, -0.5)):
        # ∫ |x|^p f(x) dx in log x; both ends are negligible at these limits
        value = integral(
            lambda y, a=alpha, p=p: 2 * np.exp((1 + p) * y) * np.asarray(pdf(np.exp(y), a)),
            -60,
            24 / (alpha - p),
        )
        np.testing.assert_allclose(absolute_moment(alpha, p), value, rtol=1e-8)
    np.testing.assert_array_equal(absolute_moment(1.5, np.array([1.5, 2.0, -1.0])), np.inf)
    assert jnp.all(
        jnp.isfinite(jax.vmap(jax.grad(absolute_moment), (0, None))(jnp.r_[1.5, 2.0], 1.0))
    )


def test_characteristic_function_of_known_laws(x64):
    u = np.array([-3.0, -0.4, 0.0, 1e-3, 1.0, 2.5])
    np.testing.assert_allclose(characteristic_function(u, 2), np.exp(-(u**2)), rtol=1e-14)
    np.testing.assert_allclose(characteristic_function(u, 1), np.exp(-np.abs(u)), rtol=1e-14)
    # Lévy: S(1/2, 1), E exp(iuX) = exp(-sqrt(-2iu)) for the density of scipy.stats.levy
    levy = np.exp(-np.sqrt(-2j * u))
    np.testing.assert_allclose(characteristic_function(u, 0.5, 1.0), levy, rtol=1e-14)
    # Landau, S1 at α = 1, β = 1: the law with E exp(-sX) = exp(2/π s log s), continued to s = -iu
    s = -1j * u[u != 0]
    landau = np.exp(2 / np.pi * s * np.log(s))
    np.testing.assert_allclose(characteristic_function(u[u != 0], 1.0, 1.0), landau, rtol=1e-13)
    shifted = characteristic_function(u, 1.5, 0.3, loc=2.0, scale=3.0)
    expected = np.exp(2j * u) * characteristic_function(3 * u, 1.5, 0.3)
    np.testing.assert_allclose(shifted, expected, rtol=1e-13)


@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.5), (1.0, -0.5), (1.3, 0.8), (1.9, 1.0)])
def test_characteristic_function_inverts_to_scipys_density(alpha, beta, x64):
    """Trapezoidal inversion: exact up to aliasing beyond 2π/h and truncation."""
    h, count = 2e-3, 60_000 if alpha < 1 else 20_000
    u = h * np.arange(count)
    weight = np.full(count, h)
    weight[0] /= 2
    phi = np.asarray(characteristic_function(u, alpha, beta))
    for x in (-0.7, 0.4, 1.5):
        density = np.sum(weight * (np.exp(-1j * u * x) * phi).real) / np.pi
        assert abs(density - stats.levy_stable.pdf(x, alpha, beta)) < 1e-4


def test_parametrizations(x64):
    u = np.array([-2.0, -0.3, 1e-8, 0.5, 4.0])
    for alpha in (0.4, 0.9, 1.2, 1.7, 2.0):
        shift = -0.6 * math.tan(math.pi * alpha / 2)  # S0 is S1 moved by -β tan(πα/2)
        s0 = characteristic_function(u, alpha, 0.6, parametrization="S0")
        s1 = characteristic_function(u, alpha, 0.6, loc=shift)
        np.testing.assert_allclose(s0, s1, rtol=1e-12)
    at_one = characteristic_function(u, 1.0, 0.6, parametrization="S0")
    np.testing.assert_allclose(at_one, characteristic_function(u, 1.0, 0.6), rtol=1e-14)
    for d in (1e-12, -1e-12, 1e-6):
        near = characteristic_function(u, 1 + d, 0.6, parametrization="S0")
        np.testing.assert_allclose(near, at_one, atol=20 * abs(d) + 1e-15)


@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.9, 1.99, 2.0])
def test_expected_maximum(alpha, x64):
    np.testing.assert_allclose(expected_maximum(alpha, 1), absolute_moment(alpha, 1.0), rtol=1e-9)
    # in y = log x, by brute force
    upper = min(600.0, 25 / (alpha - 1) + 8) if alpha < 2 else 4.0
    value = integral(
        lambda y: -np.exp(y) * np.expm1(50 * np.log1p(-2 * np.asarray(sf(np.exp(y), alpha)))),
        -25,
        upper,
        3000,
    )
    np.testing.assert_allclose(expected_maximum(alpha, 50), value, rtol=1e-7)


def test_expected_maximum_limits(x64):
    for alpha in (1.2, 1.5):
        limit = math.gamma(1 - 1 / alpha) * (float(tail_constant(alpha)) * 1e6) ** (1 / alpha)
        np.testing.assert_allclose(
            expected_maximum(alpha, 1e6, method="frechet"), limit, rtol=1e-10
        )
        np.testing.assert_allclose(expected_maximum(alpha, 1e6), limit, rtol=1e-5)
    # E max of two |N(0, 2)| = 4 / sqrt(π) · ... : ∫ (1 - erf(x/2)²) dx = 2 sqrt(2/π)
    np.testing.assert_allclose(expected_maximum(2.0, 2), 2 * math.sqrt(2 / math.pi), rtol=1e-10)
    np.testing.assert_array_equal(expected_maximum(np.array([0.5, 1.0]), 10.0), np.inf)
    h = 1e-4
    slope = (expected_maximum(1.6 + h, 100) - expected_maximum(1.6 - h, 100)) / (2 * h)
    np.testing.assert_allclose(jax.grad(expected_maximum)(1.6, 100.0), slope, rtol=1e-5)


def test_expected_maximum_in_float32():
    for alpha in (1.05, 1.5, 1.99, 2.0):
        with jax.enable_x64(True):
            exact = np.asarray(expected_maximum(alpha, np.array([1.0, 30.0, 1e5])))
        value = expected_maximum(alpha, np.array([1.0, 30.0, 1e5], np.float32))
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, exact, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "largest", "rtol"), [("float32", 1e28, 1e-4), ("float64", 1e231, 1e-8)]
)
def test_expected_maximum_of_the_largest_n(dtype, largest, rtol):
    alpha = [1.001, 1.1, 1.5, 1.9, 1.99]
    with jax.enable_x64(True):
        limit = expected_maximum(alpha, largest, method="frechet")
    with jax.enable_x64(dtype == "float64"):
        np.testing.assert_allclose(expected_maximum(alpha, largest), limit, rtol=rtol)
        with pytest.raises(ValueError, match=f"n must be between 1 and .* in {dtype}"):
            expected_maximum(alpha, 30 * largest)
        assert np.isnan(jax.jit(expected_maximum)(1.5, 30 * largest))


def test_bad_arguments():
    for function in (tail_constant, lambda a: absolute_moment(a, 0.1)):
        with pytest.raises(ValueError, match="alpha must lie in"):
            function(2.5)
        assert jnp.isnan(jax.jit(function)(2.5))
    with pytest.raises(ValueError, match="beta must lie in"):
        characteristic_function(1.0, 1.5, 1.5)
    with pytest.raises(ValueError, match="parametrization"):
        characteristic_function(1.0, 1.5, parametrization="S2")
    with pytest.raises(ValueError, match="n must be between 1"):
        expected_maximum(1.5, 0)
    with pytest.raises(ValueError, match="method must be"):
        expected_maximum(1.5, 3, method="asymptotic")
