"""Studies: records, resumable cells, checked input, and the paper's claims."""

import dataclasses
import json

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import stablesde as ssd
from stablesde.studies._setup import sizes
from stablesde.theory._compression import compression_exponent

matplotlib.use("Agg")

SMALL = dict(widths=(4, 8, 16, 32), num_steps=8, t1=1.0, replicas=6, batch=2, law_particles=2000)


def test_a_resumed_study_is_the_same(network, key, tmp_path, monkeypatch):
    noise = ssd.OneFactorStable(1.5, 2)
    whole = ssd.propagation_of_chaos(
        ssd.System(network, noise), key, run_dir=tmp_path / "a", **SMALL
    )
    whole.save(tmp_path / "a.json")
    ssd.propagation_of_chaos(ssd.System(network, noise), key, run_dir=tmp_path / "b", **SMALL)
    cells = sorted((tmp_path / "b" / "propagation_of_chaos").glob("replicas-*.npz"))
    assert len(cells) == 3
    kept = cells[0].stat().st_mtime_ns
    cells[1].unlink()
    resumed = ssd.propagation_of_chaos(
        ssd.System(network, noise), key, run_dir=tmp_path / "b", **SMALL
    )
    resumed.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert cells[0].stat().st_mtime_ns == kept
    # With every cell there, nothing is computed: not even the law flow.

    def unwanted(*args, **settings):
        raise AssertionError("the law flow was computed again")

    monkeypatch.setattr("stablesde.studies._setup.law_flow", unwanted)
    ssd.propagation_of_chaos(ssd.System(network, noise), key, run_dir=tmp_path / "b", **SMALL)


def test_a_run_directory_refuses_another_configuration(network, key, tmp_path, monkeypatch):
    noise = ssd.OneFactorStable(1.5, 2)
    ssd.propagation_of_chaos(ssd.System(network, noise), key, run_dir=tmp_path, **SMALL)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    with pytest.raises(ValueError, match=r"another configuration.*alpha"):
        ssd.propagation_of_chaos(
            ssd.System(network, ssd.OneFactorStable(1.6, 2)), key, run_dir=tmp_path, **SMALL
        )
    other = ssd.NetworkModel("tanh", "logistic", np.asarray(network.x) * 2, np.arange(8) % 2)
    with pytest.raises(ValueError, match="model_fingerprint"):
        ssd.propagation_of_chaos(ssd.System(other, noise), key, run_dir=tmp_path, **SMALL)
    with pytest.raises(ValueError, match="noise_fingerprint"):
        ssd.propagation_of_chaos(
            ssd.System(network, ssd.EllipticalStable(1.5, np.eye(2))),
            key,
            run_dir=tmp_path,
            **SMALL,
        )
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    cell = next(tmp_path.rglob("replicas-00000.npz"))
    cell.write_bytes(cell.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"damaged.*delete this one file"):
        ssd.propagation_of_chaos(ssd.System(network, noise), key, run_dir=tmp_path, **SMALL)
    monkeypatch.setattr("stablesde.studies._setup.__version__", "99.0")
    with pytest.raises(ValueError, match=r"by another version, 0\..*different: version"):
        ssd.propagation_of_chaos(ssd.System(network, noise), key, run_dir=tmp_path, **SMALL)


