"""Figures of compressibility, independence and law flows show the numbers of their records."""

import jax
import matplotlib
import numpy as np
import pytest

import stablesde as ssd
from stablesde import plotting, theory

matplotlib.use("Agg")

WIDTHS = (16, 32, 64, 128)
NOISE = ssd.stable_noise("I", 1.5, 1)


def independence_study(rate=0.5, coupled=True, replicas=400):
    """Two functions that share a common part of variance n^(-2 rate): ‖C_n‖ = 2 n^(-2 rate)."""
    rng = np.random.default_rng(0)
    if coupled:
        common = rng.normal(size=(replicas, len(WIDTHS), 1)) * np.asarray(WIDTHS)[:, None] ** -rate
        means = np.repeat(common, 2, axis=-1)
        pairs = means[..., :, None] * means[..., None, :]
    else:
        means = rng.normal(size=(replicas, len(WIDTHS), 2))
        pairs = rng.normal(size=(replicas, len(WIDTHS), 2, 2))
        pairs = pairs + np.swapaxes(pairs, -1, -2)
    return ssd.IndependenceStudy(
        config={}, widths=WIDTHS, means=means, pairs=pairs, coupled=coupled
    )


@pytest.fixture(scope="module")
def probability_study():
    return ssd.compression_probability(
        ssd.System(ssd.MeanReversion(1), NOISE),
        jax.random.key(0),
        widths=(4, 8),
        kappas=(0.3, 0.6),
        epsilons=(0.1, 0.3),
        t1=1.0,
        num_steps=2,
        replicas=8,
        batch=8,
    )


def test_probability(probability_study, tmp_path):
    study = probability_study
    figure = plotting.plot_probability(study, tmp_path / "p.svg")
    assert (tmp_path / "p.svg").stat().st_size > 1000
    assert [panel.get_title() for panel in figure.axes] == ["ε = 0.1", "ε = 0.3"]
    for k, panel in enumerate(figure.axes):
        for j in range(2):
            points = panel.containers[j].lines[0]
            np.testing.assert_array_equal(points.get_xdata(), study.widths)
            np.testing.assert_array_equal(points.get_ydata(), study.probability[:, j, k])
    with pytest.raises(ValueError, match="study must be a ProbabilityStudy"):
        plotting.plot_probability(independence_study())


def test_the_table_of_a_probability_study(probability_study):
    study = probability_study
    rows = study.table().splitlines()
    cells = study.to_dict()["cells"]
    assert sum(str(c["verdict"]) in rows[i + 2] for i, c in enumerate(cells)) == len(cells) == 8
    assert f"{cells[0]['probability']:.3f}" in rows[2]
    assert "larger steps than the theorem allows" in rows[-1]
    assert study.holds_from().shape == (2, 2)


def test_compression_law(tmp_path):
    law, n = theory.compression_law(NOISE, 0.1), 50
    errors = np.asarray(law.quantile(np.linspace(0.005, 0.995, 100), n))
    figure = plotting.plot_compression_law({"α = 1.5": (law, n, errors)}, tmp_path / "law.svg")
    upper, lower = figure.axes
    simulated, exact, _ = upper.get_lines()
    np.testing.assert_allclose(simulated.get_ydata(), exact.get_ydata(), atol=0.011)
    np.testing.assert_allclose(
        lower.get_lines()[0].get_ydata(), exact.get_ydata() - simulated.get_ydata()
    )
    with pytest.raises(ValueError, match="laws must be"):
        plotting.plot_compression_law({"α = 1.5": (law, n)})
    with pytest.raises(ValueError, match="errors must be positive"):
        plotting.plot_compression_law({"α = 1.5": (law, n, -errors)})


def test_independence(tmp_path):
    study, null = independence_study(), independence_study(coupled=False)
    figure = plotting.plot_independence(
        {"particles": study, "copies": null}, tmp_path / "independence.svg"
    )
    panel = figure.axes[0]
    np.testing.assert_array_equal(
        panel.containers[0].lines[0].get_ydata(), [d.distance for d in study.dependence()]
    )
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert any("slope -1.0" in label or "slope -0.9" in label for label in labels), labels
    assert any("copies: upper end of the interval" in label for label in labels)
    with pytest.raises(ValueError, match="dictionary of IndependenceStudy"):
        plotting.plot_independence({})


@pytest.mark.parametrize(
    ("rate", "holds", "attained"), [(0.5, True, True), (0.3, False, False), (0.75, True, False)]
)
def test_verdicts_of_independence(rate, holds, attained):
    """‖C‖ = 2 n^(-2 rate), in 4000 replicas: the slope is known to about 0.02."""
    study = independence_study(rate, replicas=4000)
    assert study.slope().contains(-2 * rate)
    assert (study.bound_holds, study.exponent_attained) == (holds, attained)
    assert ("REFUTED" in study.verdict) is not holds
    assert study.table().count("dependent") == len(WIDTHS)


def test_a_study_of_independent_copies():
    study = independence_study(coupled=False)
    assert study.bound_holds is True
    assert study.exponent_attained is None
    assert "no rate" in study.verdict
    assert study.table().count("independent?") == len(WIDTHS)


def test_lemma_b1(tmp_path):
    figure = plotting.plot_lemma_b1(tmp_path / "lemma.svg")
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    exact = lines["exact, n = 10⁷"]
    number = theory.lemma_b1(float(exact.get_xdata()[40]), 1e7).exact
    assert exact.get_ydata()[40] == pytest.approx(number / 1e7 ** (1 / exact.get_xdata()[40]))


def test_law_flow(tmp_path):
    model, key = ssd.MeanReversion(1), jax.random.key(0)
    setting = dict(t1=1.0, num_steps=4)
    system = ssd.System(model, NOISE, sigma=0.5, init=1.0)
    flow = ssd.law_flow(system, key, num_particles=256, **setting)
    solution = ssd.fokker_planck(system, **setting)
    figure = plotting.plot_law_flow(solution, flow, tmp_path / "flow.svg")
    line, points = figure.axes[0].get_lines()[:2]
    np.testing.assert_array_equal(line.get_ydata(), solution.m[:, 0])
    np.testing.assert_array_equal(points.get_ydata(), flow.m[:, 0])
    with pytest.raises(ValueError, match="use the same model and num_steps"):
        plotting.plot_law_flow(
            solution,
            ssd.law_flow(system, key, num_particles=64, **setting | dict(num_steps=2)),
        )
