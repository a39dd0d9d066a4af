"""The law for every β: against mpmath (reference_skewed.csv) and closed forms. Deterministic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_skewed as reference
from jax.scipy.special import gammaln
from scipy import stats
from scipy.special import gamma

from stablesde.stable import cdf, isf, logpdf, pdf, ppf, sf
from stablesde.stable._general import log_law, log_tails

ROWS = reference.load()
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}  # the bars; measured 2e-11 and 3e-5


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", ["S0", "S1"])
def test_against_mpmath(name, dtype):
    """Both tails and the density; the log-density where the density underflows."""
    alpha, beta, x, log_f, below, above = np.array([r[1:] for r in ROWS if r[0] == name]).T
    assert alpha.size >= 900
    law = [jnp.asarray(v, dtype) for v in (x, alpha, beta)]
    if dtype == jnp.float32:
        # the references are those of the doubles: keep what rounding of the arguments spares
        x, alpha, beta = (np.asarray(v, np.float64) for v in law)
        log_f, below, above = _double(name, x, alpha, beta)
    value = np.asarray(logpdf(*law, parametrization=name), np.float64)
    tolerance, limits = TOLERANCE[dtype.name], jnp.finfo(dtype)
    least = float(np.log(limits.tiny))
    outside = np.isneginf(log_f)
    assert np.all(value[outside] == -np.inf)
    held = ~outside & (-log_f < 0.9 * float(limits.max))
    error = np.abs(value[held] - log_f[held]) / np.where(log_f < least, -log_f, 1)[held]
    assert error.max() < tolerance * (1 if dtype == jnp.float64 else 2)
    for function, exact in ((cdf, below), (sf, above)):
        found = np.asarray(function(*law, parametrization=name), np.float64)
        normal = exact > 10 * float(limits.tiny)
        assert np.max(np.abs(found[normal] / exact[normal] - 1)) < tolerance
        assert np.all(found[~normal] <= 20 * float(limits.tiny))


def _double(name, x, alpha, beta):
    with jax.enable_x64(True):
        found = [function(x, alpha, beta, parametrization=name) for function in (logpdf, cdf, sf)]
    return [np.asarray(v) for v in found]


def test_table_is_reproducible():
    for row in (("S0", 0.9, 0.3, 2.0), ("S1", 1.5, 1.0, -3.5), ("S0", 1.0, 0.6, 1e6)):
        value = reference.skewed(row[3], row[1], row[2], row[0])
        kept = next(r for r in ROWS if r[:4] == row)
        np.testing.assert_allclose([float(v) for v in value], kept[4:], rtol=1e-14)


def test_closed_forms(dtype):
    eps = float(jnp.finfo(dtype).eps)
    x = jnp.asarray([1e-2, 0.3, 1.0, 2.5, 10.0, 1e4], dtype)
    x_ = np.asarray(x, np.float64)
    one = jnp.ones((), dtype)
    for side in (1, -1):
        tolerance = 200 * eps  # exp(log f), |log f| up to 50
        np.testing.assert_allclose(pdf(side * x, 0.5, side * one), stats.levy.pdf(x_), tolerance)
        lower, upper = (cdf, sf) if side > 0 else (sf, cdf)
        np.testing.assert_allclose(lower(side * x, 0.5, side * one), stats.levy.cdf(x_), tolerance)
        np.testing.assert_allclose(upper(side * x, 0.5, side * one), stats.levy.sf(x_), tolerance)
        assert np.all(np.asarray(pdf(-side * x, 0.5, side * one)) == 0)
        assert np.all(np.asarray(upper(-side * x, 0.5, side * one)) == 1)
    # a traced β goes through the general program
    traced = jax.jit(pdf)
    np.testing.assert_allclose(traced(x, 1.0, 0 * one), stats.cauchy.pdf(x_), 40 * eps)
    gauss = stats.norm.logpdf(x_, scale=2**0.5)
    np.testing.assert_allclose(logpdf(x, 2.0, 0.7 * one), gauss, 8 * eps)
    assert pdf(x, 1.5, one).dtype == dtype


def test_traced_zero_is_the_symmetric_law(x64):
    x = np.concatenate([-np.geomspace(1e-5, 1e6, 12), np.geomspace(1e-5, 1e6, 12)])[:, None]
    alpha = np.array([0.4, 0.9, 1 - 1e-7, 1.0, 1 + 1e-10, 1.3, 1.9, 2.0])
    zero = jnp.zeros(())
    keep = np.asarray(logpdf(x, alpha)) > -700
    for function in (pdf, cdf, sf):
        general, symmetric = np.asarray(function(x, alpha, zero)), np.asarray(function(x, alpha))
        np.testing.assert_allclose(general[keep], symmetric[keep], rtol=1e-10)


def test_continuous_at_one(x64):
    """In S0; a difference of 1e-9 in α changes nothing beyond its derivative."""
    x = np.array([-30.0, -2.0, 0.1, 5.0, 1e4])[:, None]
    beta = np.array([-1.0, -0.4, 1e-3, 0.5, 1.0])
    for function in (logpdf, cdf, sf):
        at = [np.asarray(function(x, a, beta, parametrization="S0")) for a in
              (1 - 1e-9, 1.0, 1 + 1e-9)]  # fmt: skip
        finite = at[1] > -1e3
        change = np.abs(at[2] - at[0])[finite]
        assert np.max(change / np.maximum(np.abs(at[1][finite]), 1e-9)) < 1e-6
        np.testing.assert_allclose((at[0] + at[2])[finite] / 2, at[1][finite], 1e-10, 1e-200)


def test_parametrizations_scale_and_mirror(x64):
    x, loc, scale = np.array([-2.0, 0.3, 4.0]), 0.7, 2.5
    for alpha in (0.6, 1.0, 1.7):
        for name in ("S0", "S1"):
            found = cdf(x, alpha, 0.4, loc=loc, scale=scale, parametrization=name)
            mirror = sf(-x, alpha, -0.4, loc=-loc, scale=scale, parametrization=name)
            np.testing.assert_allclose(found, mirror, rtol=1e-13)
        # S0 is S1 moved by a constant
        if alpha == 1:
            move = -2 / np.pi * 0.4 * scale * np.log(scale)
        else:
            move = -0.4 * scale * np.tan(np.pi * alpha / 2)
        moved = cdf(x, alpha, 0.4, loc=loc + move, scale=scale)
        expected = cdf(x, alpha, 0.4, loc=loc, scale=scale, parametrization="S0")
        np.testing.assert_allclose(moved, expected, rtol=1e-11)


@pytest.mark.parametrize("name", ["S0", "S1"])
def test_quantiles_invert(name, x64):
    alpha = np.array([0.3, 0.9, 1.0, 1.01, 1.5, 1.99])[:, None, None]
    beta = np.array([-1.0, -0.6, 0.3, 1.0])[:, None]
    x = np.concatenate([-np.geomspace(1e-3, 1e6, 7), np.geomspace(1e-3, 1e6, 7)])
    x, alpha, beta = np.broadcast_arrays(x, alpha, beta)
    law = (alpha, beta)
    lower, upper = (np.asarray(f(x, *law, parametrization=name)) for f in (cdf, sf))
    density = np.asarray(pdf(x, *law, parametrization=name))
    small = np.minimum(lower, upper)
    # 1e-8, and what the rounding of the probability leaves of x
    keep = (small > 1e-290) & (small * 1e-11 < 1e-9 * density * np.abs(x))
    assert keep.sum() > 150
    left = np.asarray(ppf(np.minimum(lower, 0.5), *law, parametrization=name))
    right = np.asarray(isf(np.minimum(upper, 0.5), *law, parametrization=name))
    found = np.where(lower < upper, left, right)
    np.testing.assert_allclose(found[keep], x[keep], rtol=1e-8)


@pytest.mark.parametrize("name", ["S0", "S1"])
def test_scalar_quantiles_invert(name, dtype):
    """Each level alone: what it is among others must not matter, nor be needed."""
    eps = float(np.finfo(dtype).eps)
    alpha = np.array([0.127, 0.5, 0.9, 1.0, 1.5], dtype)
    beta, q = np.array([-1, 0.5, 1], dtype), np.array([1e-6, 0.1, 0.9], dtype)
    grid = [v.ravel() for v in np.meshgrid(alpha, beta, q, indexing="ij")]
    alpha, beta, q = grid
    rows = zip(q, alpha, beta, strict=True)
    x = np.array([ppf(*row, parametrization=name) for row in rows])
    whole = np.asarray(ppf(q, alpha, beta, parametrization=name))
    np.testing.assert_allclose(x, whole, rtol=64 * eps, atol=0)
    ends = (np.nextafter(x, x.dtype.type(way)) for way in (-np.inf, np.inf))
    low, here, high = (
        np.asarray(cdf(v, alpha, beta, parametrization=name), np.float64)
        for v in (next(ends), x, next(ends))
    )
    # and what the rounding of x makes of it, next to the end of a support
    room = np.maximum(eps**0.6, 1e-9) * q + 8 * np.abs(high - low)
    edge = (alpha < 0.2) & (beta == 1) & (q < 0.01) & (name == "S0")
    assert np.all(edge | (np.abs(here - q) <= room))


def test_quantiles_next_to_the_end_of_a_support(x64):
    q = 10.0 ** -np.arange(8, 14)
    x = np.array([isf(v, 0.127, -1.0) for v in q])
    np.testing.assert_allclose(sf(x, 0.127, -1.0), q, rtol=1e-11)
    assert isf(1e-30, 0.1, 0.5) < np.inf
    assert isf(1e-35, 0.1, 0.5) == np.inf


def test_huge_values_in_single_precision():
    """Numbers, to 5e-3: the largest error measured is 2.7e-3, in tails below 1e-5."""
    alpha = np.array([0.1, 0.1311, 0.1431, 0.19, 0.3, 0.45], np.float32)[:, None, None]
    beta = np.array([-0.8, 0.0, 0.3032, 0.75], np.float32)[:, None]
    x = np.concatenate([s * np.geomspace(1e10, 1e37, 10) for s in (-1, 1)]).astype(np.float32)
    values = [f(x, alpha, beta) for f in (sf, cdf, logpdf)]
    with jax.enable_x64(True):
        wide = [np.asarray(v, np.float64) for v in (x, alpha, beta)]
        exact = [np.asarray(f(*wide)) for f in (sf, cdf, logpdf)]
    for value, expected in zip(values, exact, strict=True):
        np.testing.assert_allclose(value, expected, rtol=5e-3)


def test_light_tails_far_out(x64):
    """log f and log P against E₀: relative accuracy where neither is a double."""
    x = jnp.asarray([-200.0, -1e4])
    alpha, beta = jnp.asarray(1.5), jnp.asarray(1.0)
    log_f, lower, _ = log_law(x, alpha, beta, False)
    for i in range(2):
        exact = reference.skewed(float(x[i]), 1.5, 1.0, "S1")[0]
        assert abs(float(log_f[i]) / float(exact) - 1) < 1e-10
        assert abs(float(lower[i]) / float(exact) - 1) < 1e-3
    assert np.all(np.isfinite(np.asarray(log_tails(x, alpha, beta, False))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S0", "S1"])
def test_score_against_finite_differences(name, x64):
    points = jnp.asarray(
        [(0.3, 0.7, 0.5), (-2.0, 1.0, 0.4), (5.0, 1.01, -0.8), (-40.0, 1.6, 0.2), (0.9, 1.9, -0.5)]
    )

    @jax.jit
    @jax.vmap
    def both(point):
        def f(t):
            return logpdf(t[0], t[1], t[2], loc=t[3], scale=t[4], parametrization=name)

        base = jnp.concatenate([point, jnp.array([0.1, 1.3])])
        steps = jnp.eye(5) * jnp.array(
            [1e-3 * jnp.maximum(1, abs(point[0])), 1e-3, 1e-3, 1e-3, 1e-3]
        )
        moves = jnp.stack([k * steps for k in (1.0, 2.0, 3.0)])
        values = jax.vmap(jax.vmap(lambda m: f(base + m) - f(base - m)))(moves)
        weights = jnp.array([3 / 4, -3 / 20, 1 / 60])
        return jax.grad(f)(base), weights @ values / jnp.diag(steps)

    gradient, difference = both(points)
    if name == "S1":  # there S1 jumps in α
        gradient, difference = gradient.at[1, 1].set(0), difference.at[1, 1].set(0)
        near = jnp.arange(5) != 2
        gradient, difference = gradient[near], difference[near]
    np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-6)


CENTRE = np.meshgrid([0.3, 0.5, 0.6, 0.8, 0.9, 0.99, 1.01, 1.1, 1.5, 1.9], [-1, -0.6, 0.5, 0.9])


def test_values_at_the_centre(dtype):
    """At x = loc in S1, against Nolan (1997), and next to it against the first two terms."""
    alpha, beta = (np.asarray(jnp.asarray(v, dtype), np.float64) for v in CENTRE)
    zeta = beta * np.tan(np.pi / 2 * alpha)
    theta = np.arctan(zeta) / alpha
    unit = (1 + zeta**2) ** (-1 / (2 * alpha))
    density = gamma(1 + 1 / alpha) * np.cos(theta) * unit / np.pi
    slope = gamma(1 + 2 / alpha) / 2 * np.sin(2 * theta) * unit**2 / np.pi
    law = [jnp.asarray(v, dtype) for v in (alpha, beta)]
    proper = (alpha > 1) | (beta > -1)
    tolerance = TOLERANCE[dtype.name]
    close = {"rtol": tolerance, "atol": 0}
    # terms of second order are below the tolerance
    near = 1e-3 * np.sqrt(tolerance * gamma(1 / alpha) / gamma(3 / alpha)) / unit
    for sign in (0, 1, -1):
        x = np.asarray(jnp.asarray(sign * near, dtype), np.float64)
        first = np.where(proper, density + slope * x, 0)
        for loc in (0.0, 3.0) if sign == 0 else (0.0,):
            at, where = jnp.asarray(x + loc, dtype), {"loc": loc}
            found = np.asarray(pdf(at, *law, **where), np.float64)
            np.testing.assert_allclose(found[proper], first[proper], **close)
            below = 0.5 - theta / np.pi + x * density
            found = np.asarray(cdf(at, *law, **where), np.float64)
            np.testing.assert_allclose(found[proper], below[proper], **close)
            found = np.asarray(sf(at, *law, **where), np.float64)
            np.testing.assert_allclose(found[proper], 1 - below[proper], **close)
    # totally skewed, α < 1: the end of the support
    assert np.all(np.asarray(logpdf(0.0, *law))[~proper] == -np.inf)
    assert np.all(np.asarray(sf(0.0, *law))[~proper] == 0)


def test_score_at_the_centre(dtype):
    """Against the derivatives of the closed form; the one in x is that of the power series."""

    def closed(a, b):
        zeta = b * jnp.tan(jnp.pi / 2 * a)
        theta = jnp.arctan(zeta) / a
        log_unit = -jnp.log1p(zeta * zeta) / (2 * a)
        log_f = gammaln(1 + 1 / a) + jnp.log(jnp.cos(theta)) + log_unit
        ratio = jnp.exp(gammaln(1 + 2 / a) - gammaln(1 + 1 / a) + log_unit)
        return log_f, ratio * jnp.sin(theta)

    alpha, beta = (np.asarray(jnp.asarray(v[1:], dtype), np.float64).ravel() for v in CENTRE)
    with jax.enable_x64(True):
        each = jax.vmap(jax.grad(lambda a, b: closed(a, b)[0], argnums=(0, 1)))
        in_alpha, in_beta = each(jnp.asarray(alpha), jnp.asarray(beta))
        in_x = closed(jnp.asarray(alpha), jnp.asarray(beta))[1]
        expected = [np.asarray(v) for v in (in_x, in_alpha, in_beta, -in_x, -np.ones_like(in_x))]

    def log_density(x, a, b, loc, scale):
        return logpdf(x, a, b, loc=loc, scale=scale)

    law = [jnp.asarray(v * np.ones_like(alpha), dtype) for v in (0, alpha, beta, 0, 1)]
    found = jax.jit(jax.vmap(jax.grad(log_density, argnums=range(5))))(*law)
    tolerance = 1e-10 if dtype == jnp.float64 else 1e-4
    for value, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(value), exact, rtol=tolerance, atol=tolerance)


def test_likelihood_of_repeated_zeros(dtype):
    """Finite derivatives, as the data's rounding tends to zeros next to them."""
    data = jnp.asarray([0, 0, 1.5, 0, -2.0, 0.3, 0], dtype)

    @jax.jit
    def gradient(data, law):
        return jax.grad(lambda p: jnp.mean(logpdf(data, p[0], p[1], loc=p[2], scale=p[3])))(law)

    near = jnp.where(data == 0, 1e-7, data)
    for alpha, beta in ((0.4, 0.5), (0.8, -0.9), (1.0, 0.4), (1.5, 0.5), (2.0, 0.3)):
        law = jnp.asarray([alpha, beta, 0, 1], dtype)
        value, beside = np.asarray(gradient(data, law)), np.asarray(gradient(near, law))
        np.testing.assert_allclose(value, beside, rtol=2e-3, atol=2e-3)


