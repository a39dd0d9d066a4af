"""Particles that interact in pairs: all pairs, random batches, several systems, the limit."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_limit, coupled_steps, record

NOISE = ssd.IsotropicStable(1.5, 2)


def attraction(x, y):
    return (y - x) * jnp.exp(-jnp.sum((y - x) ** 2) / 2)


def double_sum(x, y=None):
    """The mean force in NumPy, of rows."""
    y = x if y is None else y
    d = y[None] - x[:, None]
    return (d * np.exp(-np.sum(d**2, -1, keepdims=True) / 2)).mean(1)


def system(**settings):
    return ssd.System(ssd.PairwiseModel(2, attraction, **settings), NOISE, sigma=0.1)


@pytest.mark.parametrize("n", [1, 2, 17, 1000, 12_345])
def test_all_pairs_against_a_direct_sum(n, key):
    """Sizes with and without remainders of the groups and of the tiles, to 1e-6."""
    run = ssd.simulate(system(), key, num_particles=n, t1=0.5, num_steps=1)
    x = np.asarray(run.initial, float)
    some = np.random.default_rng(0).choice(n, min(n, 200), replace=False)
    exact = double_sum(x[some], x)
    np.testing.assert_allclose(run.displacement[0, some] / 0.5, exact, atol=1e-6)


def test_blocks_and_widths_change_nothing(key):
    grid = {"t1": 1.0, "num_steps": 4}
    run = ssd.simulate(system(), key, num_particles=50, **grid)
    blocks = ssd.simulate(system(), key, num_particles=50, block_size=16, **grid)
    np.testing.assert_allclose(run.final, blocks.final, rtol=1e-5, atol=1e-6)
    keys = jax.random.split(key, 2)
    errors = coupled_steps(system(), keys, widths=(20, 50), num_steps=(4,), fine_steps=8, t1=1.0)
    for r in range(2):
        for i, n in enumerate((20, 50)):
            fine = ssd.simulate(
                system(), keys[r], num_particles=n, t1=1.0, num_steps=8, save_every=2
            )
            increments = [np.asarray(NOISE.increment(keys[r], k, 1 / 8, n)) for k in range(8)]
            theta = np.asarray(fine.initial, float)
            gap = 0
            for k in range(4):
                theta = theta + double_sum(theta) / 4 + 0.1 * sum(increments[2 * k : 2 * k + 2])
                gap = max(gap, np.linalg.norm(theta - fine.theta[k + 1], axis=1).max())
            np.testing.assert_allclose(errors.sup[r, i, 0], gap, rtol=2e-2, atol=1e-4)


def test_force_and_time_enter_a_drift(key):
    """Cucker–Smale: positions and velocities, x' = v, v' the mean of ψ(|x - y|) (v_y - v)."""

    def alignment(a, b):
        return (b[2:] - a[2:]) / (1 + jnp.sum((a[:2] - b[:2]) ** 2))

    def drift(t, theta, force):
        return jnp.concatenate([theta[2:], (1 + t) * force])

    model = ssd.PairwiseModel(4, alignment, drift)
    still = ssd.System(model, ssd.Brownian(2), sigma=np.zeros((4, 2)))
    run = ssd.simulate(still, key, num_particles=64, t1=4.0, num_steps=64, save_every=1)
    theta = np.asarray(run.theta, float)
    d = theta[0, None, :, 2:] - theta[0, :, None, 2:]
    weight = 1 / (1 + np.sum((theta[0, None, :, :2] - theta[0, :, None, :2]) ** 2, -1))
    step = np.concatenate([theta[0, :, 2:], (d * weight[..., None]).mean(1)], 1) * 4 / 64
    np.testing.assert_allclose(theta[1] - theta[0], step, atol=1e-6)
    # Momentum is kept, and velocities align.
    np.testing.assert_allclose(theta[-1, :, 2:].mean(0), theta[0, :, 2:].mean(0), atol=1e-5)
    assert theta[-1, :, 2:].std() < 0.5 * theta[0, :, 2:].std()


def test_random_batches(key):
    """Error against the full sum of order (b - 1)^-1/2; momentum is kept; n must fit."""
    grid = {"num_particles": 1024, "t1": 1.0, "num_steps": 16}
    full = ssd.simulate(system(), key, **grid).final
    sizes, errors = np.array([2, 4, 8, 16, 32]), []
    for b in sizes:
        run = ssd.simulate(system(batch_size=int(b)), key, **grid)
        errors.append(np.sqrt(np.mean((run.final - full) ** 2)))
        np.testing.assert_allclose(run.displacement[0].mean(0), 0, atol=1e-5)
    slope = np.polyfit(np.log(sizes - 1), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    # One batch of all is the full sum; other steps draw other partitions.
    whole = ssd.simulate(system(batch_size=1024), key, **grid)
    np.testing.assert_allclose(whole.final, full, atol=1e-4)
    with pytest.raises(ValueError, match="batch_size=3 must divide the number of particles, 1024"):
        ssd.simulate(system(batch_size=3), key, **grid)


def test_batches_of_a_step_have_the_right_mean():
    """Over 400 partitions, 5.5 standard errors: (1/n) Σ_j K(θ^i, θ^j), j = i included."""
    x = jax.random.normal(jax.random.key(3), (2, 24))
    model = ssd.PairwiseModel(2, lambda a, b: attraction(a, b) + 1, batch_size=4)
    keys = jax.random.split(jax.random.key(4), 400)
    forces = np.asarray(jax.vmap(lambda k: model.at_step(k).batch_force(x))(keys), float)
    exact = double_sum(np.asarray(x.T, float)).T + 1
    error = forces.std(0) / np.sqrt(400)
    assert np.all(np.abs(forces.mean(0) - exact) < 5.5 * error + 1e-6)


def test_the_limit_is_one_large_system(key):
    flow = ssd.law_flow(system(), key, t1=1.0, num_steps=4, num_particles=2000)
    assert flow.m.shape == (5, 4000)
    copies = ssd.simulate_limit(flow, key, num_particles=3)
    cloud = np.asarray(flow.m, float).reshape(5, 2, 2000)
    theta = np.asarray(copies.initial, float)
    for k in range(4):
        step = double_sum(theta, cloud[k].T) / 4
        theta = theta + step + 0.1 * np.asarray(NOISE.increment(key, k, 1 / 4, 3))
    np.testing.assert_allclose(copies.final, theta, atol=1e-5)
    with pytest.raises(ValueError, match="one large system"):
        ssd.law_flow(system(), key, t1=1.0, num_steps=4, num_particles=200, antithetic=True)


@pytest.mark.slow
def test_chaos_of_a_smooth_kernel(key):
    """The distance to the limit falls like n^-1/2."""
    flow = ssd.law_flow(system(), key, t1=1.0, num_steps=8, num_particles=16_384)
    widths = (8, 16, 32, 64, 128)
    errors = coupled_limit(flow, jax.random.split(key, 192), widths=widths)
    means = np.asarray(errors.mean, float).mean(0)
    slope = np.polyfit(np.log(widths), np.log(means), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


def test_studies_and_records_take_pairs(key, tmp_path):
    study = ssd.propagation_of_chaos(
        system(), key, widths=(4, 8, 16, 32), num_steps=2, t1=0.5, replicas=4, law_particles=512
    )
    assert study.errors["mean"].shape == (4, 4)
    grid = {"num_particles": 20, "t1": 0.5, "num_steps": 2, "save_every": 2}
    (part,) = record(system(), key, run_dir=tmp_path, **grid)
    np.testing.assert_array_equal(part.final, ssd.simulate(system(), key, **grid).final)


def test_derivatives(key):
    def end(scale):
        model = ssd.PairwiseModel(1, lambda x, y: scale * jnp.sin(y - x))
        run = ssd.simulate(
            ssd.System(model, ssd.Brownian(1), sigma=0.1),
            key,
            num_particles=40,
            t1=1.0,
            num_steps=4,
        )
        return jnp.mean(run.final**2)

    slope = float(jax.grad(end)(1.0))
    assert slope == pytest.approx(float(end(1.01) - end(0.99)) / 0.02, rel=1e-2)


def test_several_devices():
    """Every particle sees those on the other devices."""
    code = """