def test_records_are_views_of_the_data(network, key, tmp_path):
    study = ssd.strong_error(
        ssd.System(network, ssd.IsotropicStable(1.5, 2)),
        key,
        widths=(4, 8, 16, 32),
        num_steps=(4, 8, 16, 32),
        fine_steps=256,
        t1=1.0,
        replicas=8,
    )
    study.save(tmp_path / "study.json")
    record = json.loads((tmp_path / "study.json").read_text())
    assert set(record["exponent"]) >= {"estimate", "lower", "upper", "theory"}
    assert record["config"]["dtype"] == "float32"
    assert len(record["cells"]) == 2 * 16
    first = record["cells"][0]
    assert np.median(study.errors["sup"][:, 0, 0]) == pytest.approx(first["median"])
    assert len(study.table().splitlines()) == 2 + 16
    assert "bound holds" in repr(study)
    figure = ssd.plotting.plot(study, tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 20_000
    assert len(figure.axes) == 4


def test_tail_study(network, key, tmp_path):
    settings = dict(num_columns=150_000, num_steps=4, t1=1.0, batch=60_000, law_particles=2000)
    study = ssd.tail_study(
        ssd.System(network, ssd.OneFactorStable(1.3, 2)), key, run_dir=tmp_path, **settings
    )
    # 3.5 times the interval's reach is 6.9 standard errors.
    assert abs(study.estimate - 1.3) < 3.5 * (study.upper - study.lower) / 2
    assert study.bound_holds
    assert study.top[0] == study.top.max()
    # The tail constant of σL_t: 5.5 standard errors of a count, 5 % for the second order.
    count = study.k
    predicted = study.num_columns * study.tail_constant * study.top[count] ** -1.3
    assert abs(predicted - count) < 5.5 * np.sqrt(count) + 0.05 * count
    again = ssd.tail_study(
        ssd.System(network, ssd.OneFactorStable(1.3, 2)), key, run_dir=tmp_path, **settings
    )
    np.testing.assert_array_equal(study.top, again.top)
    assert json.dumps(study.to_dict())
    assert ssd.plotting.plot(study, tmp_path / "tail.png").axes


def test_a_study_with_few_sizes_has_no_slope_but_a_record(network, key):
    study = ssd.propagation_of_chaos(
        ssd.System(network, ssd.OneFactorStable(1.5, 2)),
        key,
        **SMALL | dict(widths=(4, 8), replicas=8),
    )
    assert study.attained() is None
    assert study.bound_holds is True
    assert study.to_dict()["exponent"] is None
    assert "bound holds" in repr(study)
    assert "not fitted: a slope needs at least 4 sizes" in repr(study)
    with pytest.raises(ValueError, match="at least 4 sizes"):
        study.slope()
    with pytest.raises(ValueError, match="at least 4 sizes, this study has 2 widths"):
        ssd.plotting.plot(study)


class Superlinear(ssd.MeanFieldModel):
    dim: int = 2

    def statistic(self, theta):
        return theta

    def drift(self, theta, m):
        return -(theta**3)


def test_a_diverging_scheme_is_told_and_not_written(key, tmp_path):
    noise = ssd.OneFactorStable(1.2, 2)
    settings = dict(t1=1.0, num_steps=8, run_dir=tmp_path, law_particles=2000)
    with pytest.raises(ValueError, match=r"not finite.*diverge"):
        ssd.propagation_of_chaos(
            ssd.System(Superlinear(), noise), key, widths=(4, 8, 16, 32), replicas=8, **settings
        )
    with pytest.raises(ValueError, match="not finite"):
        ssd.tail_study(ssd.System(Superlinear(), noise), key, num_columns=1000, **settings)
    # No law flow here that would notice first: the cell itself is refused.
    with pytest.raises(ValueError, match=r"not finite.*diverged.*bound the drift"):
        ssd.strong_error(
            ssd.System(Superlinear(), noise),
            key,
            widths=(200, 2000),
            num_steps=(4, 8),
            fine_steps=64,
            t1=1.0,
            replicas=8,
            run_dir=tmp_path,
        )
    assert not list(tmp_path.rglob("replicas-*.npz")) + list(tmp_path.rglob("columns-*.json"))


def test_an_inaccurate_law_flow_blocks_the_verdict(network, key):
    noise = ssd.OneFactorStable(1.5, 2)
    rough = SMALL | dict(replicas=8, law_particles=400)
    study = ssd.propagation_of_chaos(ssd.System(network, noise), key, **rough)
    assert (study.bound_holds, study.attained()) == (None, None)
    assert "take law_particles ≥ 512" in study.verdict


def test_gaussian_columns_are_not_compressible(network, key):
    study = ssd.compressibility(
        ssd.System(network, ssd.OneFactorStable(2.0, 2)),
        key,
        widths=(50, 100, 200, 400),
        kappas=np.array([0.1, 0.3]),
        num_steps=2,
        t1=1.0,
        replicas=16,
        law_particles=500,
    )
    assert study.axis("width").tolerance == 0
    assert study.bound_holds is None
    assert study.attained() is not True


@pytest.mark.parametrize("widths", [np.array([4, 8]), jnp.array([4, 8]), range(4, 9, 4)])
def test_sizes_may_be_arrays_of_integers(widths):
    assert sizes("widths", widths) == (4, 8)


@pytest.mark.parametrize(
    "widths", [(True, 2), np.array([False, True]), (1.0, 2.0), "48", (), [[1, 2]], None, (0, 4)]
)
def test_sizes_must_be_integers(widths):
    with pytest.raises(ValueError, match="widths must be"):
        sizes("widths", widths)


CHAOS_FAULTS = [
    (dict(widths=(0, 4)), "widths must be positive"),
    (dict(widths=(8, 4)), "increasing"),
    (dict(widths=4), "sequence of integers"),
    (dict(replicas=1), "replicas must be at least 2"),
    (dict(replicas=True), "replicas must be an integer"),
    (dict(batch=2.0), "batch must be an integer"),
    (dict(batch=0), "batch must be an integer and at least 1"),
    (dict(num_steps=0), "num_steps must be"),
    (dict(law_particles=False), "law_particles must be"),
    (dict(t1=-1.0), "t1 must be"),
]


@pytest.mark.parametrize(("changes", "message"), CHAOS_FAULTS)
def test_faults_are_found_before_the_run_directory_is_claimed(
    network, key, tmp_path, changes, message
):
    noise = ssd.OneFactorStable(1.5, 2)
    with pytest.raises(ValueError, match=message):
        ssd.propagation_of_chaos(
            ssd.System(network, noise), key, run_dir=tmp_path, **SMALL | changes
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("study", "settings", "message"),
    [
        (ssd.strong_error, dict(widths=(4, 8), num_steps=(16,), fine_steps=16), "and be smaller"),
        (ssd.strong_error, dict(widths=(4, 8), num_steps=(3,), fine_steps=16), "must divide"),
        (ssd.strong_error, dict(widths=(4, 8), num_steps=(2,), fine_steps=True), "fine_steps"),
        (ssd.compressibility, dict(widths=(10, 20), kappas=(0.0,), num_steps=2), "kappas"),
        (ssd.compressibility, dict(widths=(10, 20), kappas=0.5, num_steps=2), "a sequence"),
        (
            ssd.compressibility,
            dict(widths=(4, 20), kappas=(0.1,), num_steps=2),
            "keeps none of the 4",
        ),
        (ssd.tail_study, dict(num_columns=10, num_steps=2), "num_columns"),
        (ssd.tail_study, dict(num_columns=True, num_steps=2), "num_columns"),
        (ssd.tail_study, dict(num_columns=5000, num_steps=2, batch=0), "batch"),
    ],
)
def test_bad_input(network, key, tmp_path, study, settings, message):
    noise = ssd.OneFactorStable(1.5, 2)
    with pytest.raises(ValueError, match=message):
        study(ssd.System(network, noise), key, t1=1.0, run_dir=tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_settings_may_be_numpy_numbers(network, key, tmp_path):
    settings = SMALL | dict(widths=np.array([4, 8]), t1=np.float32(1.0), replicas=np.int64(2))
    system = ssd.System(network, ssd.OneFactorStable(1.5, 2), sigma=jnp.asarray(0.5))
    study = ssd.propagation_of_chaos(system, key, run_dir=tmp_path, **settings)
    assert study.config["widths"] == [4, 8]
    assert study.config["version"] == ssd.__version__


@pytest.mark.slow
def test_chaos_at_the_claimed_rate(network, key):
    """Slope of the mean error -1/2, bound above the sup; 0.08 is over 5 standard errors."""
    study = ssd.propagation_of_chaos(
        ssd.System(network, ssd.IsotropicStable(1.5, 2)),
        key,
        widths=(16, 32, 64, 128, 256, 512),
        num_steps=16,
        t1=1.0,
        replicas=192,
        law_particles=2**18,
    )
    assert abs(study.slope().estimate + 0.5) < 0.08
    assert study.bound_holds
    assert np.all(study.errors["sup"].mean(0) < study.bounds["gronwall"])


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.5, 1.8])
def test_strong_error_is_first_order(network, key, alpha):
    study = ssd.strong_error(
        ssd.System(network, ssd.OneFactorStable(alpha, 2)),
        key,
        widths=(10, 32, 100, 316),
        num_steps=(8, 16, 32, 64),
        fine_steps=2048,
        t1=1.0,
        replicas=32,
    )
    assert abs(study.slope("step").estimate - 1) < 0.1
    assert study.slope("width").upper < 0.3
    assert study.bound_holds
    assert study.attained("step") is False


