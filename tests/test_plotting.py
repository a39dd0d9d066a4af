"""Figures and captions say what the record says, whether it was just measured or loaded."""

import dataclasses

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import stablesde as ssd
from stablesde.studies import Axis
from stablesde.studies._setup import parameters
from stablesde.studies._statistics import bootstrap, interval

matplotlib.use("Agg")

WIDTHS = (10.0, 30.0, 100.0, 300.0, 1000.0)
STEPS = (0.25, 0.125, 0.0625, 0.03125)


def synthetic(replicas=40, curvature=0.0, bounds=None, steps=STEPS, slope=-0.5):
    """Errors n^slope h with noise; the local slope changes by `curvature` over the widths."""
    x = np.log(np.asarray(WIDTHS))
    x = (x - x.mean()) / np.ptp(x)
    level = slope * np.log(WIDTHS) + curvature * np.ptp(np.log(WIDTHS)) / 2 * x**2
    errors = np.exp(level)[:, None] * np.asarray(steps)
    rng = np.random.default_rng(0)
    errors = errors * np.exp(0.05 * rng.normal(size=(replicas, *errors.shape)))
    config = dict(model="Ours", noise="OneFactorStable", alpha=1.5, dtype="float32", key=[0, 7],
                  widths=list(WIDTHS), version="1.2.3")  # fmt: skip
    shape = errors.shape[1:]
    return ssd.RateStudy(
        name="strong_error", config=config,
        axes=(Axis("width", WIDTHS, -0.5), Axis("step", steps, 1.0, direction=+1)),
        errors={"sup": errors, "mean": errors / 2}, rate_measure="sup", rate_statistic="median",
        rate_axis="width", bounds={k: np.full(shape, v) for k, v in (bounds or {}).items()},
    )  # fmt: skip


def lines(panel):
    return {line.get_label(): line for line in panel.get_lines()}


def test_a_record_from_a_file_gives_the_same_figure(tmp_path):
    study = synthetic(bounds={"paper": 5.0, "gronwall": 2.0})
    study.save(tmp_path / "study.json")
    again = ssd.RateStudy.load(tmp_path / "study.json")
    ssd.plotting.plot(study, tmp_path / "memory.svg")
    ssd.plotting.plot(again, tmp_path / "file.svg")
    assert (tmp_path / "memory.svg").read_bytes() == (tmp_path / "file.svg").read_bytes()
    assert ssd.plotting.caption(study) == ssd.plotting.caption(again)


def test_the_numbers_of_a_curve():
    study = synthetic()
    curve = study.curve("step")
    assert study.curve().sizes.tolist() == list(WIDTHS)  # the headline axis
    np.testing.assert_array_equal(curve.sizes, STEPS)
    for found, whole in zip(curve[1:4], study.location_interval(), strict=True):
        np.testing.assert_array_equal(found, whole.T)
    power = np.diff(np.log(curve.fit), axis=0) / np.diff(np.log(STEPS))[:, None]
    np.testing.assert_allclose(power, study.slope("step").estimate)
    np.testing.assert_allclose(np.log(curve.fit).mean(0), np.log(curve.estimate).mean(0))
    short = synthetic(steps=STEPS[:2]).curve("step")
    assert np.isnan(short.fit).all()


def test_local_slopes_have_the_intervals_of_the_bootstrap():
    slope, study = synthetic().slope("width"), synthetic()
    # By hand, for the last pair of widths.
    logs = np.log(bootstrap(study.errors["sup"], "median"))
    last = ((logs[:, -1] - logs[:, -2]) / np.log(1000 / 300)).mean(-1)
    ends = slope.local_lower[-1], slope.local_upper[-1]
    np.testing.assert_allclose(ends, interval(last, replicas=40))


def test_axes_of_ones_own_and_overlays():
    study = synthetic(bounds={"paper": 5.0})
    figure, axes = plt.subplots(1, 3)
    assert ssd.plotting.plot(study, ax=axes[0]) is figure
    assert axes[0].get_xlabel().startswith("width")
    ssd.plotting.plot({"one": study, "another": synthetic(slope=-0.3)}, ax=axes[1])
    labels = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["one", "another"]
    assert f"{study.slope('width')}" in labels[0]
    drawn = axes[1].containers[0].lines[0]
    np.testing.assert_array_equal(drawn.get_ydata(), study.curve("width").estimate[:, 0])
    ssd.plotting.plot(tail_study(), ax=axes[2])
    assert axes[2].get_xscale() == "log"
    assert all(axis.containers or axis.lines for axis in axes)


def test_a_figure_shows_itself_in_a_notebook():
    figure = ssd.plotting.plot(synthetic())
    assert figure._repr_png_()[:4] == b"\x89PNG"


