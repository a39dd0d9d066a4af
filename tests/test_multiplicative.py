"""Coefficients that are arrays or functions, and the tamed scheme.

Statistical tests: fixed keys, 5.5 standard errors (4e-8 per comparison).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_limit, coupled_steps, record

LINEAR = ssd.FunctionModel(1, lambda t, theta, m: 0.1 * theta)
ONE = np.ones(1)


class Growth(eqx.Module):
    """σ(t, θ, m) = rate θ, its number traced."""

    rate: float

    def __call__(self, t, theta, m):
        return self.rate * theta


def paths(noise, key, steps, n):
    """L at the times of a grid on [0, 1], (steps + 1, n, dim)."""
    drawn = [np.asarray(noise.increment(key, k, 1 / steps, n), float) for k in range(steps)]
    return np.concatenate([np.zeros((1, n, noise.dim)), np.cumsum(drawn, 0)])


def test_geometric_brownian_motion_against_its_closed_form(key):
    """θ_1 = exp(0.1 - σ²/2 + σ B_1), on the same noise: of order 1/2."""
    errors = []
    for steps in (64, 256, 1024):
        noise = ssd.Brownian(1)
        system = ssd.System(LINEAR, noise, sigma=Growth(0.5), init=ONE)
        run = ssd.simulate(system, key, num_particles=2000, t1=1.0, num_steps=steps)
        end = paths(noise, key, steps, 2000)[-1]
        exact = np.exp(0.1 - 0.125 + 0.5 * end)
        errors.append(np.sqrt(np.mean((run.final - exact) ** 2)))
    assert errors[2] < 0.01
    slope = np.polyfit(np.log([64, 256, 1024]), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)


def test_geometric_poisson_process_against_its_closed_form(key):
    """With jumps of size 1, θ_t = 1.5^N_t wherever no step has two of them."""
    noise = ssd.CompoundPoisson(2.0, 1, lambda key: jnp.ones(1))
    still = ssd.FunctionModel(1, lambda t, theta, m: jnp.zeros(1))
    system = ssd.System(still, noise, sigma=Growth(0.5), init=ONE)
    run = ssd.simulate(system, key, num_particles=5000, t1=1.0, num_steps=256)
    path = paths(noise, key, 256, 5000)
    single = np.diff(path, axis=0).max((0, 2)) < 1.5
    assert single.mean() > 0.95
    np.testing.assert_allclose(run.final[single], 1.5 ** path[-1][single], rtol=1e-4)


def test_ornstein_uhlenbeck_with_multiplicative_noise(key):
    """dθ = -θ dt + √(1 + θ²)/2 dB: the second moment of the scheme solves a recursion."""
    model = ssd.FunctionModel(1, lambda t, theta, m: -theta)
    sigma = lambda t, theta, m: jnp.sqrt(1 + theta**2)[:, None] / 2  # noqa: E731
    system = ssd.System(model, ssd.Brownian(1), sigma=sigma, init=ONE)
    run = ssd.simulate(system, key, num_particles=100_000, t1=2.0, num_steps=64)
    v, h = 1.0, 2 / 64
    for _ in range(64):
        v = (1 - h) ** 2 * v + h * (1 + v) / 4
    square = np.asarray(run.final, float) ** 2
    assert abs(square.mean() - v) < 5.5 * square.std() / np.sqrt(1e5)
    limit = 1 / 7 + 6 / 7 * np.exp(-3.5)  # of the equation: (v' = -7v/4 + 1/4)
    assert v == pytest.approx(limit, rel=0.03)


@pytest.mark.parametrize("alpha", [1.3, 2.0])
def test_coupled_steps_against_schemes_run_one_by_one(alpha, key):
    """Every width and step of one sweep, against Euler in NumPy on the same increments."""
    noise = ssd.IsotropicStable(alpha, 1)
    model = ssd.FunctionModel(1, lambda t, theta, m: jnp.sin(theta) + m - t, jnp.tanh)
    sigma = lambda t, theta, m: 1 + t + jnp.tanh(theta) / 2 + m  # noqa: E731
    system = ssd.System(model, noise, sigma=sigma)
    keys = jax.random.split(key, 3)
    errors = coupled_steps(system, keys, widths=(20, 33), num_steps=(8, 16), fine_steps=64, t1=1.0)
    for r in range(3):
        increments = np.diff(paths(noise, keys[r], 64, 33), axis=0)
        start = ssd.simulate(
            system, keys[r], num_particles=33, t1=1.0, num_steps=64, save_every=64
        ).initial

        def euler(n, stride, increments=increments, start=start):
            theta = np.asarray(start[:n], float)
            path = [theta]
            for k in range(0, 64, stride):
                t, m = k / 64, np.tanh(theta).mean(0)
                drift = np.sin(theta) + m - t
                scale = 1 + t + np.tanh(theta) / 2 + m
                theta = theta + drift * stride / 64 + scale * increments[k : k + stride, :n].sum(0)
                path.append(theta)
            return np.array(path)

        for i, n in enumerate((20, 33)):
            fine = euler(n, 1)
            for j, stride in enumerate((8, 4)):
                gap = np.abs(euler(n, stride) - fine[::stride])[..., 0]
                np.testing.assert_allclose(errors.sup[r, i, j], gap.max(), rtol=1e-3)
                np.testing.assert_allclose(errors.mean[r, i, j], gap.max(0).mean(), rtol=1e-3)
                np.testing.assert_allclose(errors.final_mean[r, i, j], gap[-1].mean(), rtol=1e-3)


def test_all_of_the_engine_takes_a_function_as_sigma(key, tmp_path):
    """Widths share their noise, devices and blocks change nothing, the limit is approached."""
    model = ssd.FunctionModel(1, lambda t, theta, m: m - theta, jnp.tanh)
    sigma = lambda t, theta, m: 0.5 + jnp.tanh(theta) ** 2 / 4 + m**2  # noqa: E731
    system = ssd.System(model, ssd.IsotropicStable(1.8, 1), sigma=sigma)
    grid = {"t1": 1.0, "num_steps": 8}
    run = ssd.simulate(system, key, num_particles=200, **grid)
    assert not np.any(np.asarray(run.levy))
    blocks = ssd.simulate(system, key, num_particles=200, block_size=64, **grid)
    np.testing.assert_allclose(run.final, blocks.final, rtol=1e-5, atol=1e-6)
    flow = ssd.law_flow(system, key, num_particles=20_000, **grid)
    copies = ssd.simulate_limit(flow, key, num_particles=200)
    assert np.median(np.abs(copies.final - run.final)) < 0.1
    errors = coupled_limit(flow, jax.random.split(key, 64), widths=(16, 256))
    medians = np.median(errors.mean, 0)  # a quarter, up to the spread of 64 replicas
    assert medians[0] > 2 * medians[1]
    written = record(system, key, run_dir=tmp_path, num_particles=200, save_every=8, **grid)
    (part,) = written
    np.testing.assert_array_equal(part.final, run.final)
    study = ssd.propagation_of_chaos(
        system, key, widths=(8, 16, 32, 64), num_steps=4, t1=1.0, replicas=4, law_particles=4096
    )
    assert "additive" in study.notes[-1]
    steps = ssd.strong_error(
        system, key, widths=(4, 8), num_steps=(2, 4), fine_steps=16, t1=1.0, replicas=2
    )
    assert steps.errors["sup"].shape == (2, 2, 2)


def test_numbers_of_a_function_are_traced_and_differentiated(key):
    grid = {"num_particles": 50, "t1": 1.0, "num_steps": 8}
    noise = ssd.Brownian(1)

    def end(rate):
        system = ssd.System(LINEAR, noise, sigma=Growth(rate), init=ONE)
        return jnp.mean(ssd.simulate(system, key, **grid).final)

    slope = float(jax.grad(end)(0.5))
    assert slope == pytest.approx(float(end(0.51) - end(0.49)) / 0.02, rel=1e-2)


def test_arrays_of_scales(key):
    noise = ssd.IsotropicStable(1.5, 2)
    grid = {"num_particles": 100, "t1": 1.0, "num_steps": 4, "save_every": 1}
    plain = ssd.simulate(ssd.System(ssd.MeanReversion(2), noise), key, **grid)
    scales, matrix = np.array([0.5, 2.0]), np.array([[1.0, 2.0], [0.0, -1.0], [0.3, 0.4]])
    scaled = ssd.simulate(ssd.System(ssd.MeanReversion(2), noise, sigma=scales), key, **grid)
    np.testing.assert_allclose(scaled.levy, plain.levy * scales, rtol=1e-5, atol=1e-5)
    system = ssd.System(ssd.MeanReversion(3), noise, sigma=matrix)
    image = ssd.simulate(system, key, **grid)
    np.testing.assert_allclose(image.levy, plain.levy @ matrix.T, rtol=1e-4, atol=1e-4)
    assert system.dim == 3
    # The same as the image of the noise, and as a function that gives the matrix.
    other = ssd.System(ssd.MeanReversion(3), ssd.LinearImage(matrix, noise))
    np.testing.assert_allclose(ssd.simulate(other, key, **grid).levy, image.levy, rtol=1e-4)
    function = ssd.System(ssd.MeanReversion(3), noise, sigma=lambda t, th, m: jnp.asarray(matrix))
    run = ssd.simulate(function, key, **grid)
    np.testing.assert_allclose(run.final, image.final, rtol=1e-4, atol=1e-4)
    small = ssd.simulate(system, key, **{**grid, "num_particles": 37}, block_size=8)
    np.testing.assert_array_equal(small.levy, image.levy[:, :37])


def test_tamed_scheme(key):
    """A cubic drift at α = 1.2: Euler loses its numbers, the tamed scheme stays in the wells."""
    cubic = ssd.FunctionModel(1, lambda t, theta, m: theta - theta**3)
    system = ssd.System(cubic, ssd.IsotropicStable(1.2, 1))
    grid = {"num_particles": 2000, "t1": 20.0, "num_steps": 1000}
    euler = ssd.simulate(system, key, **grid).final
    assert np.isfinite(euler).mean() < 0.6
    tamed = ssd.simulate(system, key, scheme="tamed", **grid).final
    assert np.isfinite(tamed).all()
    assert 0.5 < np.median(np.abs(tamed)) < 2
    # The step is η b / (1 + η ‖b‖), whatever the size of b.
    still = ssd.System(
        ssd.FunctionModel(2, lambda t, theta, m: theta**5), ssd.Brownian(2), sigma=0.0,
        init=np.array([[0.5, -1.0], [1e4, 2e4], [1e7, -1e7], [0.0, 0.0]]),
    )  # fmt: skip
    run = ssd.simulate(still, key, num_particles=4, t1=0.1, num_steps=1, scheme="tamed")
    b = np.asarray(still.init, float) ** 5
    expected = 0.1 * b / (1 + 0.1 * np.linalg.norm(b, axis=1, keepdims=True))
    np.testing.assert_allclose(run.displacement[0, [0, 3]], expected[[0, 3]], rtol=1e-5)
    assert np.linalg.norm(run.displacement[0, 1:3], axis=1) == pytest.approx([1, 1], rel=0.5)
    errors = coupled_steps(
        system, jax.random.split(key, 4), widths=(50,), num_steps=(64, 256), fine_steps=2048,
        t1=1.0, scheme="tamed",
    )  # fmt: skip
    medians = np.median(errors.mean, (0, 1))
    assert medians[1] < 0.7 * medians[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": lambda t, theta, m: jnp.ones(3)}, "sigma has shape"),
        ({"sigma": lambda t, theta: theta}, r"sigma\(t, theta, m\) fails"),
        ({"sigma": np.ones((2, 3))}, "build the noise|sigma has shape"),
        ({"sigma": np.ones((3, 2))}, "sigma has shape"),
        ({"sigma": [1.0, np.nan]}, "finite numbers"),
        ({"sigma": np.ones(3)}, "sigma has shape"),
        ({"noise": ssd.Brownian(1)}, "build the noise with dim=model.dim, or give a matrix"),
        ({"noise": "Brownian"}, "noise must be a stablesde.LevyNoise"),
    ],
)
def test_bad_coefficients(settings, message):
    with pytest.raises(ValueError, match=message):
        ssd.System(ssd.MeanReversion(2), **{"noise": ssd.Brownian(2), **settings})


def test_what_needs_an_additive_stable_noise_says_so(key):
    multiplied = ssd.System(LINEAR, ssd.IsotropicStable(1.5, 1), sigma=Growth(1.0))
    brownian = ssd.System(LINEAR, ssd.Brownian(1))
    for scheme in ("heun", "exponential"):
        with pytest.raises(ValueError, match=r"scheme"):
            ssd.simulate(multiplied, key, num_particles=4, t1=1.0, num_steps=4, scheme=scheme)
    grid = {"t1": 1.0, "num_steps": 4}
    for system, message in ((multiplied, "one number as sigma"), (brownian, "StableNoise")):
        with pytest.raises(ValueError, match=message):
            ssd.fokker_planck(system, **grid)
        with pytest.raises(ValueError, match=message):
            ssd.tail_study(system, key, num_columns=1000, law_particles=1000, **grid)
        with pytest.raises(ValueError, match=message):
            ssd.compressibility(system, key, widths=(8, 16), kappas=(0.5,), **grid)
        with pytest.raises(ValueError, match=message):
            ssd.theory.predict_strong_error(
                system, key, widths=(4,), num_steps=(4,), t1=1.0, replicas=2
            )
