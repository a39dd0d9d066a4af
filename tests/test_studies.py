"""Studies: slopes on known powers, verdicts as data, resumable cells, and the paper's claims."""

import json

import matplotlib
import numpy as np
import pytest

import stablesde as ssd
from stablesde.studies import Axis
from stablesde.studies._statistics import fit_slope, location

matplotlib.use("Agg")
SIZES = np.array([10.0, 30, 100, 300, 1000])


def synthetic(power, replicas=200, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return SIZES**power * np.exp(noise * rng.normal(size=(replicas, len(SIZES))))


def study_of(errors, theory, bound=None, **axis):
    bounds = {} if bound is None else {"paper": bound}
    return ssd.RateStudy(
        name="synthetic", config={"alpha": 1.5, "noise": "none", "dtype": "float64", "model": "m"},
        axes=(Axis("width", tuple(SIZES), theory, **axis),), errors={"sup": errors},
        rate_measure="sup", rate_statistic="median", rate_axis="width", bounds=bounds,
    )  # fmt: skip


@pytest.mark.parametrize("statistic", ["mean", "median", "trimmed", "geometric"])
@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0])
def test_slope_of_a_power(power, statistic):
    slope = fit_slope(synthetic(power), SIZES, 0, statistic)
    # The standard error is about 0.3/√200/3.6 ≈ 0.006 for the mean, 0.008 for the median.
    assert abs(slope.estimate - power) < 0.045
    assert slope.lower < slope.estimate < slope.upper
    assert slope.straight
    np.testing.assert_allclose(slope.local, power, atol=0.25)


def test_a_bent_curve_is_not_straight():
    bent = synthetic(0.0) * np.exp(0.1 * np.log(SIZES) ** 2)
    slope = fit_slope(bent, SIZES, 0, "median")
    assert not slope.straight
    assert slope.curvature > 0.5


def test_slope_pools_lines_of_a_grid():
    grid = synthetic(-0.5)[:, :, None] * np.array([1.0, 5.0, 25.0])
    assert abs(fit_slope(grid, SIZES, 0, "median").estimate + 0.5) < 0.045


def test_slope_interval_covers():
    """95 % intervals over 200 synthetic studies; fewer than 172 hits: probability below 1e-6."""
    hits = sum(
        fit_slope(synthetic(-0.5, replicas=60, noise=0.8, seed=s), SIZES, 0, "mean").contains(-0.5)
        for s in range(200)
    )
    assert hits >= 172


def test_heavy_tailed_errors_need_a_robust_location():
    errors = np.abs(np.random.default_rng(3).standard_cauchy((400, 1)))
    assert location(errors, "median")[0] == pytest.approx(1.0, rel=0.3)


def test_verdicts():
    true, wide = study_of(synthetic(-0.5), -0.5), study_of(synthetic(-0.5, 4, 2.0), -0.5)
    assert true.attained() is True
    assert study_of(synthetic(-0.3), -0.5).attained() is False
    assert wide.attained() is None
    assert true.bound_holds is None
    assert study_of(synthetic(-0.5), -0.5, bound=10 * SIZES**-0.5).bound_holds is True
    assert study_of(synthetic(-0.5), -0.5, bound=0.5 * SIZES**-0.5).bound_holds is False
    # Below the bound everywhere, but at a worse rate than claimed.
    assert study_of(synthetic(-0.2), -0.5, bound=100 * SIZES**-0.5).bound_holds is False
    better = study_of(synthetic(1.0), 2 / 3, bound=100 * SIZES, direction=+1)
    assert better.bound_holds is True
    assert better.attained() is False
    assert "bound holds" in better.verdict
    assert "not attained" in better.verdict


def test_slopes_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="at least 4 sizes"):
        fit_slope(synthetic(1.0)[:, :3], SIZES[:3], 0, "mean")
    with pytest.raises(ValueError, match="positive and finite"):
        fit_slope(synthetic(1.0) * 0, SIZES, 0, "mean")
    with pytest.raises(ValueError, match="statistic"):
        fit_slope(synthetic(1.0), SIZES, 0, "mode")
    with pytest.raises(ValueError, match="axis must be one of width"):
        study_of(synthetic(1.0), 1.0).slope("step")
    with pytest.raises(ValueError, match="measure must be one of sup"):
        study_of(synthetic(1.0), 1.0).slope(measure="rms")


