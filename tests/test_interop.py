"""The library inside users' programs, under JAX's transformations; results as frames and files."""

import builtins

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_layouts import finish, start

import stablesde as ssd
from stablesde.studies import _tidy


@pytest.mark.slow  # each compiles dozens of programs
@pytest.mark.parametrize(
    "part", ["shard_map", "one_parameter_a_device", "sharded_inputs", "gradients_with_mesh"]
)
def test_on_four_devices(part):
    assert "same on four devices" in finish(start("interop.py", part, devices=4))


def final(key, sigma, alpha, rate, init):
    return ssd.simulate(
        ssd.System(
            ssd.MeanReversion(2, rate), ssd.stable_noise("III", alpha, 2), sigma=sigma, init=init
        ),
        key,
        num_particles=6,
        t1=1.0,
        num_steps=4,
        save_every=2,
    )


def arguments(key):
    spread = lambda low, high: jnp.linspace(low, high, 3)  # noqa: E731
    inits = jnp.arange(6.0).reshape(3, 2)
    return jax.random.split(key, 3), spread(0.2, 1.0), spread(1.2, 1.9), spread(0.5, 2.0), inits


def test_vmap_over_key_sigma_alpha_model_and_init(key):
    batch = arguments(key)
    many = jax.jit(jax.vmap(final))(*batch)
    assert many.theta.shape == (3, 3, 6, 2)
    for i in range(3):
        one = final(*(a[i] for a in batch))
        for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=2e-5, atol=1e-6)


def test_jit_of_vmap_of_grad(key):
    def loss(*arguments):
        return jnp.mean(jnp.tanh(final(*arguments).final))

    with jax.enable_x64(True):
        batch = arguments(key)
        gradient = jax.grad(loss, argnums=(1, 2, 3, 4))
        many = jax.jit(jax.vmap(gradient))(*batch)
        for i in range(3):
            one = gradient(*(a[i] for a in batch))
            for a, b in zip(many, one, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-12)


@pytest.fixture
def run(key):
    noise = ssd.stable_noise("I", 1.7, 2)
    return ssd.simulate(
        ssd.System(ssd.MeanReversion(2), noise),
        key,
        num_particles=3,
        t1=1.0,
        num_steps=4,
        save_every=2,
    )


def test_frame_of_a_trajectory(run):
    frame = run.to_frame()
    assert list(frame.columns) == ["time", "particle", "coordinate", "theta"]
    assert len(frame) == 3 * 3 * 2
    back = frame.theta.to_numpy().reshape(3, 3, 2)
    np.testing.assert_array_equal(back, run.theta)
    row = frame.query("time == 0.5 and particle == 2 and coordinate == 1")
    np.testing.assert_array_equal(row.theta, run.theta[1, 2, 1:])
    assert frame.theta.dtype == np.float32


def test_frame_of_a_batch_is_refused(key):
    many = jax.vmap(final)(*arguments(key))
    with pytest.raises(ValueError, match="take one run of the batch"):
        many.to_frame()
    assert len(jax.tree.map(lambda a: a[0], many).to_frame()) == 3 * 6 * 2


def test_frame_of_a_law_flow(network, key):
    flow = ssd.law_flow(
        ssd.System(network, ssd.stable_noise("I", 1.7, 2)),
        key,
        t1=1.0,
        num_steps=2,
        num_particles=64,
    )
    frame = flow.to_frame()
    assert list(frame.columns) == ["time", "statistic", "m", "standard_error"]
    np.testing.assert_array_equal(frame.query("statistic == 3").m, flow.m[:, 3])
    np.testing.assert_array_equal(frame.query("statistic == 3").time, flow.times)


def test_frames_of_studies(key):
    setting = dict(num_steps=2, t1=1.0, law_particles=64)
    model, noise = ssd.MeanReversion(1), ssd.stable_noise("I", 1.7, 1)
    chaos = ssd.propagation_of_chaos(
        ssd.System(model, noise), key, widths=(4, 8), replicas=4, **setting
    )
    tails = ssd.tail_study(ssd.System(model, noise), key, num_columns=1000, **setting)
    for study in (chaos, tails):
        for summary, view in (
            (False, _tidy.tidy_rows),
            (True, _tidy.summary_rows),
        ):
            frame, rows = study.to_frame(summary=summary), view(study.to_dict())
            assert list(frame.columns) == list(rows[0])
            assert len(frame) == len(rows)
            number = "median" if summary else "value"
            np.testing.assert_array_equal(frame[number], [row[number] for row in rows])


def test_frames_of_grid_points(key):
    model, noise = ssd.MeanReversion(1), ssd.stable_noise("I", 1.7, 1)
    setting = dict(num_steps=2, t1=1.0, law_particles=64, replicas=8, batch=8)
    pairs = ssd.independence(ssd.System(model, noise), key, widths=(4, 8), **setting).to_frame()
    assert list(pairs.width) == [4, 8]
    assert list(pairs.columns[:4]) == ["width", "squared", "lower", "upper"]
    del setting["law_particles"]
    study = ssd.compression_probability(
        ssd.System(model, noise), key, widths=(4, 8), kappas=(0.5,), epsilons=(0.1, 0.3), **setting
    )
    frame = study.to_frame()
    assert list(zip(frame.width, frame.epsilon, strict=True)) == [
        (4, 0.1), (4, 0.3), (8, 0.1), (8, 0.3)
    ]  # fmt: skip
    np.testing.assert_array_equal(frame.probability, study.probability.ravel())


def test_without_pandas(run, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "pandas":
            raise ImportError("no pandas here")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'pip install "stablesde\[pandas\]"'):
        run.to_frame()


def test_trajectories_in_files(run, tmp_path):
    np.savez(tmp_path / "run.npz", **{k: np.asarray(v) for k, v in vars(run).items()})
    with np.load(tmp_path / "run.npz") as arrays:
        back = ssd.Trajectory(**arrays)
    eqx.tree_serialise_leaves(tmp_path / "run.eqx", run)
    like = jax.tree.map(jnp.zeros_like, run)
    again = eqx.tree_deserialise_leaves(tmp_path / "run.eqx", like)
    for other in (back, again):
        np.testing.assert_array_equal(other.theta, run.theta)
        np.testing.assert_array_equal(other.mean_statistic, run.mean_statistic)
