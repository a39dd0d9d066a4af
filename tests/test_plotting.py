"""Figures and captions say what the record says, whether it is in memory or from a file."""

import json

import matplotlib
import numpy as np
import pytest

import stablesde as ssd
from stablesde.plotting._view import RateView
from stablesde.studies import Axis
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
    study.to_json(tmp_path / "study.json")
    record = json.loads((tmp_path / "study.json").read_text())
    ssd.plotting.plot(study, tmp_path / "memory.svg")
    ssd.plotting.plot(record, tmp_path / "file.svg")
    assert (tmp_path / "memory.svg").read_bytes() == (tmp_path / "file.svg").read_bytes()
    assert ssd.plotting.caption(study) == ssd.plotting.caption(record)


def test_the_measure_in_the_record_is_the_one_that_is_drawn():
    study = synthetic()
    record = study.to_dict() | {"rate_measure": "mean"}
    for view, measure in ((RateView.of(record), "mean"), (RateView.of(study.to_dict()), "sup")):
        centre, low, high = study.location_interval(measure)
        np.testing.assert_array_equal((view.centre, view.low, view.high), (centre, low, high))


def test_local_slopes_have_the_intervals_of_the_bootstrap():
    study = synthetic()
    view = RateView.of(study.to_dict())
    slopes, low, high = view.local_slopes("width")
    np.testing.assert_allclose(slopes, study.slope("width").local)
    # By hand, for the last pair of widths.
    logs = np.log(bootstrap(study.errors["sup"], "median"))
    last = ((logs[:, -1] - logs[:, -2]) / np.log(1000 / 300)).mean(-1)
    np.testing.assert_allclose((low[-1], high[-1]), interval(last, replicas=40))
    assert np.all(low < slopes)
    assert np.all(slopes < high)


def test_the_guide_covers_no_data():
    study = synthetic()
    panel = ssd.plotting.plot(study).axes[0]
    guide = lines(panel)["theory -0.500"]
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
    assert len({*bounds, drawn["theory -0.500"].get_linestyle(), "-"}) == 4


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


def test_a_tail_study_and_its_caption(tmp_path):
    study = ssd.TailStudy(
        config={"model": "M", "noise": "N", "alpha": 1.5, "dtype": "float64", "t1": 1.0,
                "num_columns": 10_000},
        top=np.geomspace(100, 1, 400), num_columns=10_000, alpha=1.5, tail_constant=1.0, k=100,
        estimate=1.5, lower=1.4, upper=1.6,
    )  # fmt: skip
    ssd.plotting.plot(study, tmp_path / "tail.png")
    assert (tmp_path / "tail.png").read_bytes()[:4] == b"\x89PNG"
    assert "k = 100: 1.500 [1.400, 1.600]" in ssd.plotting.caption(study)
    assert ssd.plotting.caption(study.to_dict()) == ssd.plotting.caption(study)


@pytest.mark.parametrize("record", [{}, {"name": "tails", "cells": []}, {"exponents": {}}])
def test_what_is_no_record_is_told(record):
    with pytest.raises(ValueError, match="no record of a"):
        ssd.plotting.plot(record)
    with pytest.raises(ValueError, match="no record of a"):
        ssd.plotting.caption(record)
