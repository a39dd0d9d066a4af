"""The layout of a run changes no noise, and the rest by rounding: blocks, devices, processes."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

import stablesde as ssd
from stablesde.dynamics import _coupled, _memory, coupled_limit, coupled_steps

PROGRAMS = pathlib.Path(__file__).parent / "programs"


def start(program, *arguments, devices=1):
    root = str(PROGRAMS.parents[1])
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(PROGRAMS / program), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.mark.thorough
def test_eight_devices():
    assert "same on eight devices" in finish(start("devices.py", devices=8))


@pytest.mark.thorough
def test_two_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = [tmp_path / f"{rank}.npz" for rank in range(2)]
    both = [start("processes.py", address, 2, rank, files[rank]) for rank in range(2)]
    for process in both:
        finish(process)
    finish(start("processes.py", address, 1, 0, tmp_path / "one.npz"))
    one, parts = np.load(tmp_path / "one.npz"), [np.load(f) for f in files]
    assert [int(p["first"][0]) for p in parts] == [0, 500]
    np.testing.assert_array_equal(np.concatenate([p["levy"] for p in parts], 1), one["levy"])
    joined = np.concatenate([p["displacement"] for p in parts], 1)
    np.testing.assert_allclose(joined, one["displacement"], rtol=1e-5, atol=1e-6)
    for part in parts:
        np.testing.assert_allclose(part["m"], one["m"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_of_any_size(block, network, key):
    noise = ssd.IsotropicStable(1.3, 2)
    settings = dict(num_particles=131, t1=1.0, num_steps=4, save_every=2, scheme="heun")
    whole = ssd.simulate(ssd.System(network, noise), key, block_size=131, **settings)
    blocked = ssd.simulate(ssd.System(network, noise), key, block_size=block, **settings)
    np.testing.assert_array_equal(whole.levy, blocked.levy)
    np.testing.assert_allclose(whole.displacement, blocked.displacement, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.mean_statistic, blocked.mean_statistic, rtol=1e-5, atol=1e-6)


def test_prefixes_of_three_sizes_share_their_noise(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    runs = [
        ssd.simulate(ssd.System(network, noise), key, num_particles=n, t1=1.0, num_steps=3)
        for n in (10, 1000, 100_000)
    ]
    for small in runs[:2]:
        n = small.levy.shape[1]
        np.testing.assert_array_equal(small.initial, runs[2].initial[:n])
        np.testing.assert_array_equal(small.levy, runs[2].levy[:, :n])


@pytest.mark.slow
def test_replicas_together_or_one_by_one(network, key):
    noise, keys = ssd.IndependentStable(1.5, 2), jax.random.split(key, 5)
    flow = ssd.law_flow(ssd.System(network, noise), key, t1=1.0, num_steps=8, num_particles=5000)
    calls = [
        lambda **kw: coupled_limit(flow, keys, widths=(10, 75), **kw),
        lambda **kw: coupled_steps(
            ssd.System(network, noise),
            keys,
            widths=(10, 75),
            num_steps=(2, 4),
            fine_steps=16,
            t1=1.0,
            **kw,
        ),
    ]
    for call in calls:
        together = call()
        other = call(batch=2, block_size=32)
        np.testing.assert_allclose(together.sup, other.sup, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(together.mean, other.mean, rtol=1e-3, atol=1e-7)


class TestMemory:
    """A run that can't fit is refused before it starts, by the sizes that make it large."""

    def test_too_many_particles(self, network, key):
        noise = ssd.OneFactorStable(1.5, 2)
        with pytest.raises(MemoryError, match=r"num_particles=4000000000 .*M=8 .*Lower num_part"):
            ssd.simulate(
                ssd.System(network, noise), key, num_particles=4 * 10**9, t1=1.0, num_steps=2
            )

    def test_too_many_saved_times(self, network, key):
        noise = ssd.OneFactorStable(1.5, 2)
        with pytest.raises(MemoryError, match=r"1000001 saved times.*raise save_every"):
            ssd.simulate(
                ssd.System(network, noise),
                key,
                num_particles=10**5,
                t1=1.0,
                num_steps=10**6,
                save_every=1,
            )

    def test_too_many_steps_of_a_law_flow(self, network, key):
        with pytest.raises(MemoryError, match="4000000000 steps with M=8"):
            ssd.law_flow(
                ssd.System(network, ssd.OneFactorStable(1.5, 2)), key, t1=1.0, num_steps=4 * 10**9
            )

    def test_coupled_widths(self, network, key):
        with pytest.raises(MemoryError, match="widths up to 4000000000"):
            coupled_steps(
                ssd.System(network, ssd.OneFactorStable(1.5, 2)),
                key[None],
                widths=(10, 4 * 10**9),
                num_steps=(2,),
                fine_steps=4,
                t1=1.0,
            )

    def test_a_large_statistic_makes_small_blocks(self, key, monkeypatch):
        """M counts per particle of a block, so that it fits as long as one block does."""
        model = ssd.NetworkModel("tanh", "logistic", np.ones((4000, 2)), np.arange(4000) % 2)
        monkeypatch.setattr(_memory, "available_bytes", lambda device=None: 2 * 10**8)
        noise = ssd.OneFactorStable(1.5, 2)
        run = ssd.simulate(ssd.System(model, noise), key, num_particles=5000, t1=1.0, num_steps=1)
        assert run.final.shape == (5000, 2)
        with pytest.raises(MemoryError, match=r"blocks of 50000\b.*block_size"):
            ssd.simulate(
                ssd.System(model, noise),
                key,
                num_particles=50_000,
                t1=1.0,
                num_steps=1,
                block_size=50_000,
            )

    @pytest.mark.parametrize("free", [10**10, 10**6])  # all replicas fit, or a few
    def test_free_memory_that_changes_compiles_nothing_anew(self, network, key, monkeypatch, free):
        traced = []

        class Counted(ssd.OneFactorStable):
            def columns(self, *arguments):
                traced.append(1)
                return super().columns(*arguments)

        def errors(replica):
            keys = jax.random.split(jax.random.fold_in(key, replica), 40)
            return coupled_steps(
                ssd.System(network, Counted(1.5, 2)),
                keys,
                widths=(4, 8),
                num_steps=(2,),
                fine_steps=4,
                t1=1.0,
            )

        memory = iter([free, int(1.01 * free)])
        monkeypatch.setattr(_coupled, "available_bytes", lambda: next(memory))
        monkeypatch.setattr(_coupled, "require_memory", lambda *_: None)
        errors(0)
        before = len(traced)
        errors(1)
        assert before > 0
        assert len(traced) == before

    def test_free_memory_is_known_here(self):
        free = _memory.available_bytes()
        assert free is None or free > 10**7
