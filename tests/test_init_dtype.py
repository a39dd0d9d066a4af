"""Doubles in `init` are not rounded to float32 without a word."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd

KEY = jax.random.key(0)
RUN = {"t1": 1.0, "num_steps": 2, "num_particles": 64}
THIRD = np.array([1 / 3])


def system(init, dtype=None):
    return ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.5, 1), init=init, dtype=dtype)


def test_it_is_told():
    with pytest.warns(UserWarning, match=r"init holds doubles.*dtype=jnp.float32") as told:
        ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.5, 1), init=THIRD)
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (THIRD, jnp.float32),
        (THIRD.astype(np.float32), None),
        (np.array([0.5]), None),
        ([1 / 3], None),
        (1 / 3, None),
        (jnp.asarray(THIRD), None),
    ],
)
def test_what_is_asked_for_is_not(init, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ssd.simulate(system(init, dtype), KEY, **RUN)


def test_doubles_are_kept_in_64_bit_mode():
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("error")
        for init in (THIRD, [1 / 3]):
            run = ssd.simulate(system(init), KEY, **RUN)
            assert float(run.initial[0, 0]) == 1 / 3
