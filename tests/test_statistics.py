"""Locations, intervals, extrapolation and the diagnosis of tails, against known answers."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import stablesde as ssd
from stablesde.studies._budget import ErrorSource
from stablesde.studies._slopes import fit_slope
from stablesde.studies._statistics import (
    _drawn,
    bca_interval,
    bootstrap,
    bootstrap_counts,
    estimate_interval,
    interval,
    jackknife,
    location,
    resampled,
    simultaneous_level,
    tail_diagnosis,
)

SIZES = 2.0 ** np.arange(4, 14)


@pytest.mark.parametrize("statistic", ["mean", "median", "trimmed", "geometric"])
@pytest.mark.parametrize("replicas", [9, 10, 40])
def test_resamples_are_what_they_say(statistic, replicas):
    """Weights on sorted replicas give the location of the resample written out in full."""
    rng = np.random.default_rng(replicas)
    errors = np.abs(rng.standard_cauchy((replicas, 2, 3)))
    counts = rng.multinomial(replicas, np.full(replicas, 1 / replicas), 5)
    got = resampled(errors, statistic, counts)
    cut = int(0.1 * replicas)
    written_out = {
        "mean": lambda e: e.mean(0),
        "median": lambda e: np.median(e, 0),
        "trimmed": lambda e: np.sort(e, 0)[cut : replicas - cut].mean(0),
        "geometric": lambda e: stats.gmean(e, 0),
    }[statistic]
    for row, one in zip(counts, got, strict=True):
        np.testing.assert_allclose(one, written_out(np.repeat(errors, row, 0)), rtol=1e-12)
    np.testing.assert_allclose(location(errors, statistic), written_out(errors), rtol=1e-12)


def test_resamples_come_in_blocks_without_a_difference(monkeypatch):
    errors = np.random.default_rng(1).lognormal(size=(30, 2))
    whole = bootstrap(errors, "trimmed"), jackknife(errors, "trimmed")
    monkeypatch.setattr("stablesde.studies._statistics._BLOCK", 97)
    _drawn.cache_clear()
    assert len(list(bootstrap_counts(30))) == 667
    np.testing.assert_allclose(bootstrap(errors, "trimmed"), whole[0], rtol=1e-14)
    np.testing.assert_allclose(jackknife(errors, "trimmed"), whole[1], rtol=1e-14)
    left_out = location(np.delete(errors, 3, 0), "trimmed")
    np.testing.assert_allclose(whole[1][3], left_out, rtol=1e-14)


def test_bca_is_scipys():
    """The same resamples and jackknife, so the ends differ by interpolation alone."""
    sample = np.random.default_rng(5).lognormal(sigma=1.2, size=60)
    ours = estimate_interval(sample[:, None], "mean", lambda v: v, 0.9, "bca")
    theirs = stats.bootstrap(
        (sample,), np.mean, confidence_level=0.9, n_resamples=60_000, method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    plain = interval(bootstrap(sample[:, None], "mean", 0.9), 0.9)
    spread = theirs.high - theirs.low
    assert abs(ours[1][0] - theirs.low) < 0.04 * spread
    assert abs(ours[2][0] - theirs.high) < 0.04 * spread
    # The correction is real: a skewed mean's percentile interval lies lower.
    assert ours[2][0] - plain[1][0] > 0.05 * spread


def test_a_symmetric_estimate_needs_no_correction():
    samples = np.linspace(-1, 1, 2001)[:, None]
    low, high = bca_interval(samples, np.zeros(1), np.array([[-1.0], [1.0]]), 0.9)
    assert low[0] == pytest.approx(-0.9, abs=1e-3)
    assert high[0] == pytest.approx(0.9, abs=1e-3)


def test_percentiles_expand_for_few_replicas():
    """Hesterberg's table: α/2 = 0.025 becomes 0.0010 at R = 5, 0.0091 at 10, 0.0168 at 20."""
    samples = np.linspace(0, 1, 1_000_001)[:, None]
    for replicas, tail in [(5, 0.0010), (10, 0.0086), (20, 0.0159), (100_000, 0.025)]:
        low, high = interval(samples, 0.95, replicas)
        t = stats.t.ppf(0.025, replicas - 1) * np.sqrt(replicas / (replicas - 1))
        assert low[0] == pytest.approx(stats.norm.cdf(t), abs=1e-5)
        assert low[0] == pytest.approx(tail, abs=1.2e-3)
        assert high[0] == pytest.approx(1 - low[0], abs=1e-5)


