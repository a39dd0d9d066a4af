"""Fingerprints: equal for the same program in every process, different where the numbers may be."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde._fingerprint import fingerprint
from stablesde.datasets import teacher

GAIN = 2.0


def model(drift):
    return ssd.FunctionModel(1, drift, jnp.tanh)


def closure(gain):
    return lambda t, theta, m: gain * theta


def nested(gain):
    """A constant inside a loop inside a compiled function."""
    step = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: y * jnp.asarray(gain), x))
    return lambda t, theta, m: step(theta)


def large(middle):
    """An array whose text would be cut."""
    array = np.zeros(5001)
    array[2500] = middle
    return lambda t, theta, m: theta * jnp.sum(jnp.asarray(array) ** 2)


class Model(ssd.MeanFieldModel):
    gain: float
    table: tuple = (1.0, 2.0)
    dim: int = 1

    def statistic(self, theta):
        return theta

    def drift(self, theta, m):
        return -self.gain * theta + self.table[1] * m


class Louder(ssd.OneFactorStable):
    def columns(self, stream, index, scale, dtype):
        return 2 * super().columns(stream, index, scale, dtype)


def network(unit):
    data = teacher()
    return ssd.NetworkModel(unit, "logistic", data.x_train[:4], data.y_train[:4], dim=2)


DIFFERENT = {
    "body": (model(lambda t, x, m: -x), model(lambda t, x, m: -2 * x)),
    "argument": (model(lambda t, x, m: -x), model(lambda t, x, m: x - m)),
    "function": (model(lambda t, x, m: jnp.sin(x)), model(lambda t, x, m: jnp.cos(x))),
    "default": (model(lambda t, x, m, k=1: k * x), model(lambda t, x, m, k=2: k * x)),
    "closure": (model(closure(1.0)), model(closure(2.0))),
    "array in a closure": (model(closure(np.ones(1))), model(closure(np.full(1, 1.5)))),
    "large array": (model(large(0.0)), model(large(1.0))),
    "loop": (model(nested([1.0])), model(nested([2.0]))),
    "field": (Model(1.0), Model(2.0)),
    "tuple": (Model(1.0), Model(1.0, (1.0, 3.0))),
    "unit": (network(lambda w, x: jnp.tanh(w @ x)), network(lambda w, x: jnp.sin(w @ x))),
    "data": (network("tanh"), ssd.NetworkModel("tanh", "logistic", np.eye(2), np.arange(2))),
    "rate": (ssd.MeanReversion(2), ssd.MeanReversion(2, rate=2.0)),
    "alpha": (ssd.OneFactorStable(1.5, 2), ssd.OneFactorStable(1.6, 2)),
    "type": (ssd.OneFactorStable(1.5, 2), ssd.IsotropicStable(1.5, 2)),
    "increments": (ssd.OneFactorStable(1.5, 2), Louder(1.5, 2)),
    "init": (lambda key: jax.random.normal(key, (1,)), lambda key: jax.random.uniform(key, (1,))),
    "shape": (np.zeros(2), np.zeros((2, 1))),
    "text": (("ab", "c"), ("a", "bc")),
    "number": (1, 1.0),
    "key": (jax.random.key(0), jax.random.key(1)),
    "many": (np.r_[np.zeros(10**4), 0], np.r_[np.zeros(10**4), 1]),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_has_another_fingerprint(case):
    one, other = DIFFERENT[case]
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_the_same_program_has_the_same_fingerprint(monkeypatch):
    assert fingerprint(model(closure(1.0))) == fingerprint(model(closure(1.0)))
    assert fingerprint(Model(1.0)) == fingerprint(Model(1.0))
    of_a_global = model(lambda t, theta, m: GAIN * theta)
    before = fingerprint(of_a_global)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert fingerprint(of_a_global) != before
    monkeypatch.setitem(globals(), "GAIN", 2.0)
    assert fingerprint(of_a_global) == before


def test_another_process_agrees():
    """Sets are ordered by a random hash, and addresses differ, from one process to the next."""
    code = """
    import jax, jax.numpy as jnp, numpy as np
    import stablesde as ssd
    from stablesde._fingerprint import fingerprint
    unit = lambda theta, x: jax.nn.relu(theta @ x)[None] if "a" in {"p", "a"} else x
    model = ssd.NetworkModel(unit, "logistic", np.eye(2), np.arange(2), dim=2)
    init = lambda key: jax.random.normal(key, (2,))
    values = [model, ssd.NetworkModel("tanh", "logistic", np.eye(2), np.arange(2)), init]
    values += [ssd.stable_noise(kind, 1.5, 2) for kind in ("I", "II", "III")]
    values += [ssd.WeightDecay(model, 0.1), ssd.FunctionModel(1, lambda t, x, m: -x, jnp.tanh)]
    print(*map(fingerprint, values))
    """
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env={"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1
    assert len(set(found.pop().split())) == 8
