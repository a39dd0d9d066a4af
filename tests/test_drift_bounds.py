"""Bounds that a user's model declares: where they go, and that they hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.model import DriftBounds

KEY = jax.random.key(0)
KNOWN = DriftBounds(drift=2.0, drift_theta=1.0, drift_mean=1.0, statistic=1.0, statistic_theta=1.0)
NOISE = ssd.OneFactorStable(1.5, 1)
GRID = {"widths": (4, 8, 16, 32), "t1": 0.25, "replicas": 8}


def drift(t, theta, m):
    return jnp.tanh(m) - jnp.tanh(theta)


class Declared(ssd.MeanFieldModel):
    rate: float = 1.0
    dim: int = 1

    @property
    def bounds(self):
        return KNOWN

    def statistic(self, theta):
        return jnp.tanh(theta)

    def drift(self, theta, m):
        return drift(0.0, theta, m)


class Boxed(Declared):
    """A user's own attribute of this name is nobody else's business."""

    @property
    def bounds(self):
        return (0.0, 1.0)


@pytest.mark.parametrize("model", [ssd.FunctionModel(1, drift, jnp.tanh, KNOWN), Declared()])
def test_studies_have_bounds_and_they_hold(model, tmp_path):
    system = ssd.System(model, NOISE, sigma=0.5)
    chaos = ssd.propagation_of_chaos(system, KEY, num_steps=8, run_dir=tmp_path / "a", **GRID)
    strong = ssd.strong_error(system, KEY, num_steps=(2, 4), fine_steps=16, **GRID)
    for study in (chaos, strong):
        assert set(study.bounds) >= {"paper", "gronwall", "trivial"}
        least = np.min([np.asarray(b) for b in study.bounds.values()], axis=0)
        assert np.all(np.isfinite(least))
        assert np.all(study.errors["sup"].mean(0) < least)
        assert not any("No bound" in note for note in study.notes)
    again = ssd.propagation_of_chaos(system, KEY, num_steps=8, run_dir=tmp_path / "a", **GRID)
    np.testing.assert_array_equal(again.errors["sup"], chaos.errors["sup"])


def test_the_tail_study_has_its_claim():
    settings = {"num_columns": 1000, "num_steps": 2, "t1": 1.0, "law_particles": 512}
    for bounds in (KNOWN, None):
        model = ssd.FunctionModel(1, drift, jnp.tanh, bounds)
        study = ssd.tail_study(ssd.System(model, NOISE), KEY, **settings)
        assert study.drift_bounded == (bounds is not None)
        assert ("DriftBounds" in study.verdict) == (bounds is None)


@pytest.mark.parametrize("model", [ssd.FunctionModel(1, drift, jnp.tanh), Boxed()])
def test_without_them_the_study_says_how(model):
    study = ssd.propagation_of_chaos(ssd.System(model, NOISE), KEY, num_steps=4, **GRID)
    assert study.bounds == {}
    assert any("DriftBounds" in note for note in study.notes)


def test_constants():
    found = KNOWN.assumption_constants()
    assert found.holds
    assert (found.drift_bound, found.lipschitz_theta, found.lipschitz_mean) == (2.0, 1.0, 1.0)
    assert found.fluctuation == 1.0
    # The paper's forms follow: B(1 + B) is no less than both Lipschitz constants, B than sup ‖b‖.
    steep = DriftBounds(drift=0.1, drift_theta=30.0).assumption_constants()
    np.testing.assert_allclose(steep.B * (1 + steep.B), 30.0)
    for constants in (found, steep):
        bound = ssd.theory.strong_error_bound(constants, NOISE, width=10, step_size=0.01, t1=0.1)
        assert bound.gronwall <= bound.paper * (1 + 1e-12)
        assert np.isinf(bound.jump)
        chaos = ssd.theory.chaos_bound(constants, width=10, t1=0.1)
        assert chaos.gronwall <= chaos.paper * (1 + 1e-12)
    still = DriftBounds(drift=0.0, drift_theta=0.0).assumption_constants()
    assert ssd.theory.chaos_bound(still, width=10, t1=1.0).least == 0


@pytest.mark.parametrize("value", [-1.0, float("inf"), "one"])
def test_bad_bounds(value):
    with pytest.raises(ValueError, match="drift_theta"):
        DriftBounds(drift=1.0, drift_theta=value)
    with pytest.raises(ValueError, match="bounds must be"):
        ssd.FunctionModel(1, drift, jnp.tanh, value)
