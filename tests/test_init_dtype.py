"""Doubles in `init` are not rounded to float32 without a word."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde import dynamics

KEY = jax.random.key(0)
RUN = {"t1": 1.0, "num_steps": 2, "num_particles": 64}
THIRD = np.array([1 / 3])


def system(init):
    return ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.5, 1), init=init)


@pytest.mark.parametrize("function", [ssd.simulate, ssd.law_flow, dynamics.picard_flow])
def test_it_is_told(function):
    with pytest.warns(UserWarning, match=r"init holds doubles.*dtype=jnp.float32") as told:
        function(system(THIRD), KEY, **RUN)
    assert told[0].filename == __file__


def test_record_tells(tmp_path):
    with pytest.warns(UserWarning, match="init holds doubles") as told:
        dynamics.record(system(THIRD), KEY, save_every=1, run_dir=tmp_path, **RUN)
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
        ssd.simulate(system(init), KEY, dtype=dtype, **RUN)


def test_doubles_are_kept_in_64_bit_mode():
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("error")
        for init in (THIRD, [1 / 3]):
            run = ssd.simulate(system(init), KEY, **RUN)
            assert float(run.initial[0, 0]) == 1 / 3