SMALL = dict(widths=(4, 8, 16, 32), num_steps=8, t1=1.0, replicas=6, batch=2, law_particles=2000)


def test_a_resumed_study_is_the_same(network, key, tmp_path, monkeypatch):
    noise = ssd.OneFactorStable(1.5, 2)
    whole = ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path / "a", **SMALL)
    whole.to_json(tmp_path / "a.json")
    ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path / "b", **SMALL)
    cells = sorted((tmp_path / "b" / "propagation_of_chaos").glob("replicas-*.json"))
    assert len(cells) == 3
    kept = cells[0].stat().st_mtime_ns
    cells[1].unlink()
    resumed = ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path / "b", **SMALL)
    resumed.to_json(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert cells[0].stat().st_mtime_ns == kept
    # With every cell there, nothing is computed: not even the law flow.

    def unwanted(*args, **settings):
        raise AssertionError("the law flow was computed again")

    monkeypatch.setattr("stablesde.studies._setup.law_flow", unwanted)
    ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path / "b", **SMALL)


def test_a_run_directory_refuses_another_configuration(network, key, tmp_path):
    noise = ssd.OneFactorStable(1.5, 2)
    ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path, **SMALL)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    with pytest.raises(ValueError, match=r"another configuration.*alpha"):
        ssd.propagation_of_chaos(
            network, ssd.OneFactorStable(1.6, 2), key, run_dir=tmp_path, **SMALL
        )
    other = ssd.NetworkModel("tanh", "logistic", np.asarray(network.x) * 2, np.arange(8) % 2)
    with pytest.raises(ValueError, match="model_fingerprint"):
        ssd.propagation_of_chaos(other, noise, key, run_dir=tmp_path, **SMALL)
    with pytest.raises(ValueError, match="noise_fingerprint"):
        ssd.propagation_of_chaos(
            network, ssd.EllipticalStable(1.5, np.eye(2)), key, run_dir=tmp_path, **SMALL
        )
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    cell = next(tmp_path.rglob("replicas-00000.json"))
    cell.write_text('{"sup": [[')
    with pytest.raises(ValueError, match=r"damaged.*delete this one file"):
        ssd.propagation_of_chaos(network, noise, key, run_dir=tmp_path, **SMALL)


