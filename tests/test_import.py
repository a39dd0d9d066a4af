"""`import stablesde` changes nothing, and loads nothing that only some users need."""

import json
import subprocess
import sys

PROGRAM = """
import json, os, sys, warnings
import equinox, jax, jaxtyping, numpy, optax, tqdm.auto
values = dict(jax.config.values)
state = numpy.random.get_state()[1].tolist()
environment = dict(os.environ)
warnings.simplefilter("error")
import stablesde
from jax._src import xla_bridge
print(json.dumps({
    "config": values == jax.config.values,
    "random": state == numpy.random.get_state()[1].tolist(),
    "environment": environment == dict(os.environ),
    "backends": len(xla_bridge._backends),
    "names": [n for n in stablesde.__all__ if not hasattr(stablesde, n)],
}))
"""
HEAVY = (
    "click", "diffrax", "matplotlib", "pooch", "scipy.integrate", "scipy.interpolate",
    "scipy.optimize", "scipy.special", "scipy.stats", "sklearn",
)  # fmt: skip


def test_importing_has_no_side_effects(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["config"]
    assert found["random"]
    assert found["environment"]
    assert found["backends"] == 0, "a computation at import time starts JAX's backend"
    assert not found["names"]
    assert list(tmp_path.iterdir()) == []


def test_slow_modules_wait_until_they_are_needed():
    program = "import stablesde, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(json.loads(done.stdout))
