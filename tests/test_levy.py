"""Lévy noises against their exponents, and as functions of (key, particle, step)."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

N = 100_000
MATRIX = np.array([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.0]])


def traced_numbers(noise):
    """The noise with its numbers as arguments of a program, as simulations have them."""
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, noise)


def uniform_jump(key):
    return jax.random.uniform(key, (1,), minval=-0.5, maxval=1.5)


def uniform_characteristic(u):  # of the uniform law on (-1/2, 3/2)
    return jnp.exp(0.5j * u[0]) * jnp.sinc(u[0] / jnp.pi)


NOISES = {
    "stable I": ssd.OneFactorStable(1.5, 2),
    "stable II": ssd.IndependentStable(0.8, 2),
    "stable III": ssd.IsotropicStable(1.2, 3),
    "elliptical": ssd.EllipticalStable(1.7, [[2.0, 0.5], [0.5, 1.0]]),
    "skewed": ssd.SkewedStable(1.5, 2, [0.7, -1.0]),
    "subordinator": ssd.SkewedStable(0.6, 1, 1.0),
    "skewed at 1": ssd.SkewedStable(1.0, 2, [1.0, -0.4]),
    "skewed at 2": ssd.SkewedStable(2.0, 1, 1.0),
    "Brownian": ssd.Brownian(2),
    "tempered 0.6": ssd.TemperedStable(0.6, 1, tempering=2.0),
    "tempered 1.5": ssd.TemperedStable(1.5, 2, tempering=1.0),
    "tempered 1.9": ssd.TemperedStable(1.9, 1, tempering=3.0),
    "tempered 2": ssd.TemperedStable(2.0, 2, tempering=1.0),
    "Poisson, normal": ssd.CompoundPoisson(5.0, 2, 0.7),
    "Poisson, uniform": ssd.CompoundPoisson(
        3.0, 1, uniform_jump, jump_characteristic=uniform_characteristic
    ),
    "variance gamma": ssd.VarianceGamma(1, nu=0.5),
    "variance gamma, skewed": ssd.VarianceGamma(2, nu=2.0, skew=[0.5, -1.0]),
    "inverse Gaussian": ssd.NormalInverseGaussian(2, nu=0.3),
    "inverse Gaussian, skewed": ssd.NormalInverseGaussian(1, nu=1.0, skew=[0.8]),
    "sum": ssd.SumNoise(ssd.Brownian(1), ssd.IsotropicStable(1.3, 1), ssd.IsotropicStable(1.3, 1)),
    "image": ssd.LinearImage(MATRIX, ssd.VarianceGamma(2, nu=0.5, skew=[1.0, 0.0])),
    "image of skewed": ssd.LinearImage(MATRIX[:, :1], ssd.SkewedStable(1.0, 1, 0.8)),
    "image of stable": ssd.LinearImage(MATRIX, ssd.IndependentStable(1.4, 2)),
}
noises = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)


def frequencies(noise, dt, count=20):
    """Random directions, each as long as makes Re dt ψ(u) one of a range of sizes."""
    directions = np.random.default_rng(3).normal(size=(count, noise.dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = np.geomspace(0.02, 2.0, count)
    low, high = np.full(count, 1e-8), np.full(count, 1e8)
    for _ in range(40):
        middle = np.sqrt(low * high)
        psi = np.asarray(noise.exponent(jnp.asarray(directions * middle[:, None]))).real
        low, high = (
            np.where(dt * psi < sizes, middle, low),
            np.where(dt * psi < sizes, high, middle),
        )
    # A compound Poisson exponent is bounded: then the frequencies are moderate ones.
    return directions * np.minimum(low, 1e3)[:, None]


@noises
@pytest.mark.parametrize("dt", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("steps", [1, 3])
def test_increments_have_their_exponent(noise, dt, steps, key):
    """Within 4 standard errors at 20 frequencies, real and imaginary part.

    Under a new key one of the 40 comparisons of a case would fail with probability 2.5e-3; the key
    is fixed, and a wrong exponent is off by tens of standard errors.
    """
    x = sum(np.asarray(noise.increment(key, k, dt, N), float) for k in range(steps))
    assert np.isfinite(x).all()
    u = frequencies(noise, steps * dt)
    exact = np.exp(-steps * dt * np.asarray(noise.exponent(jnp.asarray(u)), complex))
    phase = x @ u.T
    for values, expected in ((np.cos(phase), exact.real), (np.sin(phase), exact.imag)):
        error = values.std(0) / np.sqrt(N)
        # 1e-5 for the rounding of the exponent, and of phases, in float32.
        assert np.all(np.abs(values.mean(0) - expected) < 4 * error + 1e-5)


@pytest.mark.as_compiled
@noises
def test_increments_are_functions_of_key_particle_and_step(noise, key):
    whole = noise.increment(key, 7, 0.05, 20_003)
    assert whole.shape == (20_003, noise.dim)
    np.testing.assert_array_equal(whole[:10], noise.increment(key, 7, 0.05, 10))
    np.testing.assert_array_equal(whole[:1000], noise.increment(key, 7, 0.05, 1000))
    part = noise.increment(key, 7, 0.05, 513, first_particle=9_000)
    np.testing.assert_array_equal(whole[9_000:9_513], part)
    traced = jax.jit(lambda step, dt: noise.increment(key, step, dt, 1000))(7, 0.05)
    np.testing.assert_array_equal(whole[:1000], traced)
    mapped = jax.vmap(lambda k: noise.increment(k, 7, 0.05, 1000))(jnp.stack([key, key]))
    np.testing.assert_array_equal(whole[:1000], mapped[1])

    @eqx.filter_jit
    def looped(noise, dt):  # fused with a sum, inside a loop, as simulations draw
        def add(total, k):
            return total + noise.increment(key, k, dt, 1000), None

        return jax.lax.scan(add, jnp.zeros((1000, noise.dim)), jnp.arange(7, 9))[0]

    total = looped(traced_numbers(noise), jnp.asarray(0.05))
    np.testing.assert_array_equal(total, whole[:1000] + noise.increment(key, 8, 0.05, 1000))
    other = np.asarray(noise.increment(key, 8, 0.05, 1000))
    moved = other != 0
    assert np.mean((other == np.asarray(whole[:1000]))[moved]) < 1e-3


@pytest.mark.as_compiled
@noises
def test_blocks_of_a_simulation_see_the_same_noise(noise, key):
    """The additive part of a run, over blocks and widths, is the sum of the increments."""
    system = ssd.System(ssd.MeanReversion(noise.dim), noise, sigma=0.5, init=np.zeros(noise.dim))
    settings = {"t1": 1.0, "num_steps": 4, "save_every": 1}
    run = ssd.simulate(system, key, num_particles=300, **settings)
    small = ssd.simulate(system, key, num_particles=100, block_size=7, **settings)
    np.testing.assert_array_equal(run.levy[:, :100], small.levy)
    total = 0.5 * np.cumsum([noise.increment(key, k, 0.25, 300) for k in range(4)], 0)
    np.testing.assert_allclose(run.levy[1:], total, rtol=1e-4, atol=1e-5)


def test_moments_of_random_times(key):
    """Mean skew t and variance t (1 + ν skew²) of both skewed processes."""
    for process in (ssd.VarianceGamma, ssd.NormalInverseGaussian):
        x = np.asarray(process(1, nu=0.5, skew=[2.0]).increment(key, 0, 2.0, N), float)
        assert abs(x.mean() - 4) < 5.5 * np.sqrt(6 / N)
        # The variance of a square is below 20 times its squared mean.
        assert abs(x.var() - 6) < 5.5 * 6 * np.sqrt(20 / N)


def test_relations_between_laws():
    """Normal inverse Gaussian is tempered stable of α = 1; tempering fades; α = 2 is N(0, 2t)."""
    u = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2)))
    nig, tempered = ssd.NormalInverseGaussian(2, nu=0.25), ssd.TemperedStable(1.0, 2, 2.0)
    np.testing.assert_allclose(nig.exponent(u), 2 * tempered.exponent(u), rtol=1e-5)
    stable = ssd.IsotropicStable(1.4, 2)
    np.testing.assert_allclose(
        ssd.TemperedStable(1.4, 2, 1e-4).exponent(u), stable.exponent(u), rtol=1e-4
    )
    np.testing.assert_allclose(
        ssd.TemperedStable(2.0, 2, 1.0).exponent(u), 2 * ssd.Brownian(2).exponent(u), rtol=1e-5
    )
    # Frequencies where the characteristic function has long vanished.
    large = stable.exponent(1e9 * u)
    np.testing.assert_allclose(large, 1e9**1.4 * np.asarray(stable.exponent(u)), rtol=1e-4)
    assert stable.exponent(jnp.zeros(2)) == 0


def test_traced_numbers_and_indices_out_of_range(key):
    draw = jax.jit(lambda a: ssd.TemperedStable(a, 1).increment(key, 0, 0.1, 5))
    assert np.isfinite(draw(1.5)).all()
    for bad in (2.5, -1.0, np.nan):
        assert np.isnan(draw(bad)).all()  # and does not hang
    for noise in (ssd.TemperedStable(1.5, 1, 1e9), ssd.CompoundPoisson(1e9, 1)):
        assert np.isnan(noise.increment(key, 0, 0.1, 5)).all()  # too many rounds
    gamma = jax.jit(lambda nu: ssd.VarianceGamma(1, nu).increment(key, 0, 0.1, 5))
    assert np.isfinite(gamma(0.5)).all()
    assert np.isnan(gamma(np.nan)).all()


def test_tail_indices():
    assert ssd.IsotropicStable(1.3, 1).tail_index == 1.3
    assert ssd.Brownian(1).tail_index == ssd.VarianceGamma(1).tail_index == 2
    assert NOISES["sum"].tail_index == 1.3
    assert NOISES["image of stable"].tail_index == 1.4
    assert ssd.CompoundPoisson(1.0, 1, jump_tail_index=1.1).tail_index == 1.1


def test_parameters_are_traced(key):
    """Other numbers compile nothing anew."""
    draws = 0

    @eqx.filter_jit
    def draw(noise):
        nonlocal draws
        draws += 1
        return noise.sample(key, (3,))

    pairs = ((1.2, 1.0), (0.9, 2.0))
    values = [np.asarray(draw(traced_numbers(ssd.TemperedStable(a, 2, b)))) for a, b in pairs]
    assert draws == 1
    assert not np.any(values[0] == values[1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ssd.TemperedStable(2.5, 1), "alpha"),
        (lambda: ssd.TemperedStable(1.5, 1, 0.0), "tempering must be a positive"),
        (lambda: ssd.VarianceGamma(1, nu=1e-320), "normal number in float32"),
        (lambda: ssd.VarianceGamma(1, nu=-1.0), "nu must be a positive"),
        (lambda: ssd.VarianceGamma(2, skew=[1.0]), r"skew must have shape \(2,\)"),
        (lambda: ssd.VarianceGamma(1, skew=0.5), "skew must be a finite array"),
        (lambda: ssd.NormalInverseGaussian(1, nu=np.inf), "nu must be"),
        (lambda: ssd.CompoundPoisson(0.0, 1), "rate must be a positive"),
        (lambda: ssd.CompoundPoisson(1.0, 1, -1.0), "jump must be a positive"),
        (lambda: ssd.CompoundPoisson(1.0, 2, uniform_jump), r"shape \(2,\), got \(1,\)"),
        (lambda: ssd.CompoundPoisson(1.0, 1, lambda key: 1 / 0), "jump.key. fails"),
        (lambda: ssd.CompoundPoisson(1.0, 1, uniform_jump).exponent([1.0]), "jump_characteristic"),
        (lambda: ssd.SumNoise(), "parts must be"),
        (lambda: ssd.SumNoise(ssd.Brownian(1), 3), "parts must be"),
        (lambda: ssd.SumNoise(ssd.Brownian(1), ssd.Brownian(2)), "one dim"),
        (lambda: ssd.LinearImage(np.eye(3), ssd.Brownian(2)), r"shape \(p, 2\)"),
        (lambda: ssd.LinearImage([1.0], ssd.Brownian(1)), "finite array of shape"),
        (lambda: ssd.LinearImage(np.eye(2), "noise"), "stablesde.LevyNoise"),
        (lambda: ssd.Brownian(2).exponent([1.0]), "u must have shape"),
    ],
)  # fmt: skip
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.as_compiled
def test_devices_see_the_same_noise():
    """In a fresh process with four host devices: the increments of one, bit by bit."""
    code = """
