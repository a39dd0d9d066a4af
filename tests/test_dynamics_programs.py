"""Programs are few, small, and serve all values of the numbers that enter them."""

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import _coupled, coupled_limit, coupled_steps, record


@pytest.fixture
def programs():
    """A list that grows by one for each program compiled."""
    compiled = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


class Kuramoto(ssd.MeanFieldModel):
    """A user's model, with a field that is a Python float."""

    coupling: float
    dim: int = 1

    def statistic(self, theta):
        return jnp.concatenate([jnp.cos(theta), jnp.sin(theta)])

    def drift(self, theta, m):
        return self.coupling * (m[1] * jnp.cos(theta) - m[0] * jnp.sin(theta))


MODELS = {
    "user": lambda v: Kuramoto(v),
    "linear": lambda v: ssd.MeanReversion(1, rate=v, coupling=v / 2),
    "decay": lambda v: ssd.WeightDecay(Kuramoto(v), v),
}


def settings(v):
    return dict(t1=v, num_steps=6)


@pytest.mark.parametrize("name", MODELS)
def test_other_numbers_compile_nothing(name, tmp_path, programs):
    """α, σ, t1, θ₀, rates and keys are arguments of the programs, of which each call has few."""

    def calls(v):
        noise = ssd.stable_noise("III", 1 + v, 1)
        system = ssd.System(MODELS[name](v), noise, sigma=v, init=v)
        key = jax.random.key(int(100 * v))
        keys = jax.random.split(key, 2)
        programs.clear()  # JAX's own
        flow = ssd.law_flow(system, key, num_particles=70, **settings(v))
        yield "law_flow"
        ssd.simulate(system, key, num_particles=7, **settings(v)).final.block_until_ready()
        yield "simulate"
        ssd.simulate_limit(flow, key, num_particles=7)
        yield "simulate_limit"
        coupled_steps(system, keys, widths=(3, 5), num_steps=(2,), fine_steps=8, t1=v)
        yield "coupled_steps"
        coupled_limit(flow, keys, widths=(3, 5))
        yield "coupled_limit"
        run = dict(run_dir=tmp_path / str(v), num_particles=7, save_every=2)
        record(system, key, **run, **settings(v))
        yield "record"

    for call in calls(0.7):
        assert len(programs) <= 3, call
        programs.clear()
    for call in calls(0.4):
        assert not programs, call


def equations(jaxpr):
    """How many there are, in programs inside programs as well."""
    inner = [p for e in jaxpr.eqns for p in jax.tree.leaves(e.params, is_leaf=is_program)]
    return len(jaxpr.eqns) + sum(equations(getattr(p, "jaxpr", p)) for p in inner if is_program(p))


def is_program(x):
    return hasattr(x, "eqns") or hasattr(getattr(x, "jaxpr", None), "eqns")


@pytest.mark.parametrize("scheme", ["euler", "heun"])
def test_the_program_of_a_coupled_run_does_not_grow_with_its_grid(scheme, network, key):
    system = ssd.System(network, ssd.OneFactorStable(1.5, 2))
    keys = jax.random.split(key, 2)
    flow = ssd.law_flow(system, key, num_particles=100, t1=1.0, num_steps=2)

    def steps(widths, steps):
        return coupled_steps(
            system, keys, widths=widths, num_steps=steps, fine_steps=32, t1=1.0, scheme=scheme
        )

    def sizes(call, *grids):
        return [equations(jax.make_jaxpr(lambda grid=grid: call(*grid))().jaxpr) for grid in grids]

    small, large = sizes(steps, ((3, 8), (2, 4)), ((3, 8, 20, 37), (2, 4, 8, 16)))
    assert small == large > 100
    limit = lambda widths: coupled_limit(flow, keys, widths=widths, scheme=scheme)  # noqa: E731
    small, large = sizes(limit, ((3, 8),), ((3, 8, 20, 37),))
    assert small == large > 100


def test_widths_side_by_side_are_systems_of_their_own(network, key):
    """Each width of a run alone is the same as beside others, to rounding."""
    system, keys = ssd.System(network, ssd.IsotropicStable(1.5, 2)), jax.random.split(key, 2)
    rest = dict(num_steps=(2, 8), fine_steps=16, t1=1.0)
    beside = coupled_steps(system, keys, widths=(3, 10, 61), **rest)
    for i, n in enumerate((3, 10, 61)):
        alone = coupled_steps(system, keys, widths=(n,), **rest)
        np.testing.assert_allclose(beside.sup[:, i], alone.sup[:, 0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(beside.mean[:, i], alone.mean[:, 0], rtol=1e-4, atol=1e-6)


def test_a_run_in_chunks_is_the_same(network, key):
    system, keys = ssd.System(network, ssd.IsotropicStable(1.5, 2)), jax.random.split(key, 2)
    rest = dict(widths=(8, 100, 300), num_steps=(2,), fine_steps=8, t1=1.0)
    whole = coupled_steps(system, keys, **rest)
    parts = coupled_steps(system, keys, block_size=70, **rest)
    np.testing.assert_allclose(whole.sup, parts.sup, rtol=1e-4, atol=1e-6)
    assert _coupled.side_by_side((8, 100, 300), 70, None, with_limit=False).chunk < 5