def power_with(correction, replicas=64, noise=0.01):
    rng = np.random.default_rng(2)
    clean = SIZES**-0.5 * np.exp(correction)
    return clean * np.exp(noise * rng.normal(size=(replicas, len(SIZES))))


@pytest.mark.parametrize(
    "correction", [3 * SIZES**-0.5, -2 * SIZES**-0.5, 0.8 * np.log1p(np.log(SIZES)), 0 * SIZES]
)
def test_extrapolation_finds_the_limit(correction):
    """For either of the two corrections the interval covers the exponent at infinite size.

    False alarm: the one of the two fits that is right misses with probability 5 %, but the interval
    covers both, and all noise is 0.01 / √64 against a difference of the fits of 0.05 or more; where
    there is no correction both are right. The key is fixed.
    """
    slope = fit_slope(power_with(correction), SIZES, 0, "mean")
    assert slope.asymptotic_lower <= -0.5 <= slope.asymptotic_upper
    if np.any(correction):
        assert not slope.contains(-0.5)


def test_extrapolation_of_steps_goes_to_zero():
    steps = 1 / SIZES
    rng = np.random.default_rng(3)
    errors = steps * (1 + 4 * steps) * np.exp(0.002 * rng.normal(size=(64, len(SIZES))))
    slope = fit_slope(errors, steps, 0, "mean", vanishing=True)
    assert slope.asymptotic_lower <= 1 <= slope.asymptotic_upper
    assert slope.local_lower[0] < slope.local[0] < slope.local_upper[0]


def test_levels():
    assert simultaneous_level(0.95, 10) == pytest.approx(0.995)
    with pytest.raises(ValueError, match="level"):
        simultaneous_level(95, 2)
    with pytest.raises(ValueError, match="count"):
        simultaneous_level(0.95, 0)
    errors = power_with(0 * SIZES)
    wide, narrow = (fit_slope(errors, SIZES, 0, "mean", level=v) for v in (0.999, 0.95))
    # Normal estimates: 3.29 / 1.96 times as wide, the ends known to a few percent.
    assert wide.half_width / narrow.half_width == pytest.approx(1.68, rel=0.15)
    with pytest.raises(ValueError, match="interval must be 'percentile' or 'bca'"):
        fit_slope(errors, SIZES, 0, "mean", method="wald")


@pytest.mark.parametrize(
    ("index", "finite"), [(1.2, False), (1.5, False), (8.0, True), (2.0, None)]
)
def test_tails_are_diagnosed(index, finite):
    errors = np.random.default_rng(0).pareto(index, 2000) + 1
    found = tail_diagnosis(errors)
    assert found.finite_variance is finite
    assert found.lower < found.index < found.upper
    assert tail_diagnosis(errors[:30]).finite_variance is None


def study(errors, **rest):
    return ssd.RateStudy(
        name="synthetic", config={}, axes=(ssd.studies.Axis("width", tuple(SIZES), -0.5),),
        errors={"mean": errors}, rate_measure="mean", rate_statistic="mean", rate_axis="width",
        **rest,
    )  # fmt: skip


def test_a_source_of_error_moves_the_slope_by_what_it_is():
    """Errors with a floor in squares: the budget says by how much the floor bends the line."""
    floor = 0.2 * SIZES[-1] ** -0.5
    clean = power_with(0 * SIZES)
    raised = np.sqrt(clean**2 + floor**2)
    factor = 1 / np.sqrt(1 + SIZES / SIZES[-1] * 0.04)
    source = ErrorSource("law flow", "synthetic", 0.02, factor)
    with_floor = study(raised, sources=(source,))
    shift = with_floor.budget()["law flow"]
    assert shift == pytest.approx(
        study(clean).slope().estimate - with_floor.slope().estimate, abs=2e-4
    )
    assert with_floor.attained() is True
    large = dataclasses.replace(source, factor=1 / (1 + SIZES / SIZES[-1]))
    assert study(clean, sources=(large,)).attained() is None
    assert "law flow may move it by" in study(clean, sources=(large,)).verdict


def test_a_record_judged_at_a_joint_level():
    near = power_with(0 * SIZES, replicas=16, noise=0.3) * SIZES**0.02
    alone = study(near)
    joint = dataclasses.replace(alone, level=0.9999)
    assert joint.slope().lower < alone.slope().lower < alone.slope().upper < joint.slope().upper
    assert joint.to_dict()["level"] == 0.9999
