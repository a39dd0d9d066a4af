"""Gradients through a simulation: right, bounded in memory, on every device layout."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics._adjoint import reversal

STEPS = 1000


def least_steps(length, free):
    """Steps taken by the best schedule, by trying all: the recursion behind revolve."""
    cost = np.zeros((length + 1, free + 1), int)
    for n in range(2, length + 1):
        cost[n, 0] = n * (n - 1) // 2
        for s in range(1, free + 1):
            m = np.arange(1, n)
            cost[n, s] = np.min(m + cost[n - m, s - 1] + cost[m, s])
    return cost[length, free]


@pytest.mark.parametrize("checkpoints", [0, 1, 2, 5])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 61])
def test_the_schedule_visits_every_state_backwards_in_the_fewest_steps(num_steps, checkpoints):
    turns, moves = reversal(num_steps, checkpoints)
    stored, visited, taken = {0: 0}, [], 0
    for begin, end, source, first, steps in zip(*turns, strict=True):
        for i in range(begin, end):
            assert stored[int(moves.source[i])] == moves.first[i]
            assert 0 < moves.target[i] <= checkpoints
            stored[int(moves.target[i])] = moves.first[i] + moves.steps[i]
            taken += moves.steps[i]
        assert stored[int(source)] == first
        visited.append(first + steps)
        taken += steps
    assert visited == list(range(num_steps))[::-1]
    assert taken == least_steps(num_steps, checkpoints)


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
@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_memory_about_three_times_the_runs(network, key, kind, save_every):
    """Temporary memory of the compiled programs, gradient in all four parameters at once."""
    with jax.enable_x64(True):
        value = statistic(network, kind, 5000, key, save_every)
        point = jnp.array(POINT)

        def temporary(function):
            analysis = jax.jit(function).lower(point).compile().memory_analysis()
            return analysis.temp_size_in_bytes

        # 2.8 to 3.2 at most: in arrays of the size of a state, 42 against 13 of the run.
        assert temporary(jax.grad(value)) <= 3.25 * temporary(value)


@pytest.mark.slow
def test_is_the_gradient_that_jax_takes_of_all_steps(network, key, dtype):
    noise = ssd.IsotropicStable(1.6, 2)

    def value(p, checkpoints):
        run = ssd.simulate(
            ssd.System(network, noise, sigma=p[0], init=p[1]),
            key,
            num_particles=7,
            t1=1.0,
            num_steps=24,
            save_every=8,
            scheme="heun",
            checkpoints=checkpoints,
        )
        return jnp.sum(jnp.sin(run.theta) * jnp.arange(1.0, 5)[:, None, None])

    p = jnp.array([0.4, 1.1], dtype)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    expected = jax.grad(value)(p, "all")
    for checkpoints in (0, 1, None, 100):
        assert value(p, checkpoints) == value(p, "all")
        np.testing.assert_allclose(jax.grad(value)(p, checkpoints), expected, rtol=tolerance)
    np.testing.assert_allclose(jax.jacfwd(value)(p, "all"), expected, rtol=tolerance)


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


@pytest.mark.parametrize("bad", [-1, 1.5, "some", True])
def test_bad_checkpoints(network, key, bad):
    with pytest.raises(ValueError, match="checkpoints must be an integer"):
        ssd.simulate(
            ssd.System(network, ssd.OneFactorStable(1.5, 2)),
            key,
            num_particles=2,
            t1=1.0,
            num_steps=2,
            checkpoints=bad,
        )


def test_many_steps_are_scheduled():
    turns, _ = reversal(20_000, 3)
    assert len(turns.steps) == 20_000
    assert math.isfinite(turns.steps.sum())