import jax, numpy as np, jax.numpy as jnp, stablesde as ssd
from jax.sharding import Mesh
from stablesde.dynamics import coupled_limit
mesh = Mesh(np.array(jax.devices()), ("particles",))
model = ssd.PairwiseModel(2, lambda x, y: (y - x) * jnp.exp(-jnp.sum((y - x) ** 2)))
system = ssd.System(model, ssd.IsotropicStable(1.5, 2), sigma=0.1)
key, grid = jax.random.key(0), dict(num_particles=37, t1=1.0, num_steps=2)
one, four = (ssd.simulate(system, key, mesh=m, **grid).final for m in (None, mesh))
np.testing.assert_allclose(one, four, rtol=1e-5, atol=1e-6)
flows = [ssd.law_flow(system, key, mesh=m, **grid) for m in (None, mesh)]
np.testing.assert_allclose(flows[0].m, flows[1].m, rtol=1e-5, atol=1e-6)
keys = jax.random.split(key, 2)
errors = [coupled_limit(flows[0], keys, widths=(5, 11), mesh=m).mean for m in (None, mesh)]
np.testing.assert_allclose(*errors, rtol=1e-3, atol=1e-5)
"""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ssd.PairwiseModel(0, attraction), "dim"),
        (lambda: ssd.PairwiseModel(2, "attraction"), "kernel must be a function"),
        (lambda: ssd.PairwiseModel(2, attraction, 3), "drift_function must be"),
        (lambda: ssd.PairwiseModel(2, attraction, batch_size=1), "batch_size"),
        (lambda: ssd.System(ssd.PairwiseModel(2, lambda x, y: 1.0), NOISE), "kernel must return"),
        (lambda: ssd.System(ssd.PairwiseModel(2, lambda x, y: jnp.ones(3)), NOISE), "velocity"),
        (lambda: ssd.WeightDecay(ssd.PairwiseModel(2, attraction), 1.0), "drift_function"),
        (lambda: ssd.fokker_planck(system(), t1=1.0, num_steps=4), "mean of a statistic"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