@pytest.mark.slow
def test_linear_drift_attains_the_width_exponent(key):
    study = ssd.strong_error(
        ssd.System(ssd.MeanReversion(2), ssd.OneFactorStable(1.5, 2)),
        key,
        widths=(10, 32, 100, 316, 1000),
        num_steps=(4, 8),
        fine_steps=128,
        t1=1.0,
        replicas=256,
        batch=64,
    )
    # Standard error about 0.02.
    assert abs(study.slope("width").estimate - 1 / 1.5) < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.2, 1.75])
def test_compression_exponent(network, alpha, key):
    study = ssd.compressibility(
        ssd.System(network, ssd.OneFactorStable(alpha, 2)),
        key,
        widths=(300, 1000, 3000, 10_000, 30_000),
        kappas=(0.1, 0.3),
        num_steps=8,
        t1=1.0,
        replicas=96,
        law_particles=20_000,
    )
    slope = study.slope("width")
    reach = (slope.upper - slope.lower) / 2
    # 2.8 times the 95 % reach is 5.5 standard errors; 0.01 for the approach to the limit.
    assert abs(slope.estimate - compression_exponent(alpha)) < 2.8 * reach + 0.01
    assert slope.upper < 0


HEAVY = dict(widths=(8, 16, 32, 64), num_steps=4, t1=1.0, replicas=8)