def test_float32_under_x64(x64):
    law = [jnp.asarray(v, jnp.float32) for v in ([0.0, 1.0], 1.5, 0.5)]
    assert pdf(*law).dtype == jnp.float32


def test_shapes_and_bad_arguments(dtype):
    x = jnp.asarray([-1.0, 0.5, jnp.inf, -jnp.inf, jnp.nan], dtype)
    value = np.asarray(logpdf(x, 1.5, 0.3))
    assert np.all(value[2:4] == -np.inf)
    assert np.isnan(value[4])
    np.testing.assert_array_equal(np.asarray(cdf(x, 1.5, 0.3))[2:4], [1, 0])
    np.testing.assert_array_equal(np.asarray(sf(x, 1.5, 0.3))[2:4], [0, 1])
    assert pdf(x[:, None], jnp.ones((1, 3), dtype), jnp.ones((2, 1, 1), dtype)).shape == (2, 5, 3)
    for beta in (-1.1, 1.5):
        with pytest.raises(ValueError, match="beta must lie in"):
            pdf(1.0, 1.5, beta)
        assert jnp.isnan(jax.jit(pdf)(1.0, 1.5, beta))
    with pytest.raises(ValueError, match="parametrization must be"):
        pdf(1.0, 1.5, 0.5, parametrization="S2")