def test_titles_name_the_model_and_its_parameters():
    assert parameters(ssd.MeanReversion(2, rate=0.5)) == "dim=2, rate=0.5, coupling=0.5"
    model = ssd.FunctionModel(1, lambda t, theta, m: -theta, np.tanh)
    assert "drift_function=<lambda>" in parameters(model)
    study = synthetic()
    named = study.config | {"model": "Ours", "parameters": "rate=2", "sigma": 0.5, "t1": 3.0}
    figure = ssd.plotting.plot(dataclasses.replace(study, config=named))
    assert "Ours(rate=2), Type I noise, α = 1.5, σ = 0.5, T = 3" in figure.get_suptitle()


def test_the_guide_covers_no_data():
    study = synthetic()
    panel = ssd.plotting.plot(study).axes[0]
    guide = lines(panel)["slope −1/2"]
    assert np.all(guide.get_ydata() > bootstrap_top(study))
    assert guide.get_linestyle() == ":"


def bootstrap_top(study):
    return study.location_interval()[2].max(-1)


def test_a_bent_line_is_told_and_shows_where_it_heads():
    straight, bent = synthetic(), synthetic(curvature=0.6)
    assert bent.slope("width").straight is False
    assert straight.slope("width").straight is True
    panels = [ssd.plotting.plot(study).axes for study in (straight, bent)]
    arrows = [[t for t in axes[2].texts if t.arrow_patch is not None] for axes in panels]
    assert [len(a) for a in arrows] == [0, 1]
    # From the smallest width to the largest: the slope grows.
    (arrow,) = arrows[1]
    assert arrow.xy[0] == pytest.approx(1000)
    assert arrow.xy[1] > arrow.xyann[1]
    fits = [axes[0].get_legend().get_texts()[0].get_text() for axes in panels]
    assert [fit.endswith(", bent") for fit in fits] == [False, True]
    assert "quadratic fit" in ssd.plotting.caption(bent)
    assert "quadratic fit" not in ssd.plotting.caption(straight)


def test_a_bound_far_above_is_told_not_drawn():
    panel = ssd.plotting.plot(synthetic(bounds={"gronwall": 0.5, "paper": 1e6})).axes[0]
    labels = [t.get_text() for t in panel.get_legend().get_texts()]
    assert any(label.startswith("Grönwall bound for") for label in labels)
    assert any(label.startswith("paper's bound, ×$10^") for label in labels)
    assert panel.get_ylim()[1] < 1e3


def test_styles_differ_without_colour():
    panel = ssd.plotting.plot(synthetic(bounds={"gronwall": 0.5, "paper": 0.8})).axes[0]
    points = [c.lines[0] for c in panel.containers]
    looks = {(p.get_marker(), p.get_markerfacecolor() == "w") for p in points}
    assert len(looks) == len(points) == len(STEPS)
    drawn = lines(panel)
    bounds = [drawn[label].get_linestyle() for label in drawn if "bound" in label]
    assert len({*bounds, drawn["slope −1/2"].get_linestyle(), "-"}) == 4


def test_legends_are_outside_the_data():
    figure = ssd.plotting.plot(synthetic(bounds={"gronwall": 0.5, "paper": 1e6}))
    figure.canvas.draw()
    for panel in figure.axes[:2]:
        inside = panel.get_window_extent()
        legends = [a for a in panel.get_children() if isinstance(a, matplotlib.legend.Legend)]
        boxes = [legend.get_window_extent() for legend in legends]
        assert len(boxes) == 2
        assert all(box.y0 >= inside.y1 for box in boxes)
        assert not boxes[0].overlaps(boxes[1])
        assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_caption_says_what_is_shown():
    study = synthetic(bounds={"gronwall": 0.5, "paper": 1e6})
    said = ssd.plotting.caption(study)
    for part in (
        "median over 40 replicas", "95 % intervals of a bootstrap over replicas (percentile)",
        "Ours",
        "Type I (OneFactorStable) noise", "α = 1.5", "n = (10, 30, 100, 300, 1000)", "key = (0, 7)",
        "float32", "stablesde 1.2.3", "Dashed: the Grönwall bound", "times above and not drawn",
        f"Verdict: {study.verdict}.",
    ):  # fmt: skip
        assert part in said


def tail_study():
    return ssd.TailStudy(
        config={"model": "M", "noise": "N", "alpha": 1.5, "dtype": "float64", "t1": 1.0,
                "num_columns": 10_000},
        top=np.geomspace(100, 1, 400), num_columns=10_000, alpha=1.5, tail_constant=1.0, k=100,
        estimate=1.5, lower=1.4, upper=1.6,
    )  # fmt: skip


