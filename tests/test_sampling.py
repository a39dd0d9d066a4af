"""The scalar sampler: its law, its tail in float32, its special cases and gradients.

Statistical tests compare with exact values at 5.5 standard errors or more: false-alarm
probability below 1e-7 for each number compared, below 1e-6 for each test.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.extend.random import threefry2x32_p

import stablesde as ssd
from stablesde.noise._base import scalar_tail_constant
from stablesde.stable import _bits, _elementary

ALPHAS = [0.5, 0.9, 1.0, 1.001, 1.2, 1.5, 1.9, 1.999, 2.0]
SIGMAS = 5.5


def test_threefry_is_jaxs():
    k0, k1 = jnp.uint32(3), jnp.uint32(0xDEADBEEF)
    x = jnp.arange(100, dtype=jnp.uint32)
    ours = _bits.threefry2x32((k0, k1), (x, x + 7))
    theirs = threefry2x32_p.bind(jnp.full(100, k0), jnp.full(100, k1), x, x + 7)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_characteristic_function(alpha, key, dtype):
    n = 400_000
    z = np.asarray(ssd.stable.sample(key, alpha, shape=(n,)), float)
    assert np.isfinite(z).all()
    for u in (0.1, 0.5, 1.0, 3.0):
        # |cos| ≤ 1, so the standard error is at most 1/√n whatever the tail.
        assert abs(np.cos(u * z).mean() - np.exp(-(u**alpha))) < SIGMAS / np.sqrt(n)
        assert abs(np.sin(u * z).mean()) < SIGMAS / np.sqrt(n)


@pytest.mark.parametrize(
    ("alpha", "law"), [(1.0, scipy.stats.cauchy()), (2.0, scipy.stats.norm(scale=2**0.5))]
)
def test_special_cases_are_exact(alpha, law, key, dtype):
    z = np.asarray(ssd.stable.sample(key, alpha, shape=(200_000,)), float)
    assert scipy.stats.kstest(z, law.cdf).pvalue > 1e-7
    traced = jax.jit(lambda a: ssd.stable.sample(key, a, shape=(1000,)))(alpha)
    # The general formula at the special index; powers in log space cost a few units in the last
    # place in the far tail.
    np.testing.assert_allclose(traced, z[:1000], rtol=200 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("alpha", [1.2, 1.9])
@pytest.mark.slow
def test_float32_tail_far_beyond_the_uniform_grid(alpha):
    """Exceedances of the true 1e-7 quantile among 2e8 draws: Poisson with mean 20.

    A sampler on the 2^-24 grid of a float32 uniform finds none or far too few. A count outside
    [3, 48] has probability below 1e-6.
    """
    # Exact to first order; the next term is below 2e-4 of it here.
    threshold = (scalar_tail_constant(alpha) / 1e-7) ** (1 / alpha)

    @jax.jit
    def count(key):
        z = ssd.stable.sample(key, alpha, shape=(10_000_000,), dtype=jnp.float32)
        return jnp.sum(jnp.abs(z) > threshold), jnp.sum(~jnp.isfinite(z)), jnp.max(jnp.abs(z))

    counts, bad, largest = zip(*[count(jax.random.key(i)) for i in range(20)], strict=True)
    assert sum(map(int, bad)) == 0
    assert 3 <= sum(map(int, counts)) <= 48
    # The largest of N: P(max < (c N / 30)^(1/α)) = exp(-30).
    assert max(map(float, largest)) > (scalar_tail_constant(alpha) * 2e8 / 30) ** (1 / alpha)


def test_words_at_their_ends_give_finite_numbers(dtype):
    """All corners of the two random words, where the usual formula returns inf or NaN."""
    ends = np.array([0, 1, 2, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    a, b = (jnp.asarray(w.ravel()) for w in np.meshgrid(ends, ends))
    for alpha in (*ALPHAS, 0.1):
        z = ssd.stable._sampling.symmetric_from_words((a, b), jnp.asarray(alpha), dtype)
        assert np.isfinite(z).all()
        assert not np.any(np.asarray(z) == 0)


def test_precisions_share_the_noise(key):
    with jax.enable_x64(True):
        single = ssd.stable.sample(key, 1.5, shape=(100_000,), dtype=jnp.float32)
        double = ssd.stable.sample(key, 1.5, shape=(100_000,), dtype=jnp.float64)
        np.testing.assert_allclose(single, double, rtol=5e-6)


@pytest.mark.as_compiled
def test_prefix_property(key):
    small = ssd.stable.sample(key, 1.5, shape=(1000,))
    np.testing.assert_array_equal(small, ssd.stable.sample(key, 1.5, shape=(12_345,))[:1000])


def test_gradient_in_alpha_is_pathwise(key):
    with jax.enable_x64(True):
        for alpha in (0.7, 1.0, 1.3, 1.9):
            f = lambda a: ssd.stable.sample(key, a, shape=(50,))  # noqa: E731
            slope = jax.jacfwd(f)(alpha)
            h = 1e-6
            difference = (f(jnp.asarray(alpha + h)) - f(jnp.asarray(alpha - h))) / (2 * h)
            np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-7)


def test_elementary_functions():
    x = jnp.asarray(np.concatenate([10.0 ** np.linspace(-30, 30, 20001), [1.0]]), jnp.float32)
    np.testing.assert_allclose(_elementary.log(x), np.log(np.asarray(x, float)), rtol=3e-7)
    t = jnp.linspace(1e-6, 1, 10001, dtype=jnp.float32)
    exact = np.sin(np.pi / 2 * np.asarray(t, float))
    np.testing.assert_allclose(_elementary.sin_quarter(t), exact, rtol=3e-7)


@pytest.mark.parametrize("alpha", [0.0, -1.0, 2.5, float("nan"), float("inf")])
def test_bad_alpha(alpha, key):
    with pytest.raises(ValueError, match="alpha must lie in"):
        ssd.stable.sample(key, alpha)


def exact_cf(u, alpha, beta, parametrization):
    """E exp(iuX) from the definitions, Nolan (2020) 1.2 and 1.3."""
    size, sign = abs(u), np.sign(u)
    if alpha == 1:
        return np.exp(-size * (1 + 1j * beta * (2 / np.pi) * sign * np.log(size)))
    skew = beta * np.tan(np.pi * alpha / 2) * sign
    if parametrization == "S1":
        return np.exp(-(size**alpha) * (1 - 1j * skew))
    return np.exp(-(size**alpha) + 1j * skew * (size**alpha - size))


@pytest.mark.parametrize("parametrization", ["S0", "S1"])
@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9, 1.0, 1.0001, 1.2, 1.5, 1.99, 2.0])
def test_skewed_characteristic_function(alpha, parametrization, key, dtype):
    """|exp(iuX)| = 1: each part has a standard error of at most 1/√N."""
    n = 200_000
    for beta in (-1.0, -0.5, 0.5, 1.0):
        draw = ssd.stable.sample(key, alpha, beta, (n,), parametrization=parametrization)
        z = np.asarray(draw, float)
        assert np.isfinite(z).all()
        for u in (-1.3, 0.3, 1.0, 2.5):
            if parametrization == "S1" and 0 < abs(alpha - 1) < 1e-2:
                continue  # S1 runs to infinity there; S0 is the one to use
            gap = np.exp(1j * u * z).mean() - exact_cf(u, alpha, beta, parametrization)
            assert max(abs(gap.real), abs(gap.imag)) < SIGMAS / np.sqrt(n)


def test_s0_is_continuous_through_one(key):
    with jax.enable_x64(True):
        at_one = ssd.stable.sample(key, 1.0, 0.7, (10_000,), parametrization="S0")
        for alpha in (1 - 1e-9, 1 + 1e-9):
            near = ssd.stable.sample(key, alpha, 0.7, (10_000,), parametrization="S0")
            np.testing.assert_allclose(near, at_one, rtol=1e-5, atol=1e-6)


def test_location_and_scale(key):
    z = ssd.stable.sample(key, 1.4, 0.5, (100,))
    moved = ssd.stable.sample(key, 1.4, 0.5, (100,), loc=2.0, scale=3.0)
    np.testing.assert_allclose(moved, 2 + 3 * z, rtol=1e-5, atol=1e-5)
    cauchy = ssd.stable.sample(key, 1.0, 0.5, (100,))
    scaled = ssd.stable.sample(key, 1.0, 0.5, (100,), scale=3.0)
    shift = 2 / np.pi * 0.5 * 3 * np.log(3.0)
    np.testing.assert_allclose(scaled, 3 * cauchy + shift, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parametrization", ["S0", "S1"])
@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.6])
def test_samples_and_characteristic_function_share_conventions(alpha, parametrization, key):
    n, u = 200_000, np.array([-1.5, 0.2, 0.9])
    law = dict(loc=0.4, scale=2.5, parametrization=parametrization)
    z = np.asarray(ssd.stable.sample(key, alpha, 0.8, (n,), **law), float)
    exact = np.asarray(ssd.stable.characteristic_function(u, alpha, 0.8, **law))
    gap = np.exp(1j * u[:, None] * z).mean(1) - exact
    assert np.all(np.maximum(abs(gap.real), abs(gap.imag)) < SIGMAS / np.sqrt(n))


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.5])
@pytest.mark.parametrize("beta", [-1.0, 0.5])
def test_skewed_samples_against_scipy(alpha, beta, key):
    """Fractions below a few points against scipy's cdf: 5.5 standard errors, and its 1e-4."""
    z = np.asarray(ssd.stable.sample(key, alpha, beta, (100_000,)), float)
    x = np.array([-2.0, -0.5, 0.3, 1.0, 3.0])
    cdf = scipy.stats.levy_stable.cdf(x, alpha, beta)
    below = (z[:, None] <= x).mean(0)
    assert np.all(abs(below - cdf) < 5.5 * np.sqrt(cdf * (1 - cdf) / 1e5) + 1e-4)


