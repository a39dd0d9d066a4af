"""Fingerprints: equal for the same code in every process, different where the numbers may be."""

import functools
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde._fingerprint import fingerprint

GAIN = 2.0


def scaled_by_a_global(x):
    return GAIN * x


def closure(gain):
    return lambda x: gain * x


def model_class(gain):
    class Model(ssd.MeanFieldModel):
        dim: int = 1

        def statistic(self, theta):
            return theta

        def drift(self, theta, m):
            return -gain * theta

    return Model


def with_body(expression):
    """A class of one name, whose drift has another body each time."""
    source = f"""
    class Model(ssd.MeanFieldModel):
        dim: int = 1
        def statistic(self, theta):
            return theta
        def drift(self, theta, m):
            return {expression}
    """
    scope = {"ssd": ssd, "__name__": "users"}
    exec(textwrap.dedent(source), scope)
    return scope["Model"]()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: jnp.sin(x), lambda x: jnp.cos(x)),
        (lambda x: (lambda y: y * 2)(x), lambda x: (lambda y: y * 3)(x)),
        (lambda x, k=1: k * x, lambda x, k=2: k * x),
        (closure(1.0), closure(2.0)),
        (closure(np.zeros(2)), closure(np.ones(2))),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (jax.jit(lambda x: x + 1), jax.jit(lambda x: x + 2)),
        (model_class(1.0)(), model_class(2.0)()),
        (with_body("-theta"), with_body("-2 * theta")),
        (with_body("-theta"), with_body("m - theta")),
        (ssd.OneFactorStable(1.5, 2), ssd.OneFactorStable(1.6, 2)),
        (ssd.MeanReversion(2), ssd.MeanReversion(2, rate=2.0)),
        (np.zeros(2), np.zeros((2, 1))),
        (("ab", "c"), ("a", "bc")),
        (1, 1.0),
        (jax.random.key(0), jax.random.key(1)),
    ],
)
def test_what_differs_has_another_fingerprint(one, other):
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_the_same_code_has_the_same_fingerprint(monkeypatch):
    assert fingerprint(closure(1.0)) == fingerprint(closure(1.0))
    assert fingerprint(model_class(1.0)()) == fingerprint(model_class(1.0)())
    assert fingerprint(with_body("-theta")) == fingerprint(with_body("-theta  # a comment"))
    before = fingerprint(scaled_by_a_global)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert fingerprint(scaled_by_a_global) != before


def test_what_refers_to_itself_ends():
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert fingerprint(factorial) == fingerprint(factorial)


def test_another_process_agrees():
    """Sets are ordered by a random hash, and addresses differ, from one process to the next."""
    code = """
    import jax.numpy as jnp
    import numpy as np
    import stablesde as ssd
    from stablesde._fingerprint import fingerprint
    names = {"a", "b", "c", "d"}
    unit = lambda theta, x: jnp.tanh(theta @ x) if "a" in {"p", "q", "a"} else names
    model = ssd.NetworkModel(unit, "logistic", np.eye(2), np.arange(2), dim=2)
    print(fingerprint(model), fingerprint(unit), fingerprint(ssd.stable_noise("I", 1.5, 2)))
    """
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env={"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1
