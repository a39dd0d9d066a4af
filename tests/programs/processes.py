"""Run by test_layouts.py as one of several processes: `processes.py ADDRESS COUNT RANK FILE`.

Simulates over the devices of all processes; every process writes the particles it holds.
"""

import sys

import jax
import numpy as np

address, count, rank, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if count > 1:
    jax.distributed.initialize(address, count, rank)
    assert jax.process_count() == count

import stablesde as ssd  # noqa: E402

mesh = jax.make_mesh((jax.device_count(),), ("particles",))
rng = np.random.default_rng(1)
model = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)
noise = ssd.IsotropicStable(1.5, 2)
run = ssd.simulate(
    ssd.System(model, noise), jax.random.key(7), num_particles=1000, t1=1.0, num_steps=8, mesh=mesh
)
flow = ssd.law_flow(
    ssd.System(model, noise), jax.random.key(7), num_particles=8192, t1=1.0, num_steps=4, mesh=mesh
)
first = [s.index[1].start or 0 for s in run.levy.addressable_shards]
np.savez(
    file,
    first=np.array(first),
    levy=np.concatenate([s.data for s in run.levy.addressable_shards], 1),
    displacement=np.concatenate([s.data for s in run.displacement.addressable_shards], 1),
    m=np.asarray(flow.m.addressable_shards[0].data),
)
