"""Schemes, time grids and systems that users put together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_steps


def order(system, key, scheme):
    """Slope of the mean error in the step, the reference being the same scheme, 32 times finer."""
    steps = np.array([8, 16, 32])
    errors = coupled_steps(
        system,
        jax.random.split(key, 4),
        widths=(50,),
        num_steps=tuple(steps),
        fine_steps=1024,
        t1=1.0,
        scheme=scheme,
    )
    values = np.median(np.asarray(errors.mean)[:, 0], 0)
    return np.polyfit(np.log(1 / steps), np.log(values), 1)[0], values


def test_orders_without_noise(network, key):
    """Euler's first and Heun's second order, which only noise takes from it."""
    with jax.enable_x64(True):
        system = ssd.System(network, ssd.OneFactorStable(1.5, 2), sigma=0.0)
        slow, _ = order(system, key, "euler")
        fast, _ = order(system, key, "heun")
        assert abs(slow - 1) < 0.05
        assert abs(fast - 2) < 0.05


def test_heun_is_of_higher_order_for_gaussian_noise(key):
    """Additive Gaussian noise: Heun has strong order 3/2 up to 1, Euler 1; jumps spoil it."""
    with jax.enable_x64(True):
        model = ssd.NetworkModel("tanh", "squared", np.ones((1, 1)), np.array([3.0]))
        system = ssd.System(model, ssd.OneFactorStable(2.0, 1), sigma=0.3)
        _, euler = order(system, key, "euler")
        _, heun = order(system, key, "heun")
        assert np.all(heun < 0.5 * euler)


def test_the_exponential_scheme_is_exact_for_the_linear_part(key):
    """Without noise -λθ is integrated exactly, also where Euler's steps of 3 / λ blow up."""
    model = ssd.MeanReversion(1, rate=30.0, coupling=0.0)
    settings = dict(num_particles=3, t1=1.0, num_steps=10)
    system = ssd.System(model, ssd.OneFactorStable(1.5, 1), sigma=0.0, init=np.array([2.0]))
    exact = ssd.simulate(system, key, scheme="exponential", save_every=1, **settings)
    np.testing.assert_allclose(
        exact.theta[:, 0, 0], 2 * np.exp(-30 * np.asarray(exact.times)), rtol=1e-5, atol=2e-6
    )
    euler = ssd.simulate(system, key, **settings)
    assert np.all(np.abs(euler.final) > 1000)


@pytest.mark.parametrize("scheme", ["euler", "heun", "exponential"])
def test_limit_copies_and_coupled_runs_use_the_scheme(scheme, key):
    """Distances from `coupled_steps` are those of separate runs on summed noise, per scheme."""
    with jax.enable_x64(True):
        model = ssd.WeightDecay(ssd.MeanReversion(1, rate=0.5), 1.0)
        assert float(model.linear_rate) == 1.5
        noise, one = ssd.OneFactorStable(1.5, 1), jax.random.fold_in(key, 3)
        errors = coupled_steps(
            ssd.System(model, noise),
            one[None],
            widths=(20,),
            num_steps=(4,),
            fine_steps=16,
            t1=1.0,
            scheme=scheme,
        )
        settings = dict(num_particles=20, t1=1.0, num_steps=16, save_every=4, scheme=scheme)
        fine = ssd.simulate(ssd.System(model, noise), one, **settings)
        levy, theta0 = np.asarray(fine.levy), np.asarray(fine.initial)
        b = lambda x: -0.5 * (x - 0.5 * x.mean(0)) - x  # noqa: E731
        h = 0.25
        displacement = np.zeros_like(theta0)
        gap = np.zeros(20)
        weight = (1 - np.exp(-1.5 * h)) / 1.5 if scheme == "exponential" else h
        for k in range(4):
            speed = b(theta0 + levy[k] + displacement)
            ahead = displacement + weight * speed
            if scheme == "heun":
                ahead = displacement + h / 2 * (speed + b(theta0 + levy[k + 1] + ahead))
            displacement = ahead
            distance = np.linalg.norm(displacement - np.asarray(fine.displacement)[k + 1], axis=1)
            gap = np.maximum(gap, distance)
        np.testing.assert_allclose(errors.sup[0, 0, 0], gap.max(), rtol=1e-9)
        np.testing.assert_allclose(errors.mean[0, 0, 0], gap.mean(), rtol=1e-9)


