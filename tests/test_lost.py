"""Particles that are not finite are told: how many, which was first, and at which step."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import stablesde as ssd
from stablesde.dynamics import record

KEY = jax.random.key(0)
NOISE = ssd.stable_noise("I", 1.2, 1)
GRID = {"num_particles": 500, "t1": 1.0, "num_steps": 50}
CUBIC = ssd.FunctionModel(1, lambda t, theta, m: -(theta**3))
COUPLED = ssd.FunctionModel(1, lambda t, theta, m: -(theta**3) + m, lambda theta: theta)


def first_lost(model):
    """(step, particle), found in the saved states of all steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = ssd.simulate(ssd.System(model, NOISE), KEY, save_every=1, **GRID)
    bad = ~np.isfinite(np.asarray(run.theta)).all(-1)
    step = int(np.argmax(bad.any(1)))
    np.testing.assert_array_equal(run.num_nonfinite, bad.sum(1))
    return step, int(np.argmax(bad[step])), int(bad[-1].sum())


@pytest.mark.parametrize("model", [CUBIC, COUPLED], ids=["alone", "coupled"])
@pytest.mark.parametrize("devices", [None, 1])  # eight of them: programs/devices.py
def test_simulate_names_the_first(model, devices):
    step, particle, count = first_lost(model)
    mesh = devices and Mesh(np.array(jax.devices()[:devices]), ("d",))
    text = rf"{count} of 500 particles .* particle {particle},? .* after step {step} of 50 .* drift"
    with pytest.warns(RuntimeWarning, match=text) as told:
        run = ssd.simulate(ssd.System(model, NOISE), KEY, mesh=mesh, **GRID)
    assert told[0].filename == __file__
    assert run.num_nonfinite.tolist() == [count]
    assert (count == 500) == (model is COUPLED)


@pytest.mark.parametrize(
    ("settings", "t1", "text"),
    [
        (dict(sigma=3e38), 1.0, "sigma times the noise is beyond the range of float32"),
        (dict(), 1e30, "after step 2 of 4"),
        (dict(init=lambda key: jnp.full(1, jnp.nan)), 1.0, "lost at the start: look at init"),
    ],
)
def test_every_cause(settings, t1, text):
    system = ssd.System(ssd.MeanReversion(1), NOISE, dtype=jnp.float32, **settings)
    with pytest.warns(RuntimeWarning, match=text):
        ssd.simulate(system, KEY, num_particles=10, t1=t1, num_steps=4)


def test_a_mean_that_is_not_finite_is_named():
    model = ssd.FunctionModel(1, lambda t, theta, m: m - theta, lambda theta: jnp.log(theta * 0))
    with pytest.warns(RuntimeWarning, match="the mean statistic was not finite"):
        ssd.simulate(ssd.System(model, NOISE), KEY, **GRID)


def test_copies_of_the_limit():
    flow = ssd.law_flow(ssd.System(CUBIC, NOISE), KEY, t1=1.0, num_steps=50, num_particles=64)
    step, particle, count = first_lost(CUBIC)
    with pytest.warns(RuntimeWarning, match=f"{count} of .* particle {particle},? .* step {step} "):
        ssd.simulate_limit(flow, KEY, num_particles=500)


def test_law_flow_refuses():
    with pytest.raises(ValueError, match="not finite from step"):
        ssd.law_flow(ssd.System(COUPLED, NOISE), KEY, t1=1.0, num_steps=50, num_particles=500)


@pytest.mark.parametrize("saves_per_file", [1, 4, 100])
def test_record_tells_once(tmp_path, saves_per_file):
    step, particle, _ = first_lost(CUBIC)
    settings = GRID | {"save_every": 5, "saves_per_file": saves_per_file, "run_dir": tmp_path}
    with pytest.warns(RuntimeWarning, match=f"particle {particle},? .* step {step} of") as told:
        recording = record(ssd.System(CUBIC, NOISE), KEY, **settings)
    assert len(told) == 1
    assert told[0].filename == __file__
    counts = np.concatenate([part.num_nonfinite for part in recording])
    assert counts[0] == 0
    assert counts[-1] > 0
    assert (np.diff(counts) >= 0).all()


def test_nothing_is_told_inside_of_transformations():
    def final(sigma, key=KEY):
        return ssd.simulate(ssd.System(CUBIC, NOISE, sigma=sigma), key, save_every=25, **GRID)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jax.jit(final)(1.0).num_nonfinite[-1] > 0
        many = jax.vmap(lambda key: final(1.0, key))(jax.random.split(KEY, 3))
        assert many.num_nonfinite.shape == (3, 3)
        small = jax.grad(lambda s: jnp.sum(final(s).final))(1e-3)
        assert np.isfinite(small)
        whole = ssd.simulate(ssd.System(CUBIC, NOISE, sigma=1e-3), KEY, **GRID)
        assert whole.num_nonfinite.tolist() == [0]
