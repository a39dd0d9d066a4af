"""Simulation: against a plain NumPy Euler loop, exact laws, couplings and layouts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_limit, coupled_steps


class Counter(list):
    """A list that can be a static field."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def plain_euler(model, noise, key, theta, steps, dt, sigma):
    """The scheme of eq. (2), written out."""
    statistic, drift = jax.vmap(model.statistic), jax.vmap(model.drift, in_axes=(0, None))
    for k in range(steps):
        jump = noise.increment(key, k, dt, theta.shape[0], dtype=theta.dtype)
        theta = theta + dt * drift(theta, statistic(theta).mean(0)) + sigma * jump
    return theta


@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_simulate_is_the_euler_scheme(kind, network, key):
    with jax.enable_x64(True):
        noise = ssd.stable_noise(kind, 1.5, 2)
        run = ssd.simulate(
            ssd.System(network, noise, sigma=0.3), key, num_particles=50, t1=0.5, num_steps=20
        )
        expected = plain_euler(network, noise, key, run.initial, 20, 0.5 / 20, 0.3)
        np.testing.assert_allclose(run.final, expected, rtol=1e-9, atol=1e-9)


def test_saved_times_and_parts(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    settings = dict(num_particles=10, t1=2.0, num_steps=12)
    run = ssd.simulate(ssd.System(network, noise), key, save_every=3, **settings)
    np.testing.assert_allclose(run.times, [0, 0.5, 1, 1.5, 2])
    assert run.theta.shape == (5, 10, 2)
    np.testing.assert_array_equal(run.theta[0], run.initial)
    end = ssd.simulate(ssd.System(network, noise), key, **settings)
    np.testing.assert_array_equal(end.theta, run.theta[-1:])
    constants = network.assumption_constants()
    way = np.linalg.norm(run.displacement, axis=-1).max(1)
    assert np.all(way <= constants.drift_bound * np.asarray(run.times) + 1e-6)


def test_trajectories_of_several_keys(network, key):
    """Views of a batched trajectory are those of its members, whatever the sizes coincide."""
    noise = ssd.OneFactorStable(1.5, 2)
    keys = jax.random.split(key, 2)

    def run(k):
        return ssd.simulate(
            ssd.System(network, noise), k, num_particles=3, t1=1.0, num_steps=4, save_every=4
        )

    batch, single = jax.vmap(run)(keys), run(keys[0])
    assert batch.theta.shape == (2, 2, 3, 2)
    np.testing.assert_allclose(batch.theta[0], single.theta, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch.final[0], single.final, rtol=1e-5, atol=1e-6)
    assert "2 runs, 3 particles" in repr(batch)
    assert "runs" not in repr(single)


@pytest.mark.as_compiled
def test_a_larger_system_contains_the_noise_of_a_smaller(network, key):
    noise = ssd.IndependentStable(1.5, 2)
    small = ssd.simulate(ssd.System(network, noise), key, num_particles=10, t1=1.0, num_steps=4)
    large = ssd.simulate(ssd.System(network, noise), key, num_particles=1000, t1=1.0, num_steps=4)
    np.testing.assert_array_equal(small.initial, large.initial[:10])
    np.testing.assert_array_equal(small.levy, large.levy[:, :10])
    assert np.any(small.displacement != large.displacement[:, :10])


def test_blocks_change_nothing_but_rounding(network, key):
    noise = ssd.IsotropicStable(1.3, 2)
    settings = dict(num_particles=960, t1=1.0, num_steps=8)
    whole = ssd.simulate(ssd.System(network, noise), key, **settings)
    for block in (96, 320, 960):
        blocked = ssd.simulate(ssd.System(network, noise), key, block_size=block, **settings)
        np.testing.assert_array_equal(whole.levy, blocked.levy)
        np.testing.assert_allclose(whole.displacement, blocked.displacement, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize("start", ["equilibrium", "point"])
def test_ornstein_uhlenbeck_process(kind, start, key):
    """The law of the process itself, in equilibrium and on its way there: 5.5 standard errors.

    X_t = e^{-λt} X_0 + stable of scale σ ((1 - e^{-αλt}) / (αλ))^{1/α}; the exponential scheme
    with 256 steps is within 0.002 of it.
    """
    alpha, n, sigma, rate = 1.5, 40_000, 0.7, 1.5
    noise = ssd.stable_noise(kind, alpha, 2)
    stationary = sigma * (1 / (alpha * rate)) ** (1 / alpha)
    init = (lambda k: stationary * noise.sample(k)) if start == "equilibrium" else np.ones(2)
    run = ssd.simulate(
        ssd.System(ssd.MeanReversion(2, rate=rate, coupling=0.0), noise, sigma=sigma, init=init),
        key,
        num_particles=n,
        t1=0.6,
        num_steps=256,
        save_every=128,
        scheme="exponential",
    )
    for t, theta in zip(run.times, np.asarray(run.theta, float), strict=True):
        decay = float(np.exp(-rate * t))
        scale = stationary * (1 if start == "equilibrium" else (1 - decay**alpha) ** (1 / alpha))
        centre = 0.0 if start == "equilibrium" else decay
        for u in (np.array([0.5, 0.2]), np.array([1.0, -2.0])):
            law = noise.characteristic_function(jnp.asarray(u * scale)).real
            law = float(law) * np.exp(1j * centre * u.sum())
            assert abs(np.exp(1j * theta @ u).mean() - law) < 5.5 / np.sqrt(n) + 0.002


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize("alpha", [1.2, 1.8])
def test_ornstein_uhlenbeck_law(kind, alpha, key):
    """Without mean field, Euler's θ_K is a sum of independent stable numbers: its law is exact.

    θ_K = r^K θ_0 + Σ r^(K-1-k) σ η^(1/α) X_k with r = 1 - rate η. 5.5 standard errors.
    """
    n, steps, t1, sigma, rate = 300_000, 10, 1.0, 0.7, 1.5
    noise = ssd.stable_noise(kind, alpha, 2)
    model = ssd.MeanReversion(2, rate=rate, coupling=0.0)
    run = ssd.simulate(
        ssd.System(model, noise, sigma=sigma, init=0.5),
        key,
        num_particles=n,
        t1=t1,
        num_steps=steps,
    )
    theta = np.asarray(run.final, float)
    r = 1 - rate * t1 / steps
    scale = sigma * (t1 / steps * np.sum(r ** (alpha * np.arange(steps)))) ** (1 / alpha)
    for u in (np.array([0.5, 0.2]), np.array([1.0, -2.0])):
        law = float(noise.characteristic_function(jnp.asarray(u * scale)).real)
        law *= np.exp(-0.5 * (0.5 * r**steps) ** 2 * u @ u)
        assert abs(np.cos(theta @ u).mean() - law) < 5.5 / np.sqrt(n)
        assert abs(np.sin(theta @ u).mean()) < 5.5 / np.sqrt(n)


def test_law_flow_against_an_exact_mean(key):
    """Linear drift: E θ_t solves m' = -rate (1 - coupling) m, whatever the noise."""
    model = ssd.MeanReversion(1, rate=1.0, coupling=0.5)
    flow = ssd.law_flow(
        ssd.System(model, ssd.OneFactorStable(2.0, 1), sigma=0.5, init=jnp.array([2.0])),
        key,
        t1=1.0,
        num_steps=64,
        num_particles=200_000,
    )
    exact = 2.0 * (1 - 0.5 / 64) ** np.arange(65)
    error = np.abs(np.asarray(flow.m)[:, 0] - exact)
    # A particle's mean carries the noise of the whole path: at most √2 times the spread's.
    assert np.all(error <= 5.5 * np.sqrt(2) * np.asarray(flow.standard_error)[:, 0] + 1e-5)


def test_law_flow_is_independent_of_the_particles(network, key):
    """Same key, same sizes: neither initial values nor increments of the flow are the system's.

    If the law flow drew the system's own numbers, its m_t would be the system's to rounding.
    """
    noise = ssd.OneFactorStable(1.5, 2)
    settings = dict(t1=1.0, num_steps=4, num_particles=1000)
    system = ssd.System(network, noise, sigma=2.0)
    flow = ssd.law_flow(system, key, batches=1, **settings)
    run = ssd.simulate(system, key, save_every=1, **settings)
    gap = np.abs(np.asarray(flow.m) - np.asarray(run.mean_statistic)).max(1)
    assert np.all(gap > 1e-3)
    increments = np.diff(gap)
    assert np.all(np.abs(increments) > 1e-6)


@pytest.mark.as_compiled
def test_limit_copies_share_noise_and_ignore_each_other(network, key):
    noise = ssd.IsotropicStable(1.5, 2)
    flow = ssd.law_flow(ssd.System(network, noise), key, t1=1.0, num_steps=8, num_particles=50_000)
    many = ssd.simulate_limit(flow, key, num_particles=1000)
    few = ssd.simulate_limit(flow, key, num_particles=10)
    np.testing.assert_allclose(few.final, many.final[:10], rtol=1e-6)
    system = ssd.simulate(ssd.System(network, noise), key, num_particles=1000, t1=1.0, num_steps=8)
    np.testing.assert_array_equal(system.levy, many.levy)
    gap = np.linalg.norm(system.displacement - many.displacement, axis=-1).max()
    assert 0 < gap < 0.05


def test_coupled_steps_agree_with_separate_simulations(key):
    """Coarse schemes read L at their own times: the sums of the fine increments inside a step."""
    with jax.enable_x64(True):
        model, noise = ssd.MeanReversion(2), ssd.IsotropicStable(1.5, 2)
        one = jax.random.fold_in(key, 5)
        errors = coupled_steps(
            ssd.System(model, noise),
            one[None],
            widths=(7, 20),
            num_steps=(4, 16),
            fine_steps=64,
            t1=1.0,
        )
        assert errors.sup.shape == (1, 2, 2)
        settings = dict(num_particles=20, t1=1.0, num_steps=64, save_every=4)
        fine = ssd.simulate(ssd.System(model, noise), one, **settings)
        levy = np.asarray(fine.levy)[::4]
        theta = np.asarray(fine.initial)
        gaps = np.zeros(20)
        for k in range(4):
            gaps = np.maximum(gaps, np.linalg.norm(theta - np.asarray(fine.theta)[4 * k], axis=1))
            velocity = -(theta - 0.5 * theta.mean(0))
            theta = theta + 0.25 * velocity + levy[k + 1] - levy[k]
        gaps = np.maximum(gaps, np.linalg.norm(theta - np.asarray(fine.final), axis=1))
        np.testing.assert_allclose(errors.sup[0, 1, 0], gaps.max(), rtol=1e-9)
        np.testing.assert_allclose(errors.mean[0, 1, 0], gaps.mean(), rtol=1e-9)


def test_coupled_limit_agrees_with_separate_simulations(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    flow = ssd.law_flow(ssd.System(network, noise), key, t1=1.0, num_steps=8, num_particles=20_000)
    keys = jax.random.split(key, 3)
    errors = coupled_limit(flow, keys, widths=(10, 40))
    for r in range(3):
        system = ssd.simulate(
            ssd.System(network, noise), keys[r], num_particles=40, t1=1.0, num_steps=8, save_every=1
        )
        limit = ssd.simulate_limit(flow, keys[r], num_particles=40, save_every=1)
        gap = np.linalg.norm(system.displacement - limit.displacement, axis=-1).max(0)
        np.testing.assert_allclose(errors.sup[r, 1], gap.max(), rtol=1e-4)
        np.testing.assert_allclose(errors.mean[r, 1], gap.mean(), rtol=1e-4)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_float32_errors_equal_float64_errors(alpha, network, key):
    """The split θ = θ₀ + σL + D: every replica and point of the error curves within 1 %.

    On the grid of the default strong-error study the largest difference is 0.04 %.
    """
    curves = {}
    for name in ("float32", "float64"):
        with jax.enable_x64(name == "float64"):
            model = ssd.NetworkModel("tanh", "logistic", np.asarray(network.x), np.arange(8) % 2)
            errors = coupled_steps(
                ssd.System(model, ssd.OneFactorStable(alpha, 2), dtype=name),
                jax.random.split(key, 4),
                widths=(10, 1000),
                num_steps=(8, 32, 128),
                fine_steps=1024,
                t1=1.0,
            )
            assert errors.sup.dtype == name
            curves[name] = np.asarray(errors.sup)
    np.testing.assert_allclose(curves["float32"], curves["float64"], rtol=0.01)


def test_initial_laws(network, key):
    noise = ssd.OneFactorStable(1.5, 2)

    def start(init):
        return np.asarray(
            ssd.simulate(
                ssd.System(network, noise, init=init), key, num_particles=5, t1=1.0, num_steps=1
            ).initial
        )

    np.testing.assert_allclose(start(3.0), 3 * start(None), rtol=1e-6)
    np.testing.assert_array_equal(start(np.array([1.0, 2.0])), np.tile([1.0, 2.0], (5, 1)))
    given = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(start(given), given)
    uniform = start(lambda k: jax.random.uniform(k, (2,)))
    assert uniform.shape == (5, 2)
    assert len(np.unique(uniform)) == 10


def test_gradient_through_a_simulation(network, key):
    with jax.enable_x64(True):
        noise = ssd.OneFactorStable(1.5, 2)

        def loss(sigma):
            run = ssd.simulate(
                ssd.System(network, noise, sigma=sigma), key, num_particles=20, t1=1.0, num_steps=10
            )
            return jnp.mean(jnp.tanh(run.final))

        h = 1e-6
        difference = (loss(0.5 + h) - loss(0.5 - h)) / (2 * h)
        np.testing.assert_allclose(jax.grad(loss)(0.5), difference, rtol=1e-5)


class Traced(ssd.MeanReversion):
    """Counts how often its statistic is compiled in."""

    count: list = eqx.field(static=True, default_factory=Counter)

    def statistic_columns(self, theta):
        self.count.append(1)
        return super().statistic_columns(theta)


def test_no_recompilation_for_new_values(key):
    model, noise = Traced(2), ssd.OneFactorStable(1.5, 2)

    def run(k, s, t):
        return ssd.simulate(
            ssd.System(model, noise, sigma=s), k, num_particles=11, t1=t, num_steps=3
        )

    run(key, 1.0, 1.0)
    before = len(model.count)
    assert before > 0
    run(jax.random.key(3), 0.5, 2.0)
    assert len(model.count) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(num_particles=0), "num_particles must be a positive integer"),
        (dict(num_steps=0), "num_steps"),
        (dict(num_steps=2.5), "num_steps"),
        (dict(t1=0.0), "t1"),
        (dict(t1=float("inf")), "t1"),
        (dict(num_particles=2**32), "below 2"),
        (dict(save_every=3), "must divide"),
        (dict(block_size=0), "block_size must be a positive integer"),
        (dict(num_particles=True), "num_particles must be a positive integer"),
        (dict(scheme="milstein"), "scheme must be one of"),
        (dict(scheme="exponential"), "linear_rate"),
        (dict(times=np.arange(3.0)), "either times"),
        (dict(num_steps=None), "give t1 and num_steps"),
        (dict(t1=None, num_steps=None, times=[0.0, 2.0, 1.0]), "increase"),
        (dict(t1=None, num_steps=None, times=[[0.0, 1.0]]), r"shape \(K"),
    ],
)
def test_bad_input(change, message, network, key):
    settings = dict(num_particles=10, t1=1.0, num_steps=10) | change
    with pytest.raises(ValueError, match=message):
        ssd.simulate(ssd.System(network, ssd.OneFactorStable(1.5, 2)), key, **settings)


