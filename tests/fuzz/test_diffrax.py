"""Wild arguments to `stablesde.diffrax_path`."""

import pytest
from hypothesis import strategies as st

import stablesde as ssd
from fuzz.engine import ABSENT, check, dtype, fuzz, key, number, promise, value

pytest.importorskip("diffrax")
from stablesde.diffrax_path import StablePath

SIZE = st.sampled_from([10**12, 2**40, 10**30, 0, -1, 2.0, "3", True, 1.5])


@fuzz(
    400,
    noise=value(ssd.stable_noise("I", 1.5, 2), ssd.stable_noise("II", 1.2, 1), bad=st.just(1.5)),
    key=key(),
    num_particles=value(3, 5, bad=SIZE),
    t1=number(1.0, 0.5, 2),
    num_steps=value(4, 8, bad=SIZE),
    max_steps_at_once=value(ABSENT, 1, 2, bad=SIZE),
    dtype=dtype(),
)
def test_stable_path(call):
    outcome = check(StablePath, **call)
    if outcome.error is None:
        path = outcome.value
        t1 = float(path.t1)
        shape = (path.num_particles, path.noise.dim)
        promise(path.evaluate(0.0, t1 / path.num_steps), shape)
