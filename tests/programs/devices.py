"""Run by test_layouts.py in a process with eight forced host devices: one device against eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import stablesde as ssd
from stablesde.dynamics import coupled_limit, coupled_steps

assert len(jax.devices()) == 8
key = jax.random.key(7)
rng = np.random.default_rng(1)
model = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)
row = Mesh(np.array(jax.devices()), ("particles",))
square = Mesh(np.array(jax.devices()).reshape(2, 4), ("replicas", "particles"))


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


for kind in ("I", "II", "III"):
    system = ssd.System(model, ssd.stable_noise(kind, 1.5, 2), sigma=0.5)
    for n in (10, 4096) if kind == "III" else (4096,):  # 10 is no multiple of 8
        settings = dict(num_particles=n, t1=1.0, num_steps=8, save_every=4)
        one = ssd.simulate(system, key, **settings)
        for mesh, block in ((row, None), (square, 100)) if kind == "III" else ((row, 100),):
            many = ssd.simulate(system, key, mesh=mesh, block_size=block, **settings)
            np.testing.assert_array_equal(one.initial, many.initial)
            np.testing.assert_array_equal(one.levy, many.levy)
            close(one.displacement, many.displacement)
            close(one.mean_statistic, many.mean_statistic)
        assert len(many.levy.devices()) == 8 or n == 10

wild = ssd.System(
    ssd.FunctionModel(1, lambda t, theta, m: -(theta**3)), ssd.stable_noise("I", 1.2, 1)
)
texts = []
for mesh in (None, row, square):
    with pytest.warns(RuntimeWarning, match="after step") as told:
        ssd.simulate(wild, key, num_particles=501, t1=1.0, num_steps=50, mesh=mesh)
    texts += [str(w.message) for w in told]
assert len(texts) == 3, texts
assert len(set(texts)) == 1, texts

noise = ssd.IsotropicStable(1.5, 2)
system = ssd.System(model, noise, sigma=0.5)
flow = dict(t1=1.0, num_steps=8, num_particles=16 * 512)
for variant in ({}, {"antithetic": True, "richardson": True}):
    one = ssd.law_flow(system, key, **flow, **variant)
    many = ssd.law_flow(system, key, mesh=row, **flow, **variant)
    if not variant:  # pairs and halves are formed on each device
        close(one.m, many.m)
    gap = np.abs(np.asarray(one.m - many.m)).max()
    assert gap <= 12 * np.asarray(one.standard_error).max() + 1e-6, (variant, gap)

flow = ssd.law_flow(system, key, **flow)
keys = jax.random.split(key, 3)  # no multiple of 2
for call in (
    lambda mesh: coupled_limit(flow, keys, widths=(10, 37), mesh=mesh),
    lambda mesh: coupled_steps(
        system,
        keys,
        widths=(10, 37),
        num_steps=(2,),
        fine_steps=16,
        t1=1.0,
        mesh=mesh,
    ),
):
    one, many = call(None), call(square)
    for measure in ("sup", "mean", "final_sup", "final_mean"):
        a, b = getattr(one, measure), getattr(many, measure)
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-7)


# Noise of an optax transformation whose units are spread over the devices of a user's shard_map.
weights = {"w": jnp.zeros((16, 3)), "b": jnp.zeros(16)}
units = PartitionSpec("particles")


def noisy(axis_name):
    transform = ssd.add_stable_noise(0.1, 1.0, 1.5, "III", key, axis_name=axis_name)
    return lambda tree: transform.update(tree, transform.init(tree))[0]


def sharded(axis_name):
    spread = jax.shard_map(noisy(axis_name), mesh=row, in_specs=units, out_specs=units)
    return jax.jit(spread)(weights)


many, one = sharded("particles"), jax.jit(noisy(None))(weights)
for name in weights:
    np.testing.assert_array_equal(one[name], many[name])
assert np.array_equal(sharded(())["w"][:2], sharded(())["w"][2:4])
with pytest.raises(ValueError, match="axis_name"):  # shards would share their noise unasked
    sharded(None)


def loss(sigma, mesh):
    run = ssd.simulate(
        ssd.System(model, noise, sigma=sigma), key, num_particles=64, t1=1.0, num_steps=4, mesh=mesh
    )
    return jnp.mean(jnp.tanh(run.final))


close(jax.grad(loss)(0.5, None), jax.grad(loss)(0.5, row))
print("same on eight devices")