def test_a_tail_study_and_its_caption(tmp_path):
    ssd.plotting.plot(tail_study(), tmp_path / "tail.png")
    assert (tmp_path / "tail.png").read_bytes()[:4] == b"\x89PNG"
    assert "k = 100: 1.500 [1.400, 1.600]" in ssd.plotting.caption(tail_study())


@pytest.mark.parametrize("record", [{}, {"a": 1}, None, {"a": synthetic(), "b": tail_study()}])
def test_what_is_no_record_is_told(record):
    for function in (ssd.plotting.plot, ssd.plotting.caption):
        with pytest.raises(TypeError, match="must be a"):
            function(record)
    with pytest.raises(ValueError, match=r"no figure is written as \.xyz"):
        ssd.plotting.plot(synthetic(), "a.xyz")


PAIRS = (16, 32, 64, 128)
NOISE = ssd.stable_noise("I", 1.5, 1)


def independence_study(rate=0.5, coupled=True, replicas=400):
    """Two functions that share a common part of variance n^(-2 rate): ‖C_n‖ = 2 n^(-2 rate)."""
    rng = np.random.default_rng(0)
    if coupled:
        common = rng.normal(size=(replicas, len(PAIRS), 1)) * np.asarray(PAIRS)[:, None] ** -rate
        means = np.repeat(common, 2, axis=-1)
        pairs = means[..., :, None] * means[..., None, :]
    else:
        means = rng.normal(size=(replicas, len(PAIRS), 2))
        pairs = rng.normal(size=(replicas, len(PAIRS), 2, 2))
        pairs = pairs + np.swapaxes(pairs, -1, -2)
    return ssd.IndependenceStudy(config={}, widths=PAIRS, means=means, pairs=pairs, coupled=coupled)


@pytest.fixture(scope="module")
def probability_study():
    return ssd.compression_probability(
        ssd.System(ssd.MeanReversion(1), NOISE), jax.random.key(0), widths=(4, 8),
        kappas=(0.3, 0.6), epsilons=(0.1, 0.3), t1=1.0, num_steps=2, replicas=8, batch=8,
    )  # fmt: skip


def test_probability(probability_study, tmp_path):
    study = probability_study
    figure = ssd.plotting.plot(study, tmp_path / "p.svg")
    assert (tmp_path / "p.svg").stat().st_size > 1000
    assert [panel.get_title() for panel in figure.axes] == ["ε = 0.1", "ε = 0.3"]
    for k, panel in enumerate(figure.axes):
        for j in range(2):
            points = panel.containers[j].lines[0]
            np.testing.assert_array_equal(points.get_xdata(), study.widths)
            np.testing.assert_array_equal(points.get_ydata(), study.probability[:, j, k])


def test_the_table_of_a_probability_study(probability_study):
    study = probability_study
    rows = study.table().splitlines()
    cells = study.to_dict()["cells"]
    assert sum(str(c["verdict"]) in rows[i + 2] for i, c in enumerate(cells)) == len(cells) == 8
    assert f"{cells[0]['probability']:.3f}" in rows[2]
    assert "larger steps than the theorem allows" in rows[-1]
    assert study.holds_from().shape == (2, 2)


def test_independence(tmp_path):
    study, null = independence_study(), independence_study(coupled=False)
    figure = ssd.plotting.plot({"particles": study, "copies": null}, tmp_path / "independence.svg")
    panel = figure.axes[0]
    np.testing.assert_array_equal(
        panel.containers[0].lines[0].get_ydata(), [d.distance for d in study.dependence()]
    )
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert any("slope -1.0" in label or "slope -0.9" in label for label in labels), labels
    assert any("copies: upper end of the interval" in label for label in labels)
    assert ssd.plotting.plot(study).axes[0].get_legend() is not None


@pytest.mark.parametrize(
    ("rate", "holds", "attained"), [(0.5, True, True), (0.3, False, False), (0.75, True, False)]
)
def test_verdicts_of_independence(rate, holds, attained):
    """‖C‖ = 2 n^(-2 rate), in 4000 replicas: the slope is known to about 0.02."""
    study = independence_study(rate, replicas=4000)
    assert study.slope().contains(-2 * rate)
    assert (study.bound_holds, study.exponent_attained) == (holds, attained)
    assert ("REFUTED" in study.verdict) is not holds
    assert study.table().count("dependent") == len(PAIRS)


def test_a_study_of_independent_copies():
    study = independence_study(coupled=False)
    assert study.bound_holds is None
    assert study.exponent_attained is None
    assert "no rate" in study.verdict
    assert study.table().count("independent?") == len(PAIRS)
