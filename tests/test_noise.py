"""Stable vectors and increments. Statistical tests: 5.5 standard errors, see test_sampling."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

KINDS = ["I", "II", "III"]
N = 400_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.5, 2.0])
def test_characteristic_function(kind, alpha, key):
    noise = ssd.stable_noise(kind, alpha, 3)
    x = np.asarray(noise.sample(key, (N,)), float)
    u = np.array([[0.5, 0, 0], [0.3, -0.2, 0.6], [1.0, 1.0, -1.5], [0.7, 0.7, 0.7]])
    exact = np.asarray(noise.characteristic_function(jnp.asarray(u)))
    assert np.all(exact.imag == 0)
    np.testing.assert_allclose(np.cos(x @ u.T).mean(0), exact.real, atol=5.5 / np.sqrt(N))
    np.testing.assert_allclose(np.sin(x @ u.T).mean(0), 0, atol=5.5 / np.sqrt(N))


def test_type_three_is_isotropic_and_type_two_is_not(key):
    u = np.array([[1.0, 0.0], [np.sqrt(0.5), np.sqrt(0.5)]])
    isotropic = ssd.IsotropicStable(1.2, 2).characteristic_function(jnp.asarray(u))
    np.testing.assert_allclose(isotropic[0], isotropic[1], rtol=1e-6)
    independent = np.asarray(ssd.IndependentStable(1.2, 2).sample(key, (N,)), float)
    values = np.cos(independent @ u.T).mean(0)
    # exp(-1) = 0.368 along an axis, exp(-2^0.4) = 0.267 along the diagonal: 60 standard errors.
    assert values[0] - values[1] > 0.09


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_two_is_gaussian_with_covariance_two(kind, key):
    x = np.asarray(ssd.stable_noise(kind, 2.0, 2).sample(key, (N,)), float)
    expected = 2 * (np.ones((2, 2)) if kind == "I" else np.eye(2))
    # Standard error of a covariance entry: at most √(2)·2/√N.
    np.testing.assert_allclose(np.cov(x.T), expected, atol=5.5 * 2 * np.sqrt(2 / N))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 4])
def test_norm_tail_constant(kind, dim, key):
    alpha = 1.3
    noise = ssd.stable_noise(kind, alpha, dim)
    n = 2_000_000
    norms = np.linalg.norm(np.asarray(noise.sample(key, (n,)), float), axis=1)
    p = 2e-4
    threshold = (noise.norm_tail_constant() / p) ** (1 / alpha)
    # Binomial, 5.5 standard errors (√400 = 20), and 3 % for the second order of the tail.
    assert abs((norms > threshold).sum() - n * p) < 5.5 * np.sqrt(n * p) + 0.03 * n * p


@pytest.mark.as_compiled
@pytest.mark.parametrize("kind", KINDS)
def test_increments_are_functions_of_key_particle_and_step(kind, key):
    noise = ssd.stable_noise(kind, 1.5, 2)
    whole = noise.increment(key, 7, 0.01, 100_003)
    assert whole.shape == (100_003, 2)
    np.testing.assert_array_equal(whole[:10], noise.increment(key, 7, 0.01, 10))
    np.testing.assert_array_equal(whole[:1000], noise.increment(key, 7, 0.01, 1000))
    np.testing.assert_array_equal(
        whole[64_000:64_512], noise.increment(key, 7, 0.01, 512, first_particle=64_000)
    )
    traced = jax.jit(lambda step: noise.increment(key, step, 0.01, 1000))(7)
    np.testing.assert_array_equal(whole[:1000], traced)
    mapped = jax.vmap(lambda k: noise.increment(k, 7, 0.01, 1000))(jnp.stack([key, key]))
    np.testing.assert_array_equal(whole[:1000], mapped[1])
    for other in (noise.increment(key, 8, 0.01, 1000), noise.sample(key, (1000,))):
        assert np.mean(np.asarray(other) == np.asarray(whole[:1000])) < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_increments_scale_and_add(kind, key):
    """dt^(1/α) scaling, and the sum of r fine increments has the law of one over r dt."""
    alpha, dt, r = 1.4, 0.05, 5
    noise = ssd.stable_noise(kind, alpha, 2)
    total = sum(np.asarray(noise.increment(key, k, dt, N), float) for k in range(r))
    u = np.array([[1.0, 0.5], [3.0, -1.0]])
    exact = np.asarray(noise.characteristic_function(jnp.asarray(u * (r * dt) ** (1 / alpha)))).real
    np.testing.assert_allclose(np.cos(total @ u.T).mean(0), exact, atol=5.5 / np.sqrt(N))


SIGMA = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
DIRECTIONS = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.0, 0.2, 2.0], [0.5, 0.0, 0.0]])
WEIGHTS = np.array([0.3, 1.0, 0.7, 2.0])


def general(alpha):
    return [
        ssd.EllipticalStable(alpha, SIGMA),
        ssd.SpectralStable(alpha, DIRECTIONS, WEIGHTS),
    ]


@pytest.mark.parametrize("alpha", [0.7, 1.0, 1.6, 2.0])
@pytest.mark.parametrize("which", [0, 1])
def test_general_vectors(which, alpha, key):
    noise = general(alpha)[which]
    x = np.asarray(noise.sample(key, (N,)), float)
    u = np.array([[0.5, 0, 0], [0.3, -0.2, 0.6], [1.0, 1.0, -1.5], [0.7, 0.7, 0.7]])
    exact = np.asarray(noise.characteristic_function(jnp.asarray(u))).real
    np.testing.assert_allclose(np.cos(x @ u.T).mean(0), exact, atol=5.5 / np.sqrt(N))
    np.testing.assert_allclose(np.sin(x @ u.T).mean(0), 0, atol=5.5 / np.sqrt(N))
    whole = noise.increment(key, 3, 0.1, 10_007)
    part = noise.increment(key, 3, 0.1, 100, first_particle=5000)
    np.testing.assert_array_equal(whole[5000:5100], part)


@pytest.mark.parametrize("which", [0, 1])
def test_tail_constants_of_general_vectors(which, key):
    alpha, n, p = 1.2, 2_000_000, 2e-4
    noise = general(alpha)[which]
    norms = np.linalg.norm(np.asarray(noise.sample(key, (n,)), float), axis=1)
    threshold = (noise.norm_tail_constant() / p) ** (1 / alpha)
    # Binomial, 5.5 standard errors, and 3 % for the second order of the tail.
    assert abs((norms > threshold).sum() - n * p) < 5.5 * np.sqrt(n * p) + 0.03 * n * p


@pytest.mark.parametrize("alpha", [0.6, 1.4, 1.9])
def test_types_are_instances_of_the_general_case(alpha):
    u = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    pairs = [
        (ssd.IsotropicStable(alpha, 3), ssd.EllipticalStable(alpha, np.eye(3))),
        (ssd.OneFactorStable(alpha, 3), ssd.SpectralStable(alpha, np.ones((1, 3)), [1.0])),
        (ssd.IndependentStable(alpha, 3), ssd.SpectralStable(alpha, np.eye(3), np.ones(3))),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(
            one.characteristic_function(u), other.characteristic_function(u), rtol=1e-5
        )
        assert one.norm_tail_constant() == pytest.approx(other.norm_tail_constant(), rel=1e-6)


@pytest.mark.as_compiled
@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.5, 2.0])
def test_vectors_never_overflow(alpha, key, dtype):
    """Steps so long, weights so large that every coordinate passes the largest number."""
    huge = float(jnp.finfo(dtype).max) ** 0.99
    noises = [ssd.stable_noise(kind, alpha, 3) for kind in KINDS]
    noises += [
        ssd.EllipticalStable(alpha, 1e30 * SIGMA),
        ssd.EllipticalStable(alpha, np.diag([1.0, 1.0, 0.0])),
        # Opposite directions, of different lengths: ∞ - ∞ if a product overflowed.
        ssd.SpectralStable(alpha, [[1.0, 1e20, 3], [-1.0, -1e20, 1e-20]], [2.0, 3.0]),
    ]
    for noise in noises:
        for draw in (
            noise.sample(key, (5000,)),
            noise.increment(key, 0, huge**alpha if alpha < 1 else huge, 5000),
            noise.columns((jnp.uint32(1), jnp.uint32(2)), jnp.arange(5000, dtype=jnp.uint32),
                          jnp.asarray(0, dtype), dtype),
        ):  # fmt: skip
            assert np.isfinite(draw).all(), noise
    assert np.all(np.asarray(draw) == 0)


@pytest.mark.as_compiled
def test_noise_is_the_same_on_eight_devices():
    """In a fresh process with eight host devices: bit-identical increments."""
    code = """