def test_parameters_broadcast_and_trace(key):
    alphas, betas = jnp.array([0.8, 1.0, 1.7]), jnp.array([[0.0], [0.5]])
    grid = jax.jit(lambda a, b: ssd.stable.sample(key, a, b, (2, 3)))(alphas, betas)
    np.testing.assert_allclose(grid, ssd.stable.sample(key, alphas, betas, (2, 3)), rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.0 + 1e-7, 1.6])
def test_gradients_of_skewed_samples(alpha, key):
    with jax.enable_x64(True):

        def f(p):
            return ssd.stable.sample(
                key, p[0], p[1], (200,), loc=p[2], scale=p[3], parametrization="S0"
            )

        point, h = jnp.array([alpha, 0.4, 0.1, 1.3]), 1e-6
        slopes = jax.jacfwd(f)(point)
        for i in range(4):
            step = jnp.zeros(4).at[i].set(h)
            difference = (f(point + step) - f(point - step)) / (2 * h)
            np.testing.assert_allclose(slopes[:, i], difference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9, 0.99, 1.0])
def test_positive_stable(alpha, key, dtype):
    """E exp(-sA) = exp(-s^α); exp(-sA) lies in [0, 1], so its standard error is at most 1/(2√N)."""
    n = 400_000
    a = np.asarray(ssd.stable.sample_positive(key, alpha, (n,)), float)
    assert np.isfinite(a).all()
    assert (a > 0).all()
    for s in (0.1, 1.0, 10.0):
        assert abs(np.exp(-s * a).mean() - np.exp(-(s**alpha))) < SIGMAS / 2 / np.sqrt(n)
    if alpha == 0.5:
        assert scipy.stats.kstest(a, scipy.stats.levy(scale=0.5).cdf).pvalue > 1e-7


