"""Stochastic gradients, momentum, and a trained second layer, in the particle system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_steps
from stablesde.model import RidgeUnit, WeightedUnit
from stablesde.theory._compression import compression_exponent

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(24, 2)), np.arange(24) % 2
NOISE = ssd.IsotropicStable(1.7, 2)


def network(**settings):
    return ssd.NetworkModel("tanh", "logistic", X, Y, **settings)


def weighted(bounded):
    unit = WeightedUnit(RidgeUnit("tanh", 2, 1), bounded=bounded)
    return ssd.NetworkModel(unit, "logistic", X, Y)


def test_a_batch_of_all_the_data_is_all_of_it(key):
    grid = {"num_particles": 30, "t1": 1.0, "num_steps": 8}
    full = ssd.simulate(ssd.System(network(), NOISE), key, **grid)
    whole = ssd.simulate(ssd.System(network(batch_size=24), NOISE), key, **grid)
    np.testing.assert_allclose(whole.final, full.final, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(whole.levy, full.levy)


def test_each_step_draws_its_data_from_the_counters(key):
    """Two steps by hand; widths and blocks see the same data."""
    model = network(batch_size=4)
    system = ssd.System(model, NOISE, sigma=0.1)
    grid = {"t1": 1.0, "num_steps": 4, "save_every": 1}
    run = ssd.simulate(system, key, num_particles=50, **grid)
    assert run.mean_statistic.shape == (5, 4)
    small = ssd.simulate(system, key, num_particles=50, block_size=8, **grid)
    np.testing.assert_allclose(small.final, run.final, rtol=1e-4, atol=1e-5)
    # The statistic of a step is that of 4 of the 24 points, other ones in each step.
    chosen = []
    for k in range(4):
        of_all = np.asarray(network().statistic_columns(run.theta[k].T).mean(1))
        gaps = np.abs(of_all[:, None] - np.asarray(run.mean_statistic[k]))
        assert np.all(gaps.min(0) < 1e-5)
        chosen.append(frozenset(gaps.argmin(0).tolist()))
        assert len(chosen[-1]) == 4
    assert len(set(chosen)) > 1
    other = ssd.simulate(system, jax.random.key(1), num_particles=50, **grid)
    assert not np.array_equal(other.mean_statistic[0], run.mean_statistic[0])


def test_noise_of_the_batches_against_the_step(key):
    """On the same noise, the distance from the full gradient is of order √η."""
    steps, errors = np.array([8, 32, 128]), []
    for k in steps:
        grid = {"num_particles": 50, "t1": 1.0, "num_steps": int(k)}
        keys = jax.random.split(key, 16)

        def end(model, key, grid=grid):
            return ssd.simulate(ssd.System(model, NOISE, sigma=0.1), key, **grid).displacement

        full, batch = (
            jax.vmap(lambda one, m=m: end(m, one))(keys) for m in (network(), network(batch_size=3))
        )
        errors.append(np.sqrt(np.mean((full - batch) ** 2)))
    slope = np.polyfit(np.log(1 / steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.15)


def test_what_a_model_that_draws_its_data_cannot_do(key):
    system = ssd.System(network(batch_size=4), NOISE)
    grid = {"t1": 1.0, "num_steps": 4}
    with pytest.raises(ValueError, match="without batch_size"):
        ssd.law_flow(system, key, num_particles=100, **grid)
    with pytest.raises(ValueError, match="mean of a statistic"):
        ssd.dynamics.picard_flow(system, key, num_particles=100, **grid)
    with pytest.raises(ValueError, match="batch_size=25 is more than the 24"):
        network(batch_size=25)
    keys = jax.random.split(key, 2)
    errors = coupled_steps(system, keys, widths=(4, 8), num_steps=(4,), fine_steps=8, t1=1.0)
    assert np.isfinite(errors.sup).all()
    study = ssd.strong_error(
        system, key, widths=(4, 8), num_steps=(2, 4), fine_steps=8, t1=1.0, replicas=2
    )
    assert not study.bounds


def test_kinetic_systems_are_heavy_ball(key):
    """Euler's scheme against momentum by hand, with noise on the velocity alone."""
    inner = network()
    model = ssd.KineticModel(inner, friction=2.0)
    assert model.dim == 4
    system = ssd.System(model, NOISE, sigma=model.on_velocity(0.3))
    run = ssd.simulate(system, key, num_particles=20, t1=1.0, num_steps=16, save_every=1)
    theta, eta = np.asarray(run.theta, float), 1 / 16
    x = theta[..., :2]
    for k in range(1, 16):
        m = inner.statistic_columns(jnp.asarray(x[k - 1].T)).mean(1)
        force = np.asarray(inner.drift_columns(0.0, jnp.asarray(x[k - 1].T), m)).T
        kick = 0.3 * np.asarray(NOISE.increment(key, k - 1, eta, 20))
        ball = x[k] + (1 - 2 * eta) * (x[k] - x[k - 1]) + eta**2 * force + eta * kick
        np.testing.assert_allclose(x[k + 1], ball, atol=2e-4)
    with pytest.raises(ValueError, match="without pairs"):
        ssd.KineticModel(ssd.PairwiseModel(2, lambda a, b: a))