@pytest.mark.slow
def test_the_tail_of_the_statistic_gives_the_rate_of_chaos(key, network):
    """Known from the model, declared, or estimated with a warning: one index, one exponent."""
    study = lambda model, alpha, **more: ssd.propagation_of_chaos(  # noqa: E731
        ssd.System(model, ssd.stable_noise("I", alpha, model.dim)), key, **HEAVY | more
    )
    known = study(ssd.MeanReversion(1), 1.5)
    assert known.axes[0].theory == pytest.approx(1 / 1.5 - 1)
    assert known.rate_statistic == "median"
    assert known.config["statistic_tail"] == 1.5
    # At α = 1.2 and N = 16 n, √(n/N) is 25 %, and (n/N)^(1 - 1/α) is 63 %.
    rough = study(ssd.MeanReversion(1), 1.2, law_particles=16 * 64)
    assert "has 63 % of the fluctuation" in rough.blocked
    assert rough.attained() is None
    assert study(ssd.MeanReversion(1), 2.0).axes[0].theory == -0.5
    assert study(network, 1.5).axes[0].theory == -0.5
    assert "no mean" in study(ssd.MeanReversion(1), 0.9, law_particles=2000).blocked
    plain = ssd.FunctionModel(1, lambda t, theta, m: 0.5 * m - theta, lambda theta: theta)
    with pytest.warns(UserWarning, match="give statistic_tail|statistic_tail="):
        found = study(plain, 1.3)
    # The law is stable with index 1.3: 20 000 particles give it to within 20 % (6.6 errors).
    assert abs(found.config["statistic_tail"] - 1.3) < 0.26
    assert study(plain, 1.3, statistic_tail=1.3).axes[0].theory == pytest.approx(1 / 1.3 - 1)
    bounded = ssd.FunctionModel(1, lambda t, theta, m: 0.5 * m - theta, jnp.tanh)
    assert study(bounded, 1.3).axes[0].theory == -0.5
    with pytest.raises(ValueError, match="statistic_tail must be"):
        study(plain, 1.3, statistic_tail=-1.0)
    with pytest.raises(ValueError, match="finite variance"):
        study(ssd.MeanReversion(1), 1.5, predict=4)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.3, 1.5])
