"""Run by test_interop.py in a process with four forced host devices.

The library inside a user's own `jax.shard_map`, inside jit with sharded inputs, and gradients with
`mesh=`, each against the plain call.
"""

import dataclasses
import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import stablesde as ssd
from stablesde.dynamics import coupled_steps

assert len(jax.devices()) == 4
rng = np.random.default_rng(1)
model = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(8, 2)) * 0.7, np.arange(8) % 2)
noises = {kind: ssd.stable_noise(kind, 1.5, 2) for kind in ("I", "II", "III")}
noise = noises["III"]
mesh = Mesh(np.array(jax.devices()), ("runs",))
square = Mesh(np.array(jax.devices()).reshape(2, 2), ("replicas", "particles"))
keys = jax.random.split(jax.random.key(0), 4)
run = dict(num_particles=20, t1=1.0, num_steps=4)
flow = ssd.law_flow(
    ssd.System(model, noise), jax.random.key(3), t1=1.0, num_steps=4, num_particles=64
)


def end(key, sigma=1.0, **settings):
    return jnp.mean(
        jnp.tanh(ssd.simulate(ssd.System(model, noise, sigma=sigma), key, **run, **settings).final)
    )


def steps(key):
    sizes = dict(widths=(10,), num_steps=(2,), fine_steps=4, t1=1.0)
    return coupled_steps(ssd.System(model, noise), key[None], **sizes).sup


# Functions of a key. Those of the first table draw: they must agree bit for bit.
DRAWS = {
    **{f"sample {k}": lambda key, n=n: n.sample(key, (9,)) for k, n in noises.items()},
    **{f"increment {k}": lambda key, n=n: n.increment(key, 3, 0.1, 9) for k, n in noises.items()},
    "stable.sample": lambda key: ssd.stable.sample(key, 1.5, shape=(9,)),
    "stable.sample, skewed": lambda key: ssd.stable.sample(key, 1.5, 0.5, shape=(9,)),
    "σL": lambda key: ssd.simulate(ssd.System(model, noise), key, save_every=2, **run).levy,
    "σL of copies": lambda key: ssd.simulate_limit(flow, key, num_particles=9).levy,
}


def flow_at(sigma):
    """The flow with another σ, which its copies then have."""
    system = dataclasses.replace(flow.system, sigma=sigma)
    error = flow.standard_error
    return ssd.LawFlow(system, flow.times, flow.m, error, flow.step_size, flow.num_particles)


def half(key):
    """0.5, as a value of the device's own: the gradient in a shared one is summed over devices."""
    return 0.5 + 0 * jax.random.uniform(key)


NEAR = {
    "simulate": lambda key: ssd.simulate(ssd.System(model, noise), key, save_every=2, **run),
    "blocks": lambda key: ssd.simulate(
        ssd.System(model, noise), key, block_size=7, scheme="heun", **run
    ),
    "init": lambda key: ssd.simulate(
        ssd.System(model, noise, init=lambda key: jax.random.normal(key, (2,))), key, **run
    ),
    "law_flow": lambda key: (
        ssd.law_flow(ssd.System(model, noise), key, t1=1.0, num_steps=4, num_particles=512).m
    ),
    "simulate_limit": lambda key: ssd.simulate_limit(flow, key, num_particles=9),
    "coupled_steps": steps,
    "gradient": lambda key: jax.grad(lambda s: end(key, s))(half(key)),
    "gradient, saved": lambda key: jax.grad(lambda s: end(key, s, save_every=2))(half(key)),
    "forward": lambda key: jax.jvp(lambda s: end(key, s), (half(key),), (half(key),)),
    "gradient of copies": lambda key: jax.grad(
        lambda s: jnp.sum(ssd.simulate_limit(flow_at(s), key, num_particles=9).displacement)
    )(half(key)),
    "pdf": lambda key: ssd.stable.pdf(jax.random.normal(key, (5,)), 1.5),
    "sf": lambda key: ssd.stable.sf(jax.random.normal(key, (5,)), 1.5),
    "ppf": lambda key: ssd.stable.ppf(jax.random.uniform(key, (5,)), 1.5),
}


def on_devices(function, check_vma):
    """`function`, of four values along the first axis, one on each device."""

    def local(x):
        return jax.tree.map(lambda a: a[None], function(x[0]))

    return jax.jit(
        jax.shard_map(
            local, mesh=mesh, in_specs=P("runs"), out_specs=P("runs"), check_vma=check_vma
        )
    )


def agree(name, got, expected, exact):
    print(name, flush=True)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if exact:
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=name)


def shard_map():
    for table, exact in ((DRAWS, True), (NEAR, False)):
        for name, function in table.items():
            plain = jax.jit(function)
            expected = jax.tree.map(lambda *a: np.stack(a), *(plain(key) for key in keys))
            # Without tracking JAX checks less, and the same numbers come out: some suffice.
            for check_vma in (True, False) if name in ("simulate", "gradient") else (True,):
                agree(name, on_devices(function, check_vma)(keys), expected, exact)