import jax, numpy as np, stablesde as ssd
from jax.sharding import Mesh, NamedSharding, PartitionSpec
key = jax.random.key(0)
mesh = Mesh(np.array(jax.devices()), ("particles",))
sharding = NamedSharding(mesh, PartitionSpec("particles", None))
assert len(jax.devices()) == 8
for kind in ("I", "II", "III"):
    noise = ssd.stable_noise(kind, 1.5, 2)
    draw = lambda: noise.increment(key, 3, 0.1, 4096)
    spread = jax.jit(draw, out_shardings=sharding)()
    assert len(spread.sharding.device_set) == 8
    np.testing.assert_array_equal(spread, draw())
model = ssd.MeanReversion(2)
system, settings = ssd.System(model, noise), dict(num_particles=4096, t1=1.0, num_steps=8)
one = ssd.simulate(system, key, **settings)
eight = ssd.simulate(system, key, mesh=mesh, **settings)
np.testing.assert_allclose(one.final, eight.final, rtol=1e-5, atol=1e-5)
"""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dt", [0, 0.0, -0.1, float("nan"), float("inf"), [0.1, 0.2]])
def test_bad_steps(dt, key):
    with pytest.raises(ValueError, match="dt, the length of a step"):
        ssd.IsotropicStable(1.5, 2).increment(key, 0, np.asarray(dt), 10)


def test_frequencies_have_the_dimension_of_the_noise():
    noises = [ssd.stable_noise(kind, 1.5, 3) for kind in KINDS] + general(1.5)
    for noise in noises:
        for bad in (1.0, np.ones(2), np.ones((3, 2)), np.ones((4, 1))):
            with pytest.raises(ValueError, match=r"u must have shape \(..., 3\)"):
                noise.characteristic_function(bad)
        value = noise.characteristic_function([0.1, 0.2, 0.3])
        assert value.shape == ()
        assert noise.characteristic_function(np.ones((4, 3))).shape == (4,)


def test_traced_indices_out_of_range_give_nan(key):
    for noise in [ssd.stable_noise(kind, 1.5, 3) for kind in KINDS] + general(1.5):
        draw = jax.jit(
            lambda a, n=noise: eqx.tree_at(lambda m: m.alpha, n, a).increment(key, 0, 0.1, 5)
        )
        assert np.isfinite(draw(1.5)).all()
        for bad in (2.5, 0.0, -1.0, np.nan):
            assert np.isnan(draw(bad)).all()


def test_one_index_and_a_whole_dimension(key):
    for bad in (jnp.array([1.2, 1.5]), [1.5], np.ones((1, 1))):
        for build in (
            lambda a: ssd.OneFactorStable(a, 2),
            lambda a: ssd.stable_noise("III", a, 2),
            lambda a: ssd.EllipticalStable(a, SIGMA),
            lambda a: ssd.SpectralStable(a, DIRECTIONS, WEIGHTS),
        ):
            with pytest.raises(ValueError, match="alpha must be one number, got shape"):
                build(bad)
    for bad in (True, np.bool_(True), 2.0, "2", None, 0, -1):
        with pytest.raises(ValueError, match="dim must be a positive integer"):
            ssd.stable_noise("II", 1.5, bad)
    whole = ssd.stable_noise("II", 1.5, np.int64(2))
    assert type(whole.dim) is int
    np.testing.assert_array_equal(
        whole.sample(key, (3,)), ssd.IndependentStable(1.5, 2).sample(key, (3,))
    )
    # An array of one number, and a traced one, are one index; a mapped one is one at a time.
    draw = jax.vmap(lambda a: ssd.IsotropicStable(a, 2).sample(key, (3,)))(jnp.array([1.2, 1.5]))
    assert draw.shape == (2, 3, 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="kind must be one of I, II, III"):
        ssd.stable_noise("IV", 1.5, 2)
    with pytest.raises(ValueError, match="dim"):
        ssd.stable_noise("I", 1.5, 0)
    with pytest.raises(ValueError, match="alpha"):
        ssd.IsotropicStable(0.0, 2)
    with pytest.raises(ValueError, match="positive semidefinite"):
        ssd.EllipticalStable(1.5, [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="symmetric"):
        ssd.EllipticalStable(1.5, [[1.0, 2.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="weights"):
        ssd.SpectralStable(1.5, np.eye(2), [1.0, -1.0])
    with pytest.raises(ValueError, match="shape"):
        ssd.SpectralStable(1.5, np.eye(2), [1.0])