def test_a_key_must_be_a_key(network):
    with pytest.raises(ValueError, match="must be one JAX PRNG key"):
        ssd.simulate(
            ssd.System(network, ssd.OneFactorStable(1.5, 2)),
            0,
            num_particles=10,
            t1=1.0,
            num_steps=10,
        )


def test_numpy_integers_are_integers(network, key):
    run = ssd.simulate(
        ssd.System(network, ssd.OneFactorStable(1.5, 2)),
        key,
        num_particles=np.int64(4),
        t1=np.float32(1),
        num_steps=np.int32(3),
    )
    assert run.final.shape == (4, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(model="tanh"), "model must be a stablesde.MeanFieldModel"),
        (dict(noise="I"), "noise must be a stablesde.LevyNoise"),
        (dict(noise=ssd.OneFactorStable(1.5, 3)), r"dim=3.*dim=2"),
        (dict(sigma=-1.0), "sigma must be finite and not negative"),
        (dict(dtype=jnp.float64), "64-bit mode"),
        (dict(dtype=jnp.int32), "float32 or float64"),
        (dict(sigma=float("nan")), "sigma"),
        (dict(sigma=np.ones(3)), "sigma has shape"),
        (dict(sigma=lambda t: t), r"sigma\(t, theta, m\) fails"),
        (dict(init="normal"), "init must be None"),
        (dict(init=["a", 1]), "init must be None"),
        (dict(init=lambda k: jnp.zeros(3)), r"init\(key\) must return"),
        (dict(init=np.zeros(3)), "init has shape"),
        (dict(init=np.zeros((0, 2))), "init has shape"),
        (dict(init=np.full(2, np.nan)), "init must be finite"),
    ],
)
def test_what_is_no_system(change, message, network):
    with pytest.raises(ValueError, match=message):
        ssd.System(**dict(model=network, noise=ssd.OneFactorStable(1.5, 2)) | change)