def one_parameter_a_device():
    """One key for all, a σ or a statistic of one's own on each device: the loops start alike."""
    values = jnp.linspace(0.2, 1.0, 4)
    key = keys[0]
    pull = lambda rate: ssd.FunctionModel(2, lambda t, th, m: rate * (m - th), lambda th: th)  # noqa: E731
    calls = {
        "σ": lambda s: end(key, s),
        "gradient": jax.grad(lambda s: end(key, s, save_every=2)),
        "forward": lambda s: jax.jvp(lambda s: end(key, s), (s,), (s,))[1],
        "rate": lambda r: (
            ssd.simulate(ssd.System(pull(r), noise), key, save_every=2, **run).displacement
        ),
        "gradient, rate": jax.grad(
            lambda r: jnp.sum(ssd.simulate(ssd.System(pull(r), noise), key, **run).displacement)
        ),
        "law flow": lambda s: (
            ssd.law_flow(
                ssd.System(model, noise, sigma=s), key, t1=1.0, num_steps=4, num_particles=64
            ).m
        ),
        "α": lambda a: ssd.stable.pdf(jnp.arange(3.0), 1 + a / 2),
    }
    for name, function in calls.items():
        plain = jax.jit(function)
        expected = np.stack([plain(v) for v in values])
        agree(name, on_devices(function, check_vma=True)(values), expected, exact=False)

    # The gradient of a parameter that is the same on all devices, of a loss summed over them.
    def total(s, keys):
        local = lambda s, key: jax.lax.psum(end(key[0], s), "runs")  # noqa: E731
        return jax.shard_map(local, mesh=mesh, in_specs=(P(), P("runs")), out_specs=P())(s, keys)

    expected = sum(jax.grad(lambda s, key=key: end(key, s))(0.5) for key in keys)
    agree("sum over devices", jax.jit(jax.grad(total))(0.5, keys), expected, exact=False)


def sharded_inputs():
    """Inputs that lie on four devices, in jit without a word about them."""
    placed = jax.device_put(keys, NamedSharding(mesh, P("runs")))
    many = jax.jit(jax.vmap(lambda key: ssd.simulate(ssd.System(model, noise), key, **run)))
    agree("keys", many(placed), many(keys), exact=False)
    agree("keys, σL", many(placed).levy, many(keys).levy, exact=True)
    init = jnp.asarray(rng.normal(size=(16, 2)), jnp.float32)
    start = jax.jit(
        lambda init: ssd.simulate(
            ssd.System(model, noise, init=init), keys[0], num_particles=16, t1=1.0, num_steps=4
        )
    )
    split = jax.device_put(init, NamedSharding(mesh, P("runs")))
    agree("init", start(split), start(init), exact=False)
    agree("init, σL", start(split).levy, start(init).levy, exact=True)
    with jax.set_mesh(jax.make_mesh((4,), ("runs",))):  # explicit axes
        agree("set_mesh", start(np.asarray(init)), start(init), exact=False)


def gradients_with_mesh():
    """In σ, α, a rate of the drift, and the initial law: a scale, one value, all values."""
    point = {
        "sigma": jnp.array(0.5), "alpha": jnp.array(1.7), "rate": jnp.array(0.8),
        "init": jnp.array(1.3),
    }  # fmt: skip
    inits = {
        "scale": point["init"],
        "value": jnp.array([0.3, -0.2]),
        "values": jnp.asarray(rng.normal(size=(20, 2))),
    }

    def loss(p, kind, mesh, **settings):
        result = ssd.simulate(
            ssd.System(
                ssd.WeightDecay(model, p["rate"]),
                ssd.stable_noise(kind, p["alpha"], 2),
                sigma=p["sigma"],
                init=p["init"],
            ),
            keys[0],
            num_particles=20,
            t1=1.0,
            num_steps=8,
            mesh=mesh,
            **settings,
        )
        weights = jnp.arange(1.0, 21)[:, None]
        saved = jnp.mean(jnp.tanh(result.theta - 0.5) * weights)
        return saved + jnp.mean(result.mean_statistic) + jnp.mean(result.initial)

    heun = {"scheme": "heun", "block_size": 2}
    for kind, init, save_every, devices, settings in (
        ("III", "scale", None, mesh, {}),
        ("III", "values", 4, square, {}),
        ("I", "value", 4, mesh, {}),
        ("II", "scale", None, mesh, heun),
    ):
        p = point | {"init": inits[init]}
        one, many = (
            jax.jit(jax.grad(functools.partial(
                loss, kind=kind, mesh=layout, save_every=save_every, **settings
            )))(p)
            for layout in (None, devices)
        )  # fmt: skip
        for name in point:
            print(kind, init, save_every, name, many[name] - one[name], flush=True)
            assert np.any(np.abs(one[name]) > 1e-6)
            np.testing.assert_allclose(many[name], one[name], rtol=1e-9, atol=1e-12)


PARTS = {f.__name__: f for f in (shard_map, one_parameter_a_device, sharded_inputs)}
with jax.enable_x64(sys.argv[1] == "gradients_with_mesh"):
    (PARTS | {"gradients_with_mesh": gradients_with_mesh})[sys.argv[1]]()
print("same on four devices")
