"""Predicted errors against measured ones, without a fitted parameter; the ratio and its verdict."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde import theory
from stablesde.studies import Axis
from stablesde.studies._constants import near_the_limit, ratio

REPLICAS = 256
MODEL = ssd.FunctionModel(1, lambda t, theta, m: 1.5 * (m - jnp.tanh(theta)), jnp.tanh)


def agree(measured, predicted, slack):
    """Means within 5.5 standard errors, and `slack` for the order that is left out."""
    for one, other in zip(measured.T, predicted.T, strict=True):
        error = np.hypot(one.std() / len(one) ** 0.5, other.std() / len(other) ** 0.5)
        assert abs(one.mean() - other.mean()) < 5.5 * error + slack * other.mean()


@pytest.mark.parametrize("alpha", [1.3, 1.7])
def test_the_strong_error(key, alpha):
    """n = 4 and 32, 16 and 64 steps: measured/η is U's, to first order in η (5 %)."""
    system = ssd.System(MODEL, ssd.stable_noise("I", jnp.asarray(alpha), 1))
    settings = dict(widths=(4, 32), num_steps=(16, 64), t1=1.0, fine_steps=512)
    keys = jax.random.split(key, REPLICAS)
    errors = ssd.dynamics.coupled_steps(system, keys, **settings)
    found = theory.predict_strong_error(system, key, replicas=REPLICAS, **settings)
    for measure in ("sup", "mean"):
        measured = np.asarray(getattr(errors, measure), float).reshape(REPLICAS, -1)
        agree(measured, getattr(found, measure).reshape(REPLICAS, -1), 0.05)
    # No multiple of η that is off by an eighth would pass.
    spread = found.mean[:, 1, 1].std() / found.mean[:, 1, 1].mean()
    assert 2 * 5.5 * spread / REPLICAS**0.5 + 0.05 < 0.25


def test_chaos(key):
    """n = 64 and 256: √n times the distance is V's, to first order in n^-1/2 (6 %)."""
    system = ssd.System(MODEL, ssd.stable_noise("I", 1.5, 1))
    settings = dict(t1=1.0, num_steps=16)
    flow = ssd.law_flow(system, key, num_particles=2**15, **settings)
    keys = jax.random.split(key, REPLICAS)
    errors = ssd.dynamics.coupled_limit(flow, keys, widths=(64, 256))
    found = theory.predict_chaos(
        system, jax.random.fold_in(key, 1), widths=(64, 256, 2**10), replicas=512, copies=256,
        **settings,
    )  # fmt: skip
    agree(np.asarray(errors.mean, float), found.mean[:, :2], 0.06)
    agree(np.asarray(errors.sup, float), found.sup[:, :2], 0.06)
    assert np.all(np.isnan(found.sup[:, 2]))  # more particles than copies
    np.testing.assert_allclose(found.mean[:, 0] * 8, found.mean[:, 1] * 16, rtol=1e-5)


def draws(mean, count, seed, noise=0.2):
    rng = np.random.default_rng(seed)
    return mean * np.exp(noise * rng.normal(size=(count, len(mean))))


SIZES = np.array([10.0, 30, 100, 300, 1000])


def test_the_ratio_has_a_calibrated_interval():
    """Over 200 pairs the 95 % interval misses 1 in about 10; more than 30: probability below 1e-6.

    The first two sizes are far off; only the half nearest to the limit counts.
    """
    theory_says = SIZES**-0.5
    truth = theory_says * np.array([3.0, 2, 1, 1, 1])
    points = near_the_limit(((tuple(SIZES), 1),))
    assert points.tolist() == [False, False, True, True, True]
    missed = 0
    for seed in range(200):
        both = draws(truth, 64, seed), draws(theory_says, 96, seed + 1000)
        found = ratio(*both, np.ones(5), points, "trimmed", 0.95)
        missed += not found.lower <= 1 <= found.upper
    assert missed <= 30
    assert found.attained is True
    exact = ratio(both[0], theory_says[None], np.ones(5), points, "trimmed", 0.95)
    assert exact.lower < 1 < exact.upper
    twice = ratio(2 * both[0], both[1], np.ones(5), points, "trimmed", 0.95)
    assert twice.attained is False
    corrected = ratio(2 * both[0], both[1], np.full(5, 0.5), points, "trimmed", 0.95)
    assert corrected.attained is True
    assert ratio(*(b[:6] for b in both), np.ones(5), points, "mean", 0.95).attained is None


def test_a_grid_near_its_limit():
    sides = (((1.0, 2.0, 3.0), 1), ((0.5, 0.25, 0.125, 0.06), -1), ((0.1, 0.3), None))
    points = near_the_limit(sides)
    assert points.shape == (3, 4, 2)
    assert points.sum() == 2 * 2 * 2
    assert points[2, 3, 0]
    assert not points[0, 3, 0]


def test_a_record_with_a_prediction(tmp_path):
    study = ssd.RateStudy(
        name="synthetic", config={"alpha": 1.5}, axes=(Axis("width", tuple(SIZES), -0.5),),
        errors={"sup": draws(SIZES**-0.5, 64, 1)}, rate_measure="sup", rate_statistic="mean",
        rate_axis="width", predicted={"sup": draws(SIZES**-0.5, 64, 2)},
    )  # fmt: skip
    assert study.constant_attained is True
    assert "constant attained (measured/predicted" in study.verdict
    record = study.to_dict()
    assert record["constant"]["sup"]["attained"] is True
    cell = record["cells"][0]
    assert cell["predicted_lower"] < cell["predicted"] < cell["predicted_upper"]
    assert "predicted" in study.table()
    without = dataclasses.replace(study, predicted={})
    assert without.constant() is None
    assert without.to_dict()["constant"] == {}
    assert "predicted" not in without.table()
    assert len(ssd.plotting.plot(study, tmp_path / "a.png").axes) == 2