def test_uneven_times(key):
    """A decreasing schedule is the scheme with those steps, and a uniform one is the usual run."""
    with jax.enable_x64(True):
        model, noise = ssd.MeanReversion(2), ssd.IsotropicStable(1.6, 2)
        times = np.concatenate([[0], np.cumsum(0.3 / np.sqrt(np.arange(1, 9)))])
        run = ssd.simulate(
            ssd.System(model, noise), key, num_particles=6, times=times, save_every=2
        )
        np.testing.assert_allclose(run.times, times[::2])
        theta = np.asarray(run.initial)
        for k, h in enumerate(np.diff(times)):
            speed = -(theta - 0.5 * theta.mean(0))
            theta = theta + h * speed + np.asarray(noise.increment(key, k, h, 6))
        np.testing.assert_allclose(run.final, theta, rtol=1e-12)
        even = ssd.simulate(
            ssd.System(model, noise), key, num_particles=6, times=np.linspace(0, 1, 9)
        )
        usual = ssd.simulate(ssd.System(model, noise), key, num_particles=6, t1=1.0, num_steps=8)
        np.testing.assert_array_equal(even.levy, usual.levy)


def test_a_drift_of_time(key):
    model = ssd.FunctionModel(2, lambda t, theta, m: jnp.array([t, 1.0]))
    noise = ssd.OneFactorStable(1.5, 2)
    with jax.enable_x64(True):
        run = ssd.simulate(
            ssd.System(model, noise), key, num_particles=3, t1=2.0, num_steps=10, scheme="heun"
        )
        np.testing.assert_allclose(run.displacement[0], np.full((3, 2), 2.0), rtol=1e-12)
    assert run.mean_statistic.shape == (1, 0)


def test_mean_statistic_is_that_of_the_saved_particles(network, key):
    run = ssd.simulate(
        ssd.System(network, ssd.OneFactorStable(1.5, 2)),
        key,
        num_particles=30,
        t1=1.0,
        num_steps=6,
        save_every=2,
    )
    for theta, m in zip(run.theta, run.mean_statistic, strict=True):
        expected = jax.vmap(network.statistic)(theta).mean(0)
        np.testing.assert_allclose(m, expected, rtol=1e-5, atol=1e-6)


def test_weight_decay_confines(network, key):
    noise = ssd.OneFactorStable(1.8, 2)
    settings = dict(num_particles=2000, t1=8.0, num_steps=64)
    free = ssd.simulate(ssd.System(network, noise), key, **settings)
    confined = ssd.simulate(ssd.System(ssd.WeightDecay(network, 1.0), noise), key, **settings)
    median = lambda run: np.median(np.linalg.norm(run.final, axis=1))  # noqa: E731
    assert median(confined) < 0.6 * median(free)


class TestWrongModels:
    noise = ssd.OneFactorStable(1.5, 2)

    def run(self, model):
        return ssd.simulate(
            ssd.System(model, self.noise), jax.random.key(0), num_particles=4, t1=1.0, num_steps=2
        )

    def test_drift_shape(self):
        with pytest.raises(ValueError, match=r"drift must return .* shape \(2,\), got shape \(\)"):
            self.run(ssd.FunctionModel(2, lambda t, theta, m: theta.sum()))

    def test_statistic_shape(self):
        with pytest.raises(ValueError, match=r"statistic must return .*got shape \(\)"):
            self.run(ssd.FunctionModel(2, lambda t, x, m: x, lambda theta: theta.sum()))

    def test_a_diverging_scheme_is_told(self, key):
        model = ssd.FunctionModel(2, lambda t, theta, m: theta - theta**3, lambda theta: theta)
        with pytest.raises(ValueError, match="not finite from step"):
            ssd.law_flow(
                ssd.System(model, self.noise), key, t1=1.0, num_steps=50, num_particles=10_000
            )

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: ssd.FunctionModel(0, lambda t, x, m: x), "dim must be"),
            (lambda: ssd.FunctionModel(1, 3.0), "drift_function must be"),
            (lambda: ssd.FunctionModel(1, lambda t, x, m: x, 3.0), "statistic_function must"),
            (lambda: ssd.WeightDecay(ssd.MeanReversion(1), -1.0), "not negative"),
            (lambda: ssd.WeightDecay("tanh", 1.0), "must be a MeanFieldModel"),
        ],
    )
    def test_construction(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()
