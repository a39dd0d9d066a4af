"""The error of the time steps beside the standard error: what it covers, and what removes it.

Probabilities: distances to exact values are held to 6 standard errors of 16 batches (Student's t
with 15 degrees of freedom: 2.4e-5 a side) only where they are known to be far less; fixed keys.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

KEY = jax.random.key(0)
PULL = ssd.FunctionModel(1, lambda t, theta, m: m - theta, jnp.tanh)
SYSTEM = ssd.System(PULL, ssd.OneFactorStable(1.5, 1), sigma=0.2, init=np.array([0.5]))
SETTINGS = {"t1": 1.0, "num_particles": 200_000, "antithetic": True, "time_error": True}


def euler(steps):
    return ssd.fokker_planck(SYSTEM, t1=1.0, num_steps=steps, scheme="euler").m


def test_it_is_the_difference_of_the_laws():
    flow = ssd.law_flow(SYSTEM, KEY, num_steps=16, **SETTINGS)
    exact = euler(16)[::2] - euler(8)
    # On shared noise the difference is known far better than either flow.
    np.testing.assert_allclose(flow.time_error[::2], exact, atol=6e-5)
    middle = (flow.time_error[:-2:2] + flow.time_error[2::2]) / 2
    np.testing.assert_allclose(flow.time_error[1::2], middle, atol=1e-7)


def test_the_bar_leaves_it_out_and_the_extrapolation_removes_it():
    limit = ssd.fokker_planck(SYSTEM, t1=1.0, num_steps=64).m[-1]
    flow = ssd.law_flow(SYSTEM, KEY, num_steps=4, **SETTINGS)
    off = np.abs(np.asarray(flow.m[-1]) - limit)
    assert off > 6 * flow.standard_error[-1]
    assert np.abs(off / np.abs(flow.time_error[-1]) - 1) < 0.5
    better = np.abs(np.asarray(flow.m + flow.time_error)[-1] - limit)
    assert better < 6 * flow.standard_error[-1] + 5e-5
    assert better < off / 4


@pytest.mark.parametrize("scheme", ["euler", "heun", "exponential"])
@pytest.mark.parametrize("uneven", [False, True])
def test_every_scheme_and_grid(scheme, uneven):
    model = ssd.WeightDecay(PULL, 1.0) if scheme == "exponential" else PULL
    system = ssd.System(model, ssd.OneFactorStable(1.5, 1), sigma=0.2, init=np.array([0.5]))
    times = np.linspace(0, 1, 9) ** (2 if uneven else 1)
    settings = {"num_particles": 1024, "scheme": scheme, "batches": 4}
    flow = ssd.law_flow(system, KEY, times=times, time_error=True, **settings)
    assert flow.time_error.shape == flow.m.shape
    assert 0 < np.abs(flow.time_error).max() < 0.1
    plain = ssd.law_flow(system, KEY, times=times, **settings)
    assert plain.time_error is None
    np.testing.assert_array_equal(plain.m, flow.m)


def test_without_noise_it_is_that_of_the_steps():
    system = ssd.System(PULL, ssd.OneFactorStable(1.5, 1), sigma=0.0, init=np.array([0.5]))
    fine, coarse = (
        ssd.law_flow(system, KEY, t1=1.0, num_steps=k, num_particles=64, time_error=True)
        for k in (8, 4)
    )
    np.testing.assert_allclose(fine.time_error[::2], fine.m[::2] - coarse.m, atol=1e-6)


def test_it_is_in_the_frame():
    pytest.importorskip("pandas")
    flow = ssd.law_flow(SYSTEM, KEY, t1=1.0, num_steps=2, num_particles=64, time_error=True)
    frame = flow.to_frame()
    assert list(frame) == ["time", "statistic", "m", "standard_error", "time_error"]


@pytest.mark.parametrize(("value", "steps"), [(True, 5), (1, 4)])
def test_bad_input(value, steps):
    with pytest.raises(ValueError, match="time_error"):
        ssd.law_flow(SYSTEM, KEY, t1=1.0, num_steps=steps, num_particles=64, time_error=value)


def test_expectations_of_the_solution():
    law = ssd.fokker_planck(SYSTEM, t1=1.0, num_steps=16)
    np.testing.assert_allclose(law.expectation(lambda theta: jnp.tanh(theta[0])), law.m[:, 0])
    both = law.expectation(lambda theta: jnp.stack([jnp.tanh(theta), 1 + 0 * theta]))
    assert both.shape == (17, 2, 1)
    np.testing.assert_allclose(both[:, 1, 0], 1, rtol=1e-9)
    np.testing.assert_allclose(both[0, 0, 0], np.tanh(0.5), rtol=1e-12)
    assert both.dtype == np.float64
    for bad, text in (
        (3, "f must be a function"),
        (lambda theta: theta @ jnp.ones(2), "f fails"),
        (lambda theta: theta**2, "does not exist"),
    ):
        with pytest.raises(ValueError, match=text):
            law.expectation(bad)