def test_chaos_of_an_unbounded_statistic_attains_its_exponent(alpha, key):
    """The particles are stable, as θ₀ = 0 and the drift is linear: the rate is exact at every n.

    The slope's standard error is 0.0127, so the tolerance of 0.07 is 5.5 of them (10⁻⁷).
    """
    system = ssd.System(ssd.MeanReversion(1), ssd.stable_noise("I", alpha, 1), init=jnp.zeros(1))
    study = ssd.propagation_of_chaos(
        system, key, widths=(8, 16, 32, 64, 128), num_steps=8, t1=1.0, replicas=2048, batch=512,
        law_particles=2**21,
    )  # fmt: skip
    slope = study.slope()
    assert abs(slope.estimate - study.budget()["law flow"] - (1 / alpha - 1)) < 0.07
    assert slope.upper < 0
    assert slope.lower > -0.5


@pytest.fixture(scope="module")
def scalar_network():
    x = np.array([[1.0], [2.0]])
    model = ssd.NetworkModel("tanh", "logistic", x, np.array([0, 1]))
    return ssd.System(model, ssd.stable_noise("I", 1.5, 1), init=jnp.array([0.5]))


@pytest.mark.slow
def test_the_weak_error_in_the_step_has_order_one(scalar_network, key):
    """The slope's standard error is 0.006, and the local slopes fall from 1.1 to 1."""
    settings = dict(function=lambda theta: jnp.tanh(theta[0]), against="step", widths=(64,))
    study = ssd.weak_error(
        scalar_network, key, num_steps=(8, 16, 32, 64), t1=1.0, replicas=256, **settings
    )
    assert 0.95 < study.slope().estimate < 1.15
    assert study.attained() is not False
    assert study.errors["weak"].min() < 0 < study.errors["weak"].mean()
    assert "Weak error" in ssd.plotting.plot(study).get_suptitle()
    # The same E f, without particles: the bias of the Euler law against its limit.
    wide = ssd.FunctionModel(
        1,
        lambda t, theta, m: scalar_network.model.drift(theta, m[:2]),
        lambda theta: jnp.append(scalar_network.model.statistic(theta), jnp.tanh(theta[0])),
    )
    system = ssd.System(wide, scalar_network.noise, init=scalar_network.init)
    solve = lambda steps, scheme: (  # noqa: E731
        ssd.fokker_planck(system, t1=1.0, num_steps=steps, scheme=scheme).m[-1, 2]
    )
    bias = abs(solve(8, "euler") - solve(64, "strang"))
    # The standard error of 256 replicas is 2.2 %; of 64 particles the bias is 2 % another.
    assert study.curve().estimate[0, 0] == pytest.approx(bias, rel=0.14)


def test_the_weak_error_in_the_width(scalar_network, key, tmp_path):
    settings = dict(function=lambda theta: jnp.tanh(theta[0]), against="width", num_steps=(8,))
    study = ssd.weak_error(
        scalar_network, key, widths=(2, 4, 8, 16), t1=1.0, replicas=4096, batch=4096, **settings
    )
    # The rate of the bias, -1, and not that of the fluctuation; the standard error is 0.08.
    assert study.slope().estimate < -0.5
    few = ssd.weak_error(
        scalar_network, key, widths=(2, 4, 8, 512), t1=1.0, replicas=8, run_dir=tmp_path, **settings
    )
    slope, reason = few.fitted("width")
    assert slope is None
    assert "cannot be told from 0" in reason
    assert "not fitted" in few.verdict
    few.save(tmp_path / "few.json")
    assert ssd.RateStudy.load(tmp_path / "few.json").signed
    other = settings | dict(function=lambda theta: jnp.sin(theta[0]))
    sizes = dict(widths=(2, 4, 8, 512), t1=1.0, replicas=8, run_dir=tmp_path)
    with pytest.raises(ValueError, match="function"):
        ssd.weak_error(scalar_network, key, **sizes, **other)
    with pytest.raises(ValueError, match="must be a number, got an array"):
        ssd.weak_error(
            scalar_network, key, widths=(2,), t1=1.0, **settings | dict(function=lambda t: t)
        )


