"""Every public computation under the strict modes of JAX, with which users look for faults."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_fuzz import ENTRY_POINTS, KEY, NETWORK, SYSTEM

import stablesde as ssd

pytestmark = pytest.mark.slow

LINE = ssd.System(
    ssd.NetworkModel("tanh", "logistic", np.ones((2, 1)), np.arange(2)),
    ssd.stable_noise("I", 1.5, 1),
)
GRID = dict(t1=1.0, num_steps=4)
FEW = dict(widths=(2, 4, 8, 16), t1=1.0, replicas=8, batch=8)
MORE = {
    "simulate_limit": lambda: (
        ssd.simulate_limit(
            ssd.law_flow(SYSTEM, KEY, num_particles=64, **GRID), KEY, num_particles=4
        ).final
    ),
    "strong_error": lambda: ssd.strong_error(
        SYSTEM, KEY, num_steps=(2, 4), fine_steps=32, predict=2, **FEW
    ).summary(),
    "propagation_of_chaos with prediction": lambda: ssd.propagation_of_chaos(
        SYSTEM, KEY, num_steps=4, law_particles=512, predict=2, **FEW
    ).summary(),
    "weak_error": lambda: (
        ssd.weak_error(
            LINE,
            KEY,
            function=lambda theta: jnp.tanh(theta[0]),
            against="step",
            num_steps=(2, 4),
            **FEW,
        ).errors
    ),
    "tail_study": lambda: ssd.tail_study(SYSTEM, KEY, num_columns=2**12, **GRID).summary(),
    "compressibility": lambda: ssd.compressibility(
        SYSTEM, KEY, kappas=(0.3,), num_steps=4, **FEW | dict(widths=(8, 16, 32, 64))
    ).summary(),
    "compression_probability": lambda: ssd.compression_probability(
        SYSTEM, KEY, kappas=(0.3,), epsilons=(0.3,), num_steps=4, **FEW | dict(widths=(8, 16))
    ).summary(),
    "independence": lambda: ssd.independence(
        SYSTEM, KEY, num_steps=4, law_particles=64, **FEW
    ).summary(),
    "fokker_planck": lambda: ssd.fokker_planck(LINE, num_nodes=101, **GRID).m,
    "train": lambda: ssd.paper.train("digits", width=8, steps=2, seeds=1).to_dict(),
    "assumption_constants": NETWORK.assumption_constants,
}


@pytest.mark.parametrize("name", [*ENTRY_POINTS, *MORE])
def test_strict_modes(name):
    if name in MORE:
        run = MORE[name]
    else:
        function, arguments = ENTRY_POINTS[name]
        run = lambda: function(**{k: v for k, (v, _) in arguments.items()})  # noqa: E731
    modes = (
        jax.debug_nans(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    )
    with modes[0], modes[1], modes[2]:
        jax.block_until_ready(jax.tree.leaves(run()))