def test_records_are_views_of_the_data(network, key, tmp_path):
    study = ssd.strong_error(
        network, ssd.IsotropicStable(1.5, 2), key, widths=(4, 8, 16, 32), num_steps=(4, 8, 16, 32),
        fine_steps=256, t1=1.0, replicas=8,
    )  # fmt: skip
    study.to_json(tmp_path / "study.json")
    record = json.loads((tmp_path / "study.json").read_text())
    assert set(record["exponent"]) >= {"estimate", "lower", "upper", "theory"}
    assert record["config"]["dtype"] == "float32"
    assert len(record["cells"]) == 2 * 16
    first = record["cells"][0]
    assert np.median(first["replicas"]) == pytest.approx(first["median"])
    assert len(study.table().splitlines()) == 2 + 16
    assert "bound holds" in repr(study)
    figure = ssd.plotting.plot(study, tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 20_000
    assert len(figure.axes) == 4


def test_tail_study(network, key, tmp_path):
    settings = dict(num_columns=150_000, num_steps=4, t1=1.0, batch=60_000, law_particles=2000)
    study = ssd.tail_study(network, ssd.OneFactorStable(1.3, 2), key, run_dir=tmp_path, **settings)
    # 3.5 times the interval's reach is 6.9 standard errors.
    assert abs(study.estimate - 1.3) < 3.5 * (study.upper - study.lower) / 2
    assert study.bound_holds
    assert study.top[0] == study.top.max()
    # The tail constant of σL_t: 5.5 standard errors of a count, 5 % for the second order.
    count = study.k
    predicted = study.num_columns * study.tail_constant * study.top[count] ** -1.3
    assert abs(predicted - count) < 5.5 * np.sqrt(count) + 0.05 * count
    again = ssd.tail_study(network, ssd.OneFactorStable(1.3, 2), key, run_dir=tmp_path, **settings)
    np.testing.assert_array_equal(study.top, again.top)
    assert json.dumps(study.to_dict())
    assert ssd.plotting.plot(study, tmp_path / "tail.png").axes


def test_a_study_with_few_sizes_has_no_slope_but_a_record(network, key):
    study = ssd.propagation_of_chaos(
        network, ssd.OneFactorStable(1.5, 2), key, **SMALL | dict(widths=(4, 8), replicas=8)
    )
    assert study.attained() is None
    assert study.bound_holds is True
    assert study.to_dict()["exponent"] is None
    assert "bound holds" in repr(study)
    with pytest.raises(ValueError, match="at least 4 sizes"):
        study.slope()


def test_bad_input(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    with pytest.raises(ValueError, match="widths must be positive"):
        ssd.propagation_of_chaos(network, noise, key, **SMALL | dict(widths=(0, 4)))
    with pytest.raises(ValueError, match="increasing"):
        ssd.propagation_of_chaos(network, noise, key, **SMALL | dict(widths=(8, 4)))
    with pytest.raises(ValueError, match="replicas must be at least 2"):
        ssd.propagation_of_chaos(network, noise, key, **SMALL | dict(replicas=1))
    with pytest.raises(ValueError, match="sequence of integers"):
        ssd.propagation_of_chaos(network, noise, key, **SMALL | dict(widths=4))
    with pytest.raises(ValueError, match="and be smaller"):
        ssd.strong_error(
            network, noise, key, widths=(4, 8), num_steps=(16,), fine_steps=16, t1=1.0, replicas=2
        )
    with pytest.raises(ValueError, match="must divide fine_steps"):
        ssd.strong_error(
            network, noise, key, widths=(4, 8), num_steps=(3,), fine_steps=16, t1=1.0, replicas=2
        )
    with pytest.raises(ValueError, match="kappas"):
        ssd.compressibility(
            network, noise, key, widths=(10, 20), kappas=(0.0,), num_steps=2, t1=1.0
        )
    with pytest.raises(ValueError, match="num_columns"):
        ssd.tail_study(network, noise, key, num_columns=10, num_steps=2, t1=1.0)
    with pytest.raises(TypeError, match="plot draws"):
        ssd.plotting.plot("chaos")


@pytest.mark.slow
def test_chaos_at_the_claimed_rate(network, key):
    """Slope of the mean error -1/2, bound above the sup; 0.08 is over 5 standard errors."""
    study = ssd.propagation_of_chaos(
        network, ssd.IsotropicStable(1.5, 2), key, widths=(16, 32, 64, 128, 256, 512), num_steps=16,
        t1=1.0, replicas=192, law_particles=2**18,
    )  # fmt: skip
    assert abs(study.slope().estimate + 0.5) < 0.08
    assert study.bound_holds
    assert np.all(study.errors["sup"].mean(0) < study.bounds["sharp"])


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.5, 1.8])
def test_strong_error_is_first_order(network, key, alpha):
    study = ssd.strong_error(
        network, ssd.OneFactorStable(alpha, 2), key, widths=(10, 32, 100, 316),
        num_steps=(8, 16, 32, 64), fine_steps=1024, t1=1.0, replicas=32,
    )  # fmt: skip
    assert abs(study.slope("step").estimate - 1) < 0.1
    assert study.slope("width").upper < 0.3
    assert study.bound_holds
    assert study.attained("step") is False


@pytest.mark.slow
def test_linear_drift_attains_the_width_exponent(key):
    study = ssd.strong_error(
        ssd.MeanReversion(2), ssd.OneFactorStable(1.5, 2), key, widths=(10, 32, 100, 316, 1000),
        num_steps=(4, 8), fine_steps=128, t1=1.0, replicas=256, batch=64,
    )  # fmt: skip
    # Standard error about 0.02.
    assert abs(study.slope("width").estimate - 1 / 1.5) < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.2, 1.75])
def test_compression_exponent(network, alpha, key):
    study = ssd.compressibility(
        network, ssd.OneFactorStable(alpha, 2), key, widths=(300, 1000, 3000, 10_000, 30_000),
        kappas=(0.1, 0.3), num_steps=8, t1=1.0, replicas=96, law_particles=20_000,
    )  # fmt: skip
    slope = study.slope("width")
    reach = (slope.upper - slope.lower) / 2
    # 2.8 times the 95 % reach is 5.5 standard errors; 0.01 for the approach to the limit.
    assert abs(slope.estimate - ssd.theory.compression_exponent(alpha)) < 2.8 * reach + 0.01
    assert slope.upper < 0