def test_slopes_of_two_studies_are_compared_in_pairs(network, key):
    """Two noises under one key: the paired interval is narrower than that of independent ones."""
    run = lambda sigma: ssd.propagation_of_chaos(  # noqa: E731
        ssd.System(network, ssd.stable_noise("I", 1.5, 2), sigma=sigma), key,
        **SMALL | dict(replicas=32, batch=32),
    )  # fmt: skip
    first, second = run(0.5), run(0.6)
    paired = first.slope_difference(second)
    assert paired.estimate == pytest.approx(
        first.slope().estimate - second.slope().estimate, abs=1e-12
    )
    apart = np.hypot(first.slope().half_width, second.slope().half_width)
    assert paired.half_width < 0.6 * apart
    assert first.slope_difference(first).half_width == 0
    with pytest.raises(ValueError, match="same sizes"):
        first.slope_difference(
            dataclasses.replace(second, errors={"mean": second.errors["mean"][:9]})
        )


def test_a_finished_study_without_a_slope_is_drawn(scalar_network, key, tmp_path):
    study = ssd.weak_error(
        scalar_network, key, function=lambda theta: jnp.tanh(theta[0]), against="width",
        widths=(2, 4, 8, 512), num_steps=(4,), t1=1.0, replicas=8,
    )  # fmt: skip
    assert study.fitted("width")[0] is None
    figure = ssd.plotting.plot(study, tmp_path / "weak.png")
    assert "no slope" in figure.axes[0].get_legend().get_texts()[0].get_text()
    stepwise = dataclasses.replace(
        study, axes=(dataclasses.replace(study.axes[0], name="step"),), rate_axis="step"
    )
    with pytest.raises(ValueError, match="no axis in common"):
        ssd.plotting.plot({"a": study, "b": stepwise})
    with pytest.raises(TypeError, match="'b': int"):
        ssd.plotting.plot({"a": study, "b": 3})


def test_a_tamed_scheme_in_studies(key):
    """A cubic drift: Euler loses its particles, the tamed scheme keeps them and the limit."""
    cubic = ssd.FunctionModel(1, lambda t, theta, m: m - theta**3, jnp.tanh)
    system = ssd.System(cubic, ssd.stable_noise("I", 1.2, 1))
    study = ssd.propagation_of_chaos(system, key, scheme="tamed", **HEAVY)
    assert np.all(np.isfinite(study.errors["mean"]))
    assert study.config["scheme"] == "tamed"
    with pytest.raises(ValueError, match="not finite"):
        ssd.propagation_of_chaos(system, key, **HEAVY | dict(widths=(8, 16, 32, 4096)))
    with pytest.raises(ValueError, match="predict is about the scheme"):
        ssd.propagation_of_chaos(system, key, scheme="tamed", predict=2, **HEAVY)


def test_no_rate_of_weak_error_where_there_is_no_mean(key):
    system = ssd.System(ssd.MeanReversion(2), ssd.stable_noise("II", 0.8, 2))
    settings = dict(function=lambda theta: jnp.tanh(theta[0]), against="width", num_steps=(2,))
    study = ssd.weak_error(
        system, key, widths=(2, 4, 8, 16), t1=1.0, replicas=8, law_particles=4096, **settings
    )
    assert "no mean" in study.blocked
    assert study.attained() is None
