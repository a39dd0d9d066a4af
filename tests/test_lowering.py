"""Programs lower for accelerators: nothing in them is the CPU's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import coupled_steps

KEY = jax.random.key(1)
MODEL = ssd.NetworkModel("tanh", "logistic", np.eye(2), np.arange(2))
RUN = dict(t1=1.0, num_steps=4)


def system(alpha, kind="III"):
    return ssd.System(MODEL, ssd.stable_noise(kind, alpha, 2))


def training_step(alpha):
    optimizer = ssd.heavy_tailed_sgd(0.1, 0.1, alpha, "III", KEY)
    params = {"w": jnp.ones((4, 3))}
    grads = jax.grad(lambda p: jnp.sum(jnp.tanh(p["w"]) ** 2))(params)
    return optimizer.update(grads, optimizer.init(params), params)[0]


def coupled(alpha):
    keys = jax.random.split(KEY, 2)
    settings = dict(widths=(4, 8), num_steps=(2,), fine_steps=4, t1=1.0)
    return coupled_steps(system(alpha), keys, **settings).sup


PROGRAMS = {
    "sample": lambda a: ssd.stable.sample(KEY, a, 0.5, (8,)),
    "pdf": lambda a: ssd.stable.pdf(jnp.arange(3.0), a),
    "ppf": lambda a: ssd.stable.ppf(jnp.array([0.1, 0.9]), a),
    **{
        f"increment {kind}": lambda a, kind=kind: ssd.stable_noise(kind, a, 2).increment(
            KEY, 3, 0.1, 8
        )
        for kind in ("I", "II", "III")
    },
    "simulate": lambda a: ssd.simulate(system(a), KEY, num_particles=8, **RUN).final,
    "law_flow": lambda a: ssd.law_flow(system(a), KEY, num_particles=64, **RUN).m,
    "coupled_steps": coupled,
    "training step": training_step,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_lowers_for_cuda_and_tpu(name):
    lowered = jax.export.export(jax.jit(PROGRAMS[name]), platforms=("cuda", "tpu"))
    assert lowered(jnp.float32(1.5)).platforms == ("cuda", "tpu")