def test_kinetic_systems_know_the_tail_of_their_statistic(key):
    """It is a function of the positions, of the model's growth."""
    assert ssd.KineticModel(network()).statistic_growth == 0
    assert ssd.KineticModel(ssd.FunctionModel(1, abs, abs)).statistic_growth is None
    model = ssd.KineticModel(ssd.MeanReversion(2))
    assert model.statistic_growth == 1
    system = ssd.System(model, NOISE, sigma=model.on_velocity(0.3))
    study = ssd.propagation_of_chaos(
        system, key, widths=(4, 8, 12, 16), num_steps=2, t1=0.5, replicas=2
    )
    assert study.config["statistic_tail"] == 1.7


def test_kinetic_oscillator_reaches_its_stationary_law(key):
    """Gaussian noise: Var v = σ²/(2γ), Var x = σ²/(2γ k); within 5 % of the discretisation."""
    model = ssd.KineticModel(ssd.MeanReversion(1, rate=2.0, coupling=0.0), friction=1.0)
    system = ssd.System(model, ssd.Brownian(1), sigma=model.on_velocity(1.0))
    run = ssd.simulate(system, key, num_particles=20_000, t1=10.0, num_steps=1000)
    variance = np.asarray(run.final, float).var(0)
    # 5.5 standard errors √(2/n) = 1 % each, and the step.
    np.testing.assert_allclose(variance, [0.25, 0.5], rtol=0.1)


@pytest.mark.parametrize("bounded", [True, False])
def test_second_layer(bounded, key):
    """The drift is minus n times the gradient of the risk; bounds hold, or there are none."""
    model = weighted(bounded)
    assert model.dim == 3
    theta = jnp.asarray(RNG.normal(size=(7, 3)))
    m = model.statistic_columns(theta.T).mean(1)
    gradient = jax.grad(lambda th: model.risk(th))(theta)
    drift = model.drift_columns(jnp.zeros(()), theta.T, m).T
    np.testing.assert_allclose(drift, -7 * gradient, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.drift(theta[0], m), drift[0], rtol=1e-4, atol=1e-6)
    constants = model.assumption_constants()
    assert constants.holds == bounded
    if not bounded:
        assert "unbounded" in constants.reason
        return
    # Suprema are not exceeded on a wide sample, and not far away.
    sample = jnp.asarray(RNG.normal(size=(4000, 3)) * np.array([2.0, 2.0, 2.0]))
    unit, x = model.unit, model.x[:3]
    jacobian = jax.vmap(lambda th: jax.jacobian(lambda t: unit.outputs(t, x)[:, 0])(th))(sample)
    hessian = jax.vmap(lambda th: jax.hessian(lambda t: unit.outputs(t, x)[:, 0])(th))(sample)
    norms = np.linalg.norm(jacobian, axis=-1), np.linalg.norm(hessian, ord=2, axis=(-2, -1))
    for order, found in enumerate(norms, 1):
        assert np.all(found.max(0) <= constants.unit[:3, order] * (1 + 1e-5))
        assert np.all(found.max(0) >= 0.5 * constants.unit[:3, order])


@pytest.mark.parametrize("bounded", [True, False])
def test_studies_of_a_second_layer(bounded, key):
    """Both run; only bounded weights have bounds, and a statistic with a variance."""
    system = ssd.System(weighted(bounded), ssd.IsotropicStable(1.7, 3), sigma=0.2)
    grid = {"num_steps": 4, "t1": 0.5, "law_particles": 8192}
    study = ssd.propagation_of_chaos(system, key, widths=(8, 16, 32, 64), replicas=32, **grid)
    assert study.slope().estimate == pytest.approx(-0.5, abs=0.25)
    assert bool(study.bounds) == bounded
    assert study.config["statistic_tail"] == (None if bounded else 1.7)
    heavy = ssd.System(weighted(bounded), ssd.IsotropicStable(1.3, 3), sigma=1.0)
    kept = ssd.compressibility(
        heavy, key, widths=(64, 128, 256, 512), kappas=(0.1,), replicas=128, **grid
    )
    # 5.5 standard deviations: the bootstrap has 0.027 for a slope from so many replicas.
    assert abs(kept.slope().estimate - compression_exponent(1.3)) < 0.15
    assert not kept.bounds
