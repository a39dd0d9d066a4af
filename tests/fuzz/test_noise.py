"""Wild arguments to `stablesde.noise`: the five noises, and what they draw."""

import numpy as np
import pytest
from hypothesis import strategies as st

import stablesde as ssd
from fuzz.engine import array, check, choice, count, dtype, fuzz, key, number, promise, real, value
from stablesde import noise as noise_module

ALPHA = number(0.3, 1, 1.5, 2.0)
DIM = count(1, 2, 3)
NOISES = {
    "I": ssd.stable_noise("I", 1.5, 2),
    "II": ssd.stable_noise("II", 0.5, 2),
    "III": ssd.stable_noise("III", 1.5, 2),
    "elliptical": ssd.EllipticalStable(1.5, [[2.0, 0.5], [0.5, 1.0]]),
    "spectral": ssd.SpectralStable(1.2, [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], [1.0, 0.5, 2.0]),
}
every_noise = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())


def draws(outcome):
    """A noise that was made can be printed, and draws finite vectors."""
    if outcome.error is None:
        made = outcome.value
        assert made.dim >= 1
        assert repr(made)
        if made.dim <= 3:  # a larger one by luck would compile for itself
            import jax

            promise(made.sample(jax.random.key(0), 2), (2, made.dim))
            constant = check(made.norm_tail_constant)
            assert constant.error is not None or promise(constant.value, ()) >= 0


@pytest.mark.parametrize("kind", [ssd.OneFactorStable, ssd.IndependentStable, ssd.IsotropicStable])
@fuzz(120, alpha=ALPHA, dim=DIM)
def test_types(kind, call):
    draws(check(kind, **call))


@fuzz(250, kind=choice("I", "II", "III"), alpha=ALPHA, dim=DIM)
def test_stable_noise(call):
    draws(check(ssd.stable_noise, **call))


MATRICES = value(
    np.eye(2), [[1.0]], np.diag([1.0, 0.0]), np.ones((2, 2)), np.eye(2) * 1e-12,
    bad=st.sampled_from([-np.eye(2), np.full((2, 2), np.inf), np.eye(2) * 1e308, [[1.0, 2.0]],
                         [[1, 0], [1, 1]], [[1, [2]], [3, 4]], np.eye(2) * 1e-320, np.eye(2) * 1j]),
)  # fmt: skip


@fuzz(250, alpha=ALPHA, scale_matrix=MATRICES)
def test_elliptical(call):
    draws(check(ssd.EllipticalStable, **call))


@fuzz(250, alpha=ALPHA, directions=array((3, 2)), weights=array((3,), low=0.1))
def test_spectral(call):
    draws(check(ssd.SpectralStable, **call))


SHAPE = value((), (3,), 3, (0,), bad=st.sampled_from([10**12, (2**16, 2**17), -1, (2.0,)]))


@every_noise
@fuzz(100, key=key(), shape=SHAPE, dtype=dtype())
def test_sample(noise, call):
    outcome = check(noise.sample, **call)
    if outcome.error is None:
        shape = call["shape"]
        shape = (int(shape),) if np.ndim(shape) == 0 else tuple(shape)
        promise(outcome.value, (*shape, noise.dim))


@every_noise
@fuzz(
    120,
    key=key(),
    step=count(0, 1, 7),
    dt=real(1e-4, 10.0),
    num_particles=count(1, 3, 5),
    first_particle=count(0, 2, 100),
    dtype=dtype(),
)
def test_increment(noise, call):
    outcome = check(noise.increment, **call)
    if outcome.error is None:
        promise(outcome.value, (int(call["num_particles"]), noise.dim))


@every_noise
@fuzz(60, u=array((2,), (3, 2), (0, 2)))
def test_characteristic_function(noise, call):
    outcome = check(noise.characteristic_function, **call)
    if outcome.error is None:
        result = promise(outcome.value, np.shape(call["u"])[:-1], finite=False)
        u = np.asarray(call["u"], float)
        if np.all(np.abs(u) < 1e15):  # NaN in, NaN out; a square may overflow beyond
            assert np.all(np.abs(result) <= 1 + 1e-6)


@fuzz(200, num_particles=count(1, 3, 5), first_particle=count(0, 2, 100))
def test_particle_index(call):
    outcome = check(noise_module.particle_index, **call)
    if outcome.error is None:
        assert promise(outcome.value, (int(call["num_particles"]),)).dtype == np.uint32


@fuzz(200, alpha=real(0.01, 2.0))
def test_scalar_tail_constant(call):
    outcome = check(noise_module.scalar_tail_constant, **call)
    if outcome.error is None:
        assert promise(outcome.value, ()) >= 0
