"""`StablePath` in diffrax: the same scheme on the same noise is the same trajectory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

lineax = pytest.importorskip("lineax", reason="diffrax is not installed (stablesde[diffrax])")
diffrax = pytest.importorskip("diffrax", reason="diffrax is not installed (stablesde[diffrax])")

from stablesde.diffrax_path import StablePath  # noqa: E402

SIGMA = 0.5


def solve(model, path, theta0, steps):
    """Euler for the whole particle system, the state being all particles."""

    def field(t, theta, args):
        m = jax.vmap(model.statistic)(theta).mean(0)
        return jax.vmap(model.drift, in_axes=(0, None))(theta, m)

    # The control enters by itself: the noise is additive and the same for every coordinate.
    diffusion = lambda t, theta, args: scaled(SIGMA)  # noqa: E731
    terms = diffrax.MultiTerm(diffrax.ODETerm(field), diffrax.ControlTerm(diffusion, path))
    return diffrax.diffeqsolve(
        terms, diffrax.Euler(), t0=0.0, t1=float(path.t1), dt0=float(path.t1) / steps, y0=theta0,
        stepsize_controller=diffrax.ConstantStepSize(), max_steps=None,
        adjoint=diffrax.ForwardMode(),
    ).ys[-1]  # fmt: skip


def scaled(sigma):
    return lineax.DiagonalLinearOperator(jnp.full((30, 2), sigma))


@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_euler_in_diffrax_is_our_euler(kind, dtype, network, key):
    noise = ssd.stable_noise(kind, 1.5, 2)
    settings = dict(num_particles=30, t1=1.5, num_steps=24)
    ours = ssd.simulate(ssd.System(network, noise, sigma=SIGMA), key, **settings)
    path = StablePath(noise, key, **settings)
    theirs = solve(network, path, ours.initial, 24)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(theirs, ours.final, rtol=tolerance, atol=tolerance)


def test_increments_are_those_of_the_noise(key):
    noise = ssd.IsotropicStable(1.4, 3)
    path = StablePath(noise, key, num_particles=7, t1=2.0, num_steps=16, max_steps_at_once=4)
    single = StablePath(noise, key, num_particles=7, t1=2.0, num_steps=16)
    steps = [noise.increment(key, k, 2.0 / 16, 7) for k in range(16)]
    np.testing.assert_array_equal(eqx.filter_jit(single.evaluate)(0.625, 0.75), steps[5])
    np.testing.assert_allclose(path.evaluate(0.5, 1.0), sum(steps[4:8]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(path.evaluate(1.0), sum(steps[:8]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(single.evaluate(0.5, 0.5), np.zeros((7, 3)))


def test_coarse_steps_use_summed_noise(key):
    """Half as many solver steps on the same path: the noise at the end is the same."""
    model = ssd.FunctionModel(2, lambda t, x, m: jnp.zeros(2))
    noise = ssd.OneFactorStable(1.5, 2)
    fine = ssd.simulate(
        ssd.System(model, noise, sigma=SIGMA), key, num_particles=30, t1=1.0, num_steps=16
    )
    path = StablePath(noise, key, num_particles=30, t1=1.0, num_steps=16, max_steps_at_once=2)
    coarse = solve(model, path, fine.initial, 8)
    np.testing.assert_allclose(coarse, fine.final, rtol=1e-5, atol=1e-5)


def test_multiplicative_noise_keys_and_gradients(key):
    """A scalar SDE with a coefficient of its own, over several keys, differentiated."""
    noise = ssd.OneFactorStable(1.8, 1)

    def end(scale, key):
        path = StablePath(noise, key, num_particles=1, t1=1.0, num_steps=8)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, args: -y),
            diffrax.ControlTerm(lambda t, y, args: _column(scale * jnp.tanh(y)), path),
        )
        solution = diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, 1.0, 1 / 8, jnp.ones((1, 1)),
            stepsize_controller=diffrax.ConstantStepSize(), max_steps=8,
        )  # fmt: skip
        return solution.ys[-1, 0, 0]

    keys = jax.random.split(key, 3)
    ends = jax.vmap(end, in_axes=(None, 0))(0.3, keys)
    for one, value in zip(keys, ends, strict=True):
        y = 1.0
        for k in range(8):
            y += -y / 8 + 0.3 * np.tanh(y) * float(noise.increment(one, k, 1 / 8, 1)[0, 0])
        np.testing.assert_allclose(value, y, rtol=1e-5)
    slope = jax.grad(end)(0.3, key)
    h = 1e-2
    np.testing.assert_allclose(slope, (end(0.3 + h, key) - end(0.3 - h, key)) / (2 * h), rtol=0.02)


def _column(y):
    return lineax.DiagonalLinearOperator(y)


def test_long_grids(key):
    """The grid is found again from float32 times, after many steps too."""
    noise = ssd.OneFactorStable(1.5, 1)
    path = StablePath(noise, key, num_particles=2, t1=0.7, num_steps=100_000)
    read = eqx.filter_jit(path.evaluate)
    for k in (0, 12_345, 99_999):
        t0, t1 = (jnp.float32(0.7 * j / 100_000) for j in (k, k + 1))
        np.testing.assert_array_equal(read(t0, t1), noise.increment(key, k, 0.7 / 100_000, 2))


def test_bad_input(key):
    noise = ssd.OneFactorStable(1.5, 1)
    path = StablePath(noise, key, num_particles=2, t1=1.0, num_steps=4)
    with pytest.raises(Exception, match="off its grid"):
        path.evaluate(0.0, 0.3)
    with pytest.raises(Exception, match="covers more than 1"):
        path.evaluate(0.0, 0.5)
    with pytest.raises(ValueError, match="cannot tell"):
        StablePath(noise, key, num_particles=2, t1=1.0, num_steps=10**6)
    with pytest.raises(ValueError, match="num_steps must be a positive integer"):
        StablePath(noise, key, num_particles=2, t1=1.0, num_steps=0)
    with pytest.raises(ValueError, match="t1 must be finite"):
        StablePath(noise, key, num_particles=2, t1=float("nan"), num_steps=3)