def test_a_system_is_asked_for(network, key):
    system = ssd.System(network, ssd.OneFactorStable(1.5, 2), init=np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"must be a stablesde.System, .*ssd.System\(model"):
        ssd.simulate(network, key, num_particles=5, t1=1.0, num_steps=1)
    with pytest.raises(ValueError, match=r"init has shape \(5, 2\).*\(4, 2\)"):
        ssd.simulate(system, key, num_particles=4, t1=1.0, num_steps=1)


def test_a_flow_carries_its_system_through_transformations(network, key):
    """A flow from `vmap` maps over its system, and one from `jit` holds the same system."""
    keys = jax.random.split(key, 2)
    system = ssd.System(network, ssd.OneFactorStable(1.5, 2), init=lambda k: jnp.ones(2))
    settings = dict(t1=1.0, num_steps=2, num_particles=300)
    flows = jax.vmap(lambda k: ssd.law_flow(system, k, **settings))(keys)
    copies = jax.vmap(lambda f, k: ssd.simulate_limit(f, k, num_particles=3))(flows, keys)
    flow = jax.jit(lambda k: ssd.law_flow(system, k, **settings))(keys[1])
    assert flow.system.init is system.init
    single = ssd.simulate_limit(flow, keys[1], num_particles=3)
    np.testing.assert_allclose(copies.final[1], single.final, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"use jax\.vmap over it"):
        ssd.simulate_limit(flows, key, num_particles=3)
