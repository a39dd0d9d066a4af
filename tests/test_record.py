"""Runs on disk: the numbers of `simulate`, resumed where they were, of one configuration."""

import jax
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import Recording, record
from stablesde.store import Store


@pytest.fixture
def settings():
    return dict(num_particles=30, t1=1.0, num_steps=24, save_every=3)


@pytest.mark.parametrize("saves_per_file", [1, 2, 3, 4, 9, 100])
def test_a_recording_is_the_simulation(saves_per_file, settings, network, key, tmp_path):
    """9 saved times in files of every size that divides them or does not."""
    noise = ssd.IsotropicStable(1.5, 2)
    whole = ssd.simulate(ssd.System(network, noise), key, **settings)
    run = record(
        ssd.System(network, noise),
        key,
        run_dir=tmp_path,
        saves_per_file=saves_per_file,
        block_size=7,
        **settings,
    )
    assert run.complete
    assert len(run.parts) == -(-9 // saves_per_file)
    parts = list(run)
    np.testing.assert_array_equal(run.times, whole.times)
    np.testing.assert_array_equal(np.concatenate([p.levy for p in parts]), whole.levy)
    np.testing.assert_array_equal(parts[0].initial, whole.initial)
    joined = np.concatenate([p.displacement for p in parts])
    np.testing.assert_allclose(joined, whole.displacement, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.mean_statistic, whole.mean_statistic, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dies_at", "count"), [*((k, 3) for k in range(8)), (6, 4), (7, 4)])
def test_a_killed_run_goes_on_to_the_same_bytes(
    dies_at, count, settings, network, key, tmp_path, monkeypatch
):
    noise = ssd.OneFactorStable(1.5, 2)
    arguments = (ssd.System(network, noise), key)
    settings |= dict(saves_per_file=count)
    expected = record(*arguments, run_dir=tmp_path / "whole", **settings)
    writes, put = [], Store.put

    def dies(store, name, arrays):
        if len(writes) == dies_at:
            raise KeyboardInterrupt
        writes.append(name)
        put(store, name, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", dies)
        try:
            record(*arguments, run_dir=tmp_path / "killed", **settings)
        except KeyboardInterrupt:
            assert not Recording(tmp_path / "killed").complete or dies_at >= len(writes)
    resumed = record(*arguments, run_dir=tmp_path / "killed", **settings)
    assert resumed.complete
    for one, other in zip(expected.parts, resumed.parts, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_statistic_alone(settings, network, key, tmp_path):
    noise = ssd.OneFactorStable(1.5, 2)
    run = record(ssd.System(network, noise), key, run_dir=tmp_path, particles=False, **settings)
    whole = ssd.simulate(ssd.System(network, noise), key, **settings)
    np.testing.assert_allclose(run.mean_statistic, whole.mean_statistic, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="only the mean statistic was recorded"):
        next(iter(run))


def test_another_configuration_is_refused(settings, network, key, tmp_path):
    noise = ssd.OneFactorStable(1.5, 2)
    record(ssd.System(network, noise), key, run_dir=tmp_path, **settings)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    system = ssd.System(network, noise)
    others = [ssd.System(network, noise, sigma=2.0), ssd.System(network, noise, init=3.0)]
    calls = [(system, dict(t1=2.0)), (system, dict(num_particles=31)), *((s, {}) for s in others)]
    for other, change in calls:
        with pytest.raises(ValueError, match="another configuration"):
            record(other, key, run_dir=tmp_path, **settings | change)
    with pytest.raises(ValueError, match="another configuration"):
        record(ssd.System(network, noise), jax.random.key(1), run_dir=tmp_path, **settings)
    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


def test_bad_input(settings, network, key, tmp_path):
    noise = ssd.OneFactorStable(1.5, 2)
    with pytest.raises(ValueError, match="must divide"):
        record(
            ssd.System(network, noise), key, run_dir=tmp_path / "a", **settings | dict(save_every=5)
        )
    assert not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match="holds no recording"):
        Recording(tmp_path / "a")
    run = record(ssd.System(network, noise), key, run_dir=tmp_path / "b", **settings)
    (run.directory / "state.npz").write_bytes(b"torn")
    with pytest.raises(ValueError, match="is damaged"):
        record(ssd.System(network, noise), key, run_dir=tmp_path / "b", **settings)
