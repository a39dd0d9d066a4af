"""Wild arguments to `stablesde.dynamics`: simulations, law flows, coupled runs, recordings."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import stablesde as ssd
from fuzz.engine import (
    ABSENT,
    check,
    choice,
    dtype,
    flag,
    fuzz,
    key,
    number,
    promise,
    real,
    value,
)
from stablesde import dynamics

NETWORK = ssd.NetworkModel("tanh", "logistic", np.eye(4, 2), np.arange(4) % 2)
LINEAR = ssd.MeanReversion(2)
MODEL = value(NETWORK, LINEAR, bad=st.sampled_from([ssd.MeanReversion(1), ssd.MeanReversion]))
NOISE = value(
    ssd.stable_noise("I", 1.5, 2), ssd.stable_noise("II", 1.5, 2),
    bad=st.sampled_from([ssd.stable_noise("I", 1.5, 3), ssd.IsotropicStable, 1.5]),
)  # fmt: skip
# Sizes that no machine holds, or that no counter reaches; none that would merely take long.
SIZE = st.sampled_from([10**12, 2**40, 2**32, 10**30, 0, -1, 2.0, "3", True, 1.5])


def size(*values):
    return value(*values, bad=SIZE)


INIT = value(
    ABSENT, None, 0.5, [0.1, 0.2], np.zeros((4, 2)), lambda key: jax.random.normal(key, (2,)),
    bad=st.sampled_from([np.zeros(3), np.zeros((5, 2)), np.full(2, np.nan), lambda key: 1.0,
                         lambda key: jnp.zeros(3), lambda: 0, lambda key: {}, "normal"]),
)  # fmt: skip
MESH = value(ABSENT, None, bad=None)
DRIVE = dict(model=MODEL, noise=NOISE, key=key(), init=INIT, dtype=dtype())
SCHEME = choice("euler", "heun")
SIGMA = real(0.0, 2.0)
T1 = real(0.1, 2.0)
STEPS = size(4)
BLOCK = value(ABSENT, None, 2, bad=SIZE)


def tame(call):
    """Whether nothing can overflow: neither the noise, nor a linear drift in large steps."""
    values = [call.get(k) for k in ("sigma", "t1", "init", "times")]
    return all(
        v is None or callable(v) or bool(np.all(np.abs(np.asarray(v, float)) < 10)) for v in values
    )


def trajectory(outcome, call, particles, saved):
    if outcome.error is not None:
        return
    run = outcome.value
    finite = tame(call)
    promise(run.theta, (saved, particles, 2), finite=finite)
    promise(run.final, (particles, 2), finite=finite)
    promise(run.times, (saved,))
    assert run.mean_statistic.shape[0] == saved
    assert "Trajectory(" in repr(run)


@fuzz(
    500,
    num_particles=size(4),
    t1=T1,
    num_steps=STEPS,
    sigma=SIGMA,
    save_every=value(ABSENT, None, 2, bad=SIZE),
    scheme=SCHEME,
    block_size=BLOCK,
    mesh=MESH,
    checkpoints=value(ABSENT, None, "all", 2, bad=st.sampled_from(["some", -1, 1.5])),
    **DRIVE,
)
def test_simulate(call):
    outcome = check(ssd.simulate, **call)
    every = call.get("save_every")
    saved = 1 if every is None or outcome.error else int(call["num_steps"]) // int(every) + 1
    trajectory(outcome, call, outcome.error or int(call["num_particles"]), saved)


TIMES = value(
    [0, 0.1, 0.5, 1.0, 2.0], np.linspace(0, 1, 5), jnp.linspace(0, 1, 5),
    bad=st.sampled_from([[0, 1, 1], [0.5, 1], [0], [0, np.nan], [0, np.inf], [0, 1e-320, 1],
                         [[0, 1]], [1, 0], [0, "a"], [0, 1e308]]),
)  # fmt: skip


@fuzz(
    250,
    num_particles=size(4),
    times=TIMES,
    t1=value(ABSENT, None, bad=st.just(1.0)),
    sigma=SIGMA,
    scheme=choice("euler", "heun", "exponential"),
    **DRIVE,
)
def test_simulate_on_a_grid(call):
    outcome = check(ssd.simulate, **call)
    trajectory(outcome, call, outcome.error or int(call["num_particles"]), 1)


@functools.cache
def flow():
    noise = ssd.stable_noise("I", 1.5, 2)
    return ssd.law_flow(
        ssd.System(NETWORK, noise),
        jax.random.key(1),
        t1=1.0,
        num_steps=4,
        num_particles=64,
        batches=2,
    )


def flows():
    other = ssd.LawFlow(jnp.zeros(5), jnp.zeros((5, 3)), jnp.zeros((5, 3)), jnp.ones(()), 1.0, 4)
    return value(flow(), bad=st.sampled_from([other, jnp.zeros((5, 4)), ssd.LawFlow]))


LIMIT = dict(
    model=value(NETWORK, bad=st.just(LINEAR)),
    flow=flows(),
    noise=NOISE,
    sigma=value(ABSENT, None, 1.0, bad=st.sampled_from([2.0, 0.0])),
    init=INIT,
    scheme=SCHEME,
    block_size=BLOCK,
    mesh=MESH,
    dtype=dtype(),
)


@fuzz(
    300,
    key=key(),
    num_particles=size(4),
    save_every=value(ABSENT, None, 2, bad=SIZE),
    checkpoints=value(ABSENT, None, "all", 2, bad=st.sampled_from(["some", -1, 1.5])),
    **LIMIT,
)
def test_simulate_limit(call):
    outcome = check(ssd.simulate_limit, **call)
    every = call.get("save_every")
    saved = 1 if every is None or outcome.error else 4 // int(every) + 1
    trajectory(outcome, call, outcome.error or int(call["num_particles"]), saved)


def law(outcome, steps, particles):
    if outcome.error is None:  # a flow that is not finite is an error
        promise(outcome.value.m, (steps + 1, outcome.value.m.shape[1]))
        promise(outcome.value.standard_error, outcome.value.m.shape, finite=False)
        promise(outcome.value.times, (steps + 1,))
        assert outcome.value.num_particles >= particles
        assert "LawFlow(" in repr(outcome.value)


@fuzz(
    400,
    num_particles=size(8, 8, 64),
    t1=T1,
    num_steps=STEPS,
    sigma=SIGMA,
    scheme=SCHEME,
    block_size=BLOCK,
    mesh=MESH,
    antithetic=flag(),
    stratified=flag(),
    richardson=flag(),
    batches=value(2, 2, None, bad=SIZE),
    **DRIVE,
)
def test_law_flow(call):
    outcome = check(ssd.law_flow, **call)
    if outcome.error is None:
        law(outcome, int(call["num_steps"]), int(call["num_particles"]))


@fuzz(
    300,
    num_particles=size(8),
    t1=T1,
    num_steps=STEPS,
    sigma=SIGMA,
    scheme=SCHEME,
    iterations=size(3),
    tolerance=number(1e-3, 0.0),
    antithetic=flag(),
    stratified=flag(),
    block_size=BLOCK,
    mesh=MESH,
    **DRIVE,
)
def test_picard_flow(call):
    outcome = check(dynamics.picard_flow, **call)
    if outcome.error is None:
        result = outcome.value
        law(outcome._replace(value=result.flow), int(call["num_steps"]), int(call["num_particles"]))
        assert result.residuals.shape == (int(call["iterations"]),)
        assert "PicardFlow(" in repr(result)


KEYS = value(
    jax.random.split(jax.random.key(0), 2), jax.random.split(jax.random.PRNGKey(0), 2),
    bad=st.sampled_from([jax.random.key(0), jax.random.split(jax.random.key(0), (2, 2)),
                         np.zeros((2, 3), np.uint32), np.zeros((0, 2), np.uint32), jnp.zeros(2)]),
)  # fmt: skip
WIDTHS = value(
    (2, 4), [4], np.array([2, 4]), bad=st.sampled_from([(), 4, (0,), (2.0,), "24", (10**12,)])
)


def distances(outcome, shape, finite):
    if outcome.error is None:
        for part in ("sup", "mean", "final_sup", "final_mean"):
            values = promise(getattr(outcome.value, part), shape, finite=finite)
            assert not finite or np.all(values >= 0)


@fuzz(
    300,
    model=MODEL,
    noise=NOISE,
    keys=KEYS,
    widths=WIDTHS,
    num_steps=value((1, 2), [2], bad=st.sampled_from([(), 3, (3,), (8,), (0,), (2.0,), "12"])),
    fine_steps=size(4),
    t1=T1,
    sigma=SIGMA,
    init=INIT,
    scheme=SCHEME,
    block_size=BLOCK,
    batch=value(ABSENT, None, 1, bad=SIZE),
    mesh=MESH,
    dtype=dtype(),
)
def test_coupled_steps(call):
    outcome = check(dynamics.coupled_steps, **call)
    if outcome.error is None:
        shape = (2, len(call["widths"]), len(call["num_steps"]))
        distances(outcome, shape, tame(call))


@fuzz(250, keys=KEYS, widths=WIDTHS, batch=value(ABSENT, None, 1, bad=SIZE), **LIMIT)
def test_coupled_limit(call):
    outcome = check(dynamics.coupled_limit, **call)
    if outcome.error is None:
        distances(outcome, (2, len(call["widths"])), tame(call))


LINE = ssd.MeanReversion(1)
SINE = ssd.FunctionModel(1, lambda t, theta, m: jnp.tanh(m) - theta, jnp.tanh)


@fuzz(
    200,
    model=value(LINE, SINE, bad=st.just(LINEAR)),
    alpha=number(1.5, 1.2, 2),
    t1=T1,
    num_steps=size(4),
    sigma=SIGMA,
    init=value(ABSENT, None, 0.5, [0.3], np.zeros((3, 1)),
               bad=st.sampled_from([np.zeros(2), np.full(1, np.nan), lambda key: 0.0])),
    scheme=choice("strang", "euler"),
    num_nodes=value(65, 65, 101, bad=SIZE),
    core=number(1.0, 0.5),
    reach=value(ABSENT, None, 1e6, bad=st.sampled_from([1.0, 1e308])),
)  # fmt: skip
def test_fokker_planck(call):
    outcome = check(ssd.fokker_planck, **call)
    if outcome.error is None:
        result = outcome.value
        steps, nodes = int(call["num_steps"]), result.nodes.size
        promise(result.m, (steps + 1, 1))
        promise(result.error, (steps + 1, 1))
        promise(result.density, (steps + 1, nodes))
        assert np.allclose(promise(result.mass, (steps + 1,)), 1)
        promise(result.law_flow().m, (steps + 1, 1))
        assert "FokkerPlanck(" in repr(result)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A relative path is made in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@fuzz(
    250,
    run_dir=value("run", bad=st.sampled_from(["", "a\x00b", "file/below"])),
    num_particles=size(4),
    save_every=size(2),
    t1=T1,
    num_steps=STEPS,
    particles=flag(),
    saves_per_file=value(ABSENT, None, 2, bad=SIZE),
    sigma=SIGMA,
    scheme=SCHEME,
    block_size=BLOCK,
    **DRIVE,
)
def test_record(folder, call):
    (folder / "file").touch()
    if isinstance(call["run_dir"], str) and call["run_dir"] == "run":
        call["run_dir"] = folder / f"run{len(os.listdir(folder))}"
    outcome = check(dynamics.record, **call)
    if outcome.error is None:
        saved = int(call["num_steps"]) // int(call["save_every"]) + 1
        promise(outcome.value.times, (saved,))
        promise(outcome.value.mean_statistic, (saved, outcome.value.mean_statistic.shape[1]),
                finite=tame(call))  # fmt: skip
        assert outcome.value.complete


@fuzz(150, directory=value(".", "nowhere", bad=st.sampled_from(["", "a\x00b", "file/below"])))
def test_recording(folder, call):
    outcome = check(dynamics.Recording, **call)
    assert outcome.error is not None, "an empty folder holds no recording"