def test_traced_parameters_out_of_range_give_nan(key):
    def draw(a, b, loc, scale):
        law = dict(loc=loc, scale=scale)
        skewed = ssd.stable.sample(key, a, b, (3,), **law)
        return skewed, ssd.stable.sample(key, a, shape=(3,), **law)

    good = (1.5, 0.5, 0.0, 1.0)
    assert np.isfinite(jax.jit(draw)(*good)).all()
    for position, bad in [(0, 2.5), (0, 0.0), (0, np.nan), (2, np.inf), (3, -1.0), (3, np.inf)]:
        arguments = (*good[:position], bad, *good[position + 1 :])
        assert np.isnan(jax.jit(draw)(*arguments)).all()
    assert np.isnan(jax.jit(draw)(1.5, -1.5, 0.0, 1.0)[0]).all()
    positive = jax.jit(lambda a: ssd.stable.sample_positive(key, a, (3,)))
    assert np.isnan(positive(1.5)).all()


@pytest.mark.as_compiled
@pytest.mark.parametrize("alpha", [0.05, 0.3, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_scale_and_location_do_not_overflow(alpha, beta, key, dtype):
    """Every draw passes the largest number here, or nearly so: it is put back, sign and all."""
    largest = float(jnp.finfo(dtype).max)
    huge = dict(scale=0.9 * largest, loc=0.9 * largest)
    draw = ssd.stable.sample(key, alpha, beta, (20_000,), parametrization="S0", **huge)
    assert np.isfinite(draw).all()
    assert np.max(draw) == jnp.finfo(dtype).max
    centred = ssd.stable.sample(key, alpha, beta, (20_000,), parametrization="S0", scale=largest)
    assert np.isfinite(centred).all()
    unit = ssd.stable.sample(key, alpha, beta, (20_000,), parametrization="S0")
    np.testing.assert_array_equal(np.sign(centred), np.sign(unit))
    one = np.abs(unit) > 1.01
    np.testing.assert_array_equal(np.abs(centred[one]), jnp.finfo(dtype).max)


def test_the_shape_holds_every_parameter(key):
    alphas = jnp.array([0.8, 1.0, 1.7])
    for name, call in [
        ("alpha", lambda **k: ssd.stable.sample(key, alphas, **k)),
        ("beta", lambda **k: ssd.stable.sample(key, 1.5, np.zeros(3), **k)),
        ("loc", lambda **k: ssd.stable.sample(key, 1.5, loc=np.zeros(3), **k)),
        ("scale", lambda **k: ssd.stable.sample(key, 1.5, scale=[1.0, 2.0, 3.0], **k)),
        ("scale", lambda **k: ssd.stable.sample_positive(key, 0.5, scale=np.ones(3), **k)),
    ]:
        for shape in ((), (2,), (3, 2), (3, 1)):
            with pytest.raises(ValueError, match=rf"{name} has shape \(3,\).*such as shape"):
                call(shape=shape)
        assert call(shape=(2, 3)).shape == (2, 3)
        with pytest.raises(ValueError, match=f"{name} has shape"):
            jax.jit(call, static_argnames="shape")(shape=(2,))


def test_shapes(key):
    expected = ssd.stable.sample(key, 1.5, shape=(5,))
    for shape in (5, np.int64(5), [5], np.array([5])):
        np.testing.assert_array_equal(ssd.stable.sample(key, 1.5, shape=shape), expected)
    assert ssd.stable.sample_positive(key, 0.5, 4).shape == (4,)
    assert ssd.IsotropicStable(1.5, 2).sample(key, 4).shape == (4, 2)
    assert ssd.stable.sample(key, 1.5, shape=(0, 3)).shape == (0, 3)
    for bad in (2.5, (2, 2.5), (-1,), -1, "ab", None):
        for call in (
            lambda bad=bad: ssd.stable.sample(key, 1.5, shape=bad),
            lambda bad=bad: ssd.stable.sample_positive(key, 0.5, bad),
            lambda bad=bad: ssd.IsotropicStable(1.5, 2).sample(key, bad),
        ):
            with pytest.raises(ValueError, match="shape must be a tuple of integers"):
                call()


def test_bad_arguments(key):
    with pytest.raises(ValueError, match="beta"):
        ssd.stable.sample(key, 1.5, 1.5)
    with pytest.raises(ValueError, match="scale"):
        ssd.stable.sample(key, 1.5, scale=-1.0)
    with pytest.raises(ValueError, match="loc"):
        ssd.stable.sample(key, 1.5, loc=float("nan"))
    with pytest.raises(ValueError, match="parametrization"):
        ssd.stable.sample(key, 1.5, parametrization="S2")
    with pytest.raises(ValueError, match=r"alpha must lie in \(0, 1\]"):
        ssd.stable.sample_positive(key, 1.5)
    with pytest.raises(ValueError, match="dtype"):
        ssd.stable.sample(key, 1.5, dtype=jnp.int32)
    with pytest.raises(ValueError, match="several calls"):
        ssd.stable.sample(key, 1.5, shape=(2**16, 2**16))


def test_a_raw_key_of_another_implementation(key):
    raw = jax.random.key_data(jax.random.key(0, impl="threefry2x32"))
    with (
        jax.default_prng_impl("rbg"),
        pytest.raises(ValueError, match=r"jax_default_prng_impl='rbg'.*wrap_key_data"),
    ):
        ssd.stable.sample(raw, 1.5)
