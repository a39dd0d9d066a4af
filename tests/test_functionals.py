"""Functionals of paths, against stored paths and Getoor's mean exit time."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import functionals

STILL = ssd.FunctionModel(1, lambda t, theta, m: 0 * theta)


def inside(t, theta):
    return jnp.abs(theta[0]) < 1


@pytest.mark.parametrize("sigma", [0.5, lambda t, theta, m: 0.5 + t + jnp.tanh(theta[0]) ** 2])
def test_against_the_stored_path(sigma, key):
    model = ssd.FunctionModel(2, lambda t, theta, m: m - theta, jnp.tanh)
    system = ssd.System(model, ssd.IsotropicStable(1.5, 2), sigma=sigma)
    grid = {"num_particles": 300, "t1": 2.0, "num_steps": 32, "block_size": 64}
    found = functionals(
        system, key, integral=lambda t, theta: t * jnp.tanh(theta),
        maximum=lambda t, theta: jnp.stack([theta[0], -theta[1]]), inside=inside, **grid,
    )  # fmt: skip
    run = ssd.simulate(system, key, save_every=1, **grid)
    theta, times = np.asarray(run.theta), np.asarray(run.times)
    exact = np.sum(times[:-1, None, None] * np.tanh(theta[:-1]), 0) * 2 / 32
    np.testing.assert_allclose(found.integral, exact, atol=1e-5)
    np.testing.assert_allclose(found.maximum[:, 0], theta[..., 0].max(0), atol=1e-6)
    np.testing.assert_allclose(found.maximum[:, 1], -theta[..., 1].min(0), atol=1e-6)
    outside = np.abs(theta[..., 0]) >= 1
    first = np.where(outside.any(0), outside.argmax(0), 32)
    np.testing.assert_array_equal(
        found.exit_time, np.where(outside.any(0), times[first], np.inf).astype(np.float32)
    )
    np.testing.assert_allclose(found.exit_place, theta[first, np.arange(300)], atol=1e-6)
    np.testing.assert_allclose(found.final, theta[-1], atol=1e-6)
    assert repr(found).startswith("Functionals(300 particles in dimension 2, integral, max")


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.0, 1.5])
def test_mean_exit_time_of_an_interval(alpha, key):
    """E τ = (1 - x²)^(α/2) / Γ(1 + α) from x in (-1, 1) (Getoor 1961): 1.000 and 0.752 from 0.

    5.5 standard errors, and the lateness of a grid, extrapolated from two of them.
    """
    means, error = [], 0.0
    for steps in (1000, 4000):
        system = ssd.System(STILL, ssd.OneFactorStable(alpha, 1), init=np.zeros(1))
        found = functionals(
            system, key, num_particles=20_000, t1=10.0, num_steps=steps, inside=inside
        )
        times = np.minimum(np.asarray(found.exit_time, float), 10)
        means.append(times.mean())
        error = times.std() / np.sqrt(20_000)
    late = max(means[0] - means[1], 0) / (4 ** (1 / alpha) - 1)
    exact = 1 / math.gamma(1 + alpha)
    assert abs(means[1] - late - exact) < 5.5 * 2 * error
    assert abs(means[1] - exact) < 5.5 * error + 0.03


def test_only_what_is_asked_for(key):
    system = ssd.System(STILL, ssd.Brownian(1))
    grid = {"num_particles": 4, "t1": 1.0, "num_steps": 4}
    found = functionals(system, key, integral=lambda t, theta: theta[0] ** 2, **grid)
    assert found.integral.shape == (4,)
    assert found.maximum is found.exit_time is found.exit_place is None
    slope = jax.grad(
        lambda s: functionals(
            ssd.System(STILL, ssd.Brownian(1), sigma=s),
            key,
            integral=lambda t, x: x[0] ** 2,
            **grid,
        ).integral.sum()
    )(1.0)
    assert np.isfinite(slope)
    for bad, message in (
        ({"integral": 3}, "integral must be a function"),
        ({"inside": lambda t, theta: theta[0]}, "inside must give one truth value"),
        ({"inside": lambda t, theta: theta < 1}, "inside must give one truth value"),
        ({"maximum": lambda theta: theta}, "maximum.t, theta. fails"),
    ):
        with pytest.raises(ValueError, match=message):
            functionals(system, key, **bad, **grid)


def test_a_lost_particle_is_told_and_has_not_left(key):
    cubic = ssd.FunctionModel(1, lambda t, theta, m: -(theta**3))
    system = ssd.System(cubic, ssd.stable_noise("I", 1.2, 1))
    with pytest.warns(RuntimeWarning, match="not finite"):
        found = ssd.dynamics.functionals(
            system, key, num_particles=2000, t1=1.0, num_steps=10,
            inside=lambda t, theta: jnp.abs(theta[0]) < jnp.inf,
        )  # fmt: skip
    assert not np.isfinite(found.final).all()
    assert np.isinf(found.exit_time).all()
