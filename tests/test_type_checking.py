"""The annotations of shapes hold at run time, under jaxtyping's import hook (docs/architecture.md).

In a process of its own: the hook must stand before the first import of the library.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
import jax, jax.numpy as jnp, jaxtyping

with jaxtyping.install_import_hook("stablesde", "shape_checks.check"):
    import stablesde as ssd

key = jax.random.key(0)
noise = ssd.stable_noise("III", 1.5, 2)
model = ssd.FunctionModel(2, lambda t, theta, m: m - theta, lambda theta: theta)
run = dict(t1=1.0, num_steps=4)
system = ssd.System(model, noise, sigma=0.5, init=2.0)
particles = ssd.simulate(system, key, num_particles=8, save_every=2, **run)
flow = ssd.law_flow(system, key, num_particles=64, **run)
ssd.simulate_limit(flow, key, num_particles=8)
sizes = dict(widths=(4, 8, 16, 32), t1=1.0, replicas=4)
ssd.strong_error(system, key, num_steps=(2, 4), fine_steps=64, **sizes).table()
ssd.propagation_of_chaos(system, key, num_steps=4, law_particles=1024, **sizes).table()
ssd.prune(particles.final, 0.5)
ssd.stable.cdf(jnp.zeros(3), 1.5)


def refused(call):
    try:
        call()
    except jaxtyping.TypeCheckError:
        return True
    return False


print(json.dumps({
    "rank": refused(lambda: ssd.prune(jnp.zeros(3), 0.5)),
    "dtype": refused(lambda: ssd.prune(jnp.zeros((3, 2), int), 0.5)),
}))
"""


CHECKER = """
from beartype import BeartypeConf, beartype
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""


@pytest.mark.slow
def test_annotations_hold_at_run_time(tmp_path, monkeypatch):
    (tmp_path / "shape_checks.py").write_text(CHECKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"rank": True, "dtype": True}
