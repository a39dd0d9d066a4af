"""Errors that say what to do instead."""

import jax
import pytest

import stablesde as ssd
from stablesde import dynamics

KEY = jax.random.key(0)
SYSTEM = ssd.System(ssd.MeanReversion(1), ssd.stable_noise("I", 1.5, 1))
GRID = {"t1": 1.0, "num_steps": 4}


@pytest.mark.parametrize(
    ("call", "texts"),
    [
        (lambda: ssd.simulate(SYSTEM, KEY, 5, 1.0, 4), ["system, key, num_particles=, t1="]),
        (
            lambda: ssd.simulate(SYSTEM, KEY, n=5, T=1.0, num_steps=4),
            ["num_particles, not n", "t1, not T"],
        ),
        (
            lambda: ssd.simulate(SYSTEM.model, SYSTEM.noise, KEY, num_particles=5, **GRID),
            ["ssd.System(model, noise"],
        ),
        (lambda: ssd.law_flow(SYSTEM, seed=0, **GRID), ["key, not seed"]),
        (lambda: ssd.law_flow(SYSTEM, KEY, dtype="float64", **GRID), ["system, not dtype"]),
        (lambda: ssd.fokker_planck(SYSTEM, 1.0, 4), ["t1=, num_steps="]),
        (lambda: ssd.strong_error(SYSTEM, KEY, n=(4, 8)), ["widths, not n"]),
        (lambda: ssd.propagation_of_chaos(SYSTEM), ["missing a required argument: 'key'"]),
        (lambda: dynamics.coupled_steps(SYSTEM, KEY, widths=(4,), steps=4), ["num_steps, not"]),
    ],
)
def test_names_of_arguments(call, texts):
    with pytest.raises(TypeError) as found:
        call()
    for text in texts:
        assert text in str(found.value)


def test_errors_from_inside_come_through():
    def drift(t, theta, m):
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine"):
        ssd.System(ssd.FunctionModel(1, drift), SYSTEM.noise)