import jax, numpy as np, stablesde as ssd
from jax.sharding import Mesh
mesh = Mesh(np.array(jax.devices()), ("particles",))
assert len(jax.devices()) == 4
jump = lambda key: jax.random.exponential(key, (2,))
for noise in (
    ssd.TemperedStable(1.5, 2),
    ssd.VarianceGamma(2, skew=[1.0, 0.0]),
    ssd.CompoundPoisson(5.0, 2, jump),
    ssd.SumNoise(ssd.NormalInverseGaussian(2), ssd.LinearImage([[1.0], [0.3]], ssd.Brownian(1))),
):
    system = ssd.System(ssd.MeanReversion(2), noise)
    grid = dict(num_particles=1001, t1=1.0, num_steps=4)
    one, four = (ssd.simulate(system, jax.random.key(0), mesh=m, **grid) for m in (None, mesh))
    np.testing.assert_array_equal(one.levy, four.levy)
"""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_subordinator_increases(key):
    x = ssd.SkewedStable(0.3, 1, 1.0).increment(key, 0, 0.01, N)
    assert float(x.min()) >= 0
    assert float(ssd.SkewedStable(0.3, 1, -1.0).increment(key, 0, 0.01, N).max()) <= 0
    mean = ssd.SkewedStable(1.8, 1, 1.0)  # of mean 0 though its jumps are positive
    assert float(mean.exponent(jnp.array([1e-3])).imag) < 1e-4


@pytest.mark.parametrize("beta", [1.5, [0.1, 0.2, 0.3], np.nan])
def test_skewness_out_of_range(beta):
    with pytest.raises(ValueError, match="beta"):
        ssd.SkewedStable(1.5, 2, beta)


@pytest.mark.parametrize(
    "noise", [ssd.SkewedStable(1.5, 1, 0.5), ssd.VarianceGamma(1, skew=[1.0])], ids=str
)
def test_opposite_noise_needs_a_symmetric_law(noise, key):
    """Pairs of L and -L once gave the flow of another equation, without a word."""
    system = ssd.System(ssd.MeanReversion(1), noise)
    settings = {"t1": 1.0, "num_steps": 4, "num_particles": 512}
    with pytest.raises(ValueError, match="antithetic"):
        ssd.law_flow(system, key, antithetic=True, **settings)
    with pytest.raises(ValueError, match="antithetic"):
        ssd.dynamics.picard_flow(system, key, antithetic=True, **settings)


def test_studies_of_skewed_noise(key):
    """Chaos takes its exponent from α; strong error names none, and no bound."""
    system = ssd.System(ssd.MeanReversion(1), ssd.SkewedStable(1.6, 1, 0.8))
    settings = {"widths": (8, 16), "t1": 1.0, "replicas": 16}
    strong = ssd.strong_error(system, key, num_steps=(4, 8), fine_steps=32, **settings)
    assert all(axis.theory is None for axis in strong.axes)
    assert not strong.bounds
    assert np.isfinite(strong.errors["sup"]).all()
    chaos = ssd.propagation_of_chaos(system, key, num_steps=8, law_particles=4096, **settings)
    assert np.isfinite(chaos.errors["sup"]).all()
