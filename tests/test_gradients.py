"""Gradients through a simulation: right, bounded in memory, on every device layout."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics._nested import advance, loops, run_and_save

STEPS = 1000


@pytest.mark.parametrize("num_steps", [*range(1, 200), 997, 1000, 1024, 20_000, 65_537])
def test_the_loops_hold_all_steps_and_few_states(num_steps):
    turns = loops(num_steps)
    assert num_steps <= math.prod(turns) <= 17 / 16 * num_steps
    assert sum(turns) <= max(16, 3 * math.log2(num_steps))


@pytest.mark.parametrize("num_steps", [1, 6, 11, 32, 101])
@pytest.mark.parametrize("first", [0, 5])
def test_every_step_is_taken_once_and_in_order(num_steps, first):
    def step(seen, k):
        here = jnp.argmax(seen < 0)
        return seen.at[here].set(k), k

    steps = jnp.full(2 * num_steps + 1, -1)
    np.testing.assert_array_equal(advance(step, steps, num_steps)[:num_steps], range(num_steps))
    shifted = lambda seen, k: step(seen, first + k)  # noqa: E731
    end, starts, reports = run_and_save(shifted, steps, num_steps, 2)
    np.testing.assert_array_equal(end[:-1], first + np.arange(2 * num_steps))
    np.testing.assert_array_equal(np.sum(starts >= 0, 1), [0, num_steps])
    np.testing.assert_array_equal(reports, [first, first + num_steps])


@pytest.mark.parametrize("num_steps", [16, 17, 37])
@pytest.mark.parametrize("save", [False, True])
def test_a_drift_that_is_not_defined_beyond_the_end(key, num_steps, save):
    """Where the loops hold a few steps too many, these leave no trace in a derivative."""

    def value(rate):
        model = ssd.FunctionModel(1, lambda t, th, m: -rate * jnp.sqrt(1 - t) * th, jnp.tanh)
        system = ssd.System(model, ssd.OneFactorStable(1.5, 1))
        every = num_steps if save else None
        run = ssd.simulate(
            system, key, num_particles=3, t1=1.0, num_steps=num_steps, save_every=every
        )
        return jnp.sum(jnp.tanh(run.theta[-1]))

    with jax.debug_nans(True):
        backward = jax.grad(value)(0.7)
    np.testing.assert_allclose(backward, jax.jvp(value, (0.7,), (1.0,))[1], rtol=1e-4)


def statistic(network, kind, n, key, save_every=None):
    """A function of (σ, α, a rate of the drift, the scale of θ₀)."""

    def value(p):
        run = ssd.simulate(
            ssd.System(
                ssd.WeightDecay(network, p[2]),
                ssd.stable_noise(kind, p[1], 2),
                sigma=p[0],
                init=p[3],
            ),
            key,
            num_particles=n,
            t1=1.0,
            num_steps=STEPS,
            save_every=save_every,
        )
        return jnp.mean(jnp.tanh(run.theta - 0.5)) + jnp.mean(run.mean_statistic)

    return value


POINT = [0.5, 1.7, 0.8, 1.3]


@pytest.mark.parametrize("save_every", [None, 250])
@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_agrees_with_finite_differences(network, key, kind, save_every):
    with jax.enable_x64(True):
        value, h = jax.jit(statistic(network, kind, 20, key, save_every)), 1e-5
        point = jnp.array(POINT)
        steps = h * jnp.eye(4)
        differences = [(value(point + e) - value(point - e)) / (2 * h) for e in steps]
        gradient = jax.grad(statistic(network, kind, 20, key, save_every))(point)
        np.testing.assert_allclose(gradient, differences, rtol=1e-4)


@pytest.mark.parametrize("save_every", [None, 250])
@pytest.mark.parametrize("kind", ["I", "III"])
def test_memory_of_a_few_dozen_states(network, key, kind, save_every):
    """Temporary memory of the compiled gradient in all four parameters of a run of 1000 steps."""
    with jax.enable_x64(True):
        value, n = statistic(network, kind, 5000, key, save_every), 5000
        compiled = jax.jit(jax.grad(value)).lower(jnp.array(POINT)).compile()
        state = 2 * n * 2 * 8  # σL and D, in two dimensions
        assert compiled.memory_analysis().temp_size_in_bytes <= 50 * state  # 37 to 45


@pytest.mark.slow
def test_both_modes_agree(network, key, dtype):
    noise = ssd.IsotropicStable(1.6, 2)

    def value(p):
        run = ssd.simulate(
            ssd.System(network, noise, sigma=p[0], init=p[1]),
            key,
            num_particles=7,
            t1=1.0,
            num_steps=24,
            save_every=8,
            scheme="heun",
        )
        return jnp.sum(jnp.sin(run.theta) * jnp.arange(1.0, 5)[:, None, None])

    p = jnp.array([0.4, 1.1], dtype)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    expected = jax.jacfwd(value)(p)
    np.testing.assert_allclose(jax.grad(value)(p), expected, rtol=tolerance)
    np.testing.assert_allclose(
        jax.jvp(value, (p,), (jnp.ones_like(p),))[1], expected.sum(), rtol=tolerance
    )


@pytest.mark.slow
def test_in_jit_and_vmap_and_with_a_model_that_closes_over_what_is_differentiated(key):
    noise = ssd.IndependentStable(1.8, 1)

    def value(rate, key):
        pull = ssd.FunctionModel(1, lambda t, th, m: rate * (m - th) - th, lambda th: th)
        run = ssd.simulate(ssd.System(pull, noise), key, num_particles=5, t1=1.0, num_steps=20)
        return jnp.sum(jnp.tanh(run.final))

    with jax.enable_x64(True):
        keys, h = jax.random.split(key, 3), 1e-5
        got = jax.jit(jax.vmap(jax.grad(value), (None, 0)))(0.7, keys)
        for k, gradient in zip(keys, got, strict=True):
            difference = (value(0.7 + h, k) - value(0.7 - h, k)) / (2 * h)
            np.testing.assert_allclose(gradient, difference, rtol=1e-6)


def test_through_copies_of_the_limit(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    with jax.enable_x64(True):
        flow = ssd.law_flow(
            ssd.System(network, noise, sigma=0.5), key, t1=1.0, num_steps=20, num_particles=64
        )

        def value(scale):
            run = ssd.simulate_limit(flow, key, num_particles=9)
            return jnp.mean(run.final**2 / (1 + run.final**2))

        h = 1e-5
        difference = (value(1.0 + h) - value(1.0 - h)) / (2 * h)
        np.testing.assert_allclose(jax.grad(value)(1.0), difference, rtol=1e-6)
