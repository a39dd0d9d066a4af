"""Second derivatives of samples, inside and outside `lax.scan`, against differences of first ones.

At fixed words a sample is a smooth function of its parameters, so nothing here is random.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

KEY = jax.random.key(5)
POINT = (1.4, 0.3, 0.2, 1.3)  # α, β, loc, scale


def _value(draw):
    return jnp.sum(jnp.tanh(0.3 * draw))


def _outside(p):
    return _value(_skewed(KEY, p)) + _value(_symmetric(KEY, p))


def _inside(p):
    def step(x, k):
        key = jax.random.fold_in(KEY, k)
        x = 0.7 * x + 0.1 * (_skewed(key, p) + _symmetric(key, p))
        noise = ssd.IsotropicStable(p[0], 2).increment(KEY, k, 0.1, 5)
        return x + 0.1 * p[3] * noise[:, 0] + 0.1 * _positive(key, p), None

    return _value(jax.lax.scan(step, jnp.zeros(5, p.dtype), jnp.arange(3))[0])


def _brief(p):
    def step(x, k):
        return 0.7 * x + _symmetric(jax.random.fold_in(KEY, k), p), None

    return _value(jax.lax.scan(step, p[1] * jnp.ones(5, p.dtype), jnp.arange(3))[0])


def _skewed(key, p):
    law = dict(loc=p[2], scale=p[3], parametrization="S0", dtype=p.dtype)
    return ssd.stable.sample(key, p[0], p[1], (5,), **law)


def _symmetric(key, p):
    return ssd.stable.sample(key, p[0], shape=(5,), loc=p[2], scale=p[3], dtype=p.dtype)


def _positive(key, p):
    return ssd.stable.sample_positive(key, p[0] / 2, (5,), scale=p[3], dtype=p.dtype)


@pytest.mark.parametrize(
    ("x64", "function"),
    [
        (True, _brief),
        pytest.param(True, _inside, marks=pytest.mark.slow),
        pytest.param(True, _outside, marks=pytest.mark.slow),
        pytest.param(False, _inside, marks=pytest.mark.slow),
        pytest.param(False, _outside, marks=pytest.mark.slow),
    ],
)
def test_forward_and_reverse_over_reverse(x64, function):
    with jax.enable_x64(x64):
        point, h = jnp.asarray(POINT, float), (1e-5 if x64 else 1e-2)
        first = jax.jit(jax.vmap(jax.grad(function)))
        steps = h * np.eye(4)
        ahead, behind = first(np.asarray(point) + steps), first(np.asarray(point) - steps)
        difference = (np.asarray(ahead) - np.asarray(behind)) / (2 * h)
        tolerance = 1e-6 if x64 else 0.05
        size = tolerance * np.abs(difference).max()
        gradient = jax.grad(function)
        orders = (jax.jacfwd(gradient), jax.jacrev(gradient))
        for second in jax.jit(lambda p: [order(p) for order in orders])(point):
            np.testing.assert_allclose(second, difference, rtol=tolerance, atol=size)


@pytest.mark.slow
@pytest.mark.parametrize("function", [ssd.stable.logpdf, ssd.stable.sf], ids=["logpdf", "sf"])
def test_of_densities_where_they_have_closed_forms(function):
    """At α = 1 and α = 2, inside `lax.scan`; at 2 from below, by differences of second order."""
    points = jnp.asarray([0.6, 1.7])

    def scanned(p):
        add = lambda total, x: (total + function(p[0] * x, p[1]), None)  # noqa: E731
        return jax.lax.scan(add, jnp.zeros((), p.dtype), points)[0]

    with jax.enable_x64(True):
        first = jax.jit(jax.grad(lambda p: sum(function(p[0] * x, p[1]) for x in points)))
        gradient, h = jax.grad(scanned), 1e-5
        second = jax.jit(lambda p: (jax.jacfwd(gradient)(p), jax.jacrev(gradient)(p)))
        for alpha in (1.0, 2.0):
            p = np.asarray([1.0, alpha])
            behind = [(3 * first(p) - 4 * first(p - e) + first(p - 2 * e)) / (2 * h)
                      for e in h * np.eye(2)]  # fmt: skip
            for found in second(p):
                np.testing.assert_allclose(found, np.array(behind), rtol=1e-5, atol=1e-5)
