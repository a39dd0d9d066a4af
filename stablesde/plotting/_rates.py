"""The figure of a rate study: errors with intervals on log–log axes, their local slopes below."""

import textwrap
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from stablesde.plotting._style import (
    BOUNDS,
    MARKERS,
    TITLES,
    entitle,
    legends_above,
    new_figure,
    shades,
)
from stablesde.studies import RateStudy
from stablesde.studies._records import Curve, along
from stablesde.studies._statistics import location

LABELS = {
    "width": "width $n$ (particles)",
    "step": "step size η (units of time)",
    "kappa": "kept fraction κ",
}
SYMBOLS = {"width": "n", "step": "η", "kappa": "κ"}
# On which side theory's limit is.
_LIMITS = {"width": +1, "step": -1}
STATISTICS = {"geometric": "geometric mean", "trimmed": "10 %-trimmed mean"}
_DISTANCES = {
    "strong_error": r"\|\theta^i_{\eta k}-\hat\theta^i_k\|",
    "propagation_of_chaos": r"\|\theta^{i,n}_t-\theta^{i,\infty}_t\|",
}
_WEAK = {
    "step": r"$|\,\mathrm{E}f(\hat\theta_T)-\mathrm{E}f(\theta_T)\,|$",
    "width": r"$|\,\mathrm{E}f(\theta^{i,n}_T)-\mathrm{E}f(\theta^{i,\infty}_T)\,|$",
}
_TIMES = {"strong_error": "k", "propagation_of_chaos": "t"}
# Of predictions: their lines and Monte-Carlo bands.
PREDICTED = "#a03030"
# A bound this many times above the errors is told in the legend, not drawn.
FAR_ABOVE = 30
# A log axis of fewer decades has its ticks written as numbers.
_SHORT = 1.3
# Characters of tick labels that fit below a panel.
_LABEL_CHARACTERS = 40


def plot_rates(study: RateStudy) -> Figure:
    """A column for each axis with at least 4 sizes: errors above, local slopes below."""
    shown = shown_axes(study)
    figure = new_figure((4.7 if len(shown) == 1 else 5.6) * len(shown) + 0.3, 6.2)
    panels = figure.subplots(2, len(shown), squeeze=False, sharex="col", height_ratios=(3, 1.3))
    for column, name in enumerate(shown):
        rate_panel(panels[0, column], study, name)
        _local_slope_panel(panels[1, column], study, name)
        panels[0, column].set_xlabel("")
        panels[0, column].set_ylabel(_error_label(study) if column == 0 else "", linespacing=1.8)
        panels[1, column].set_ylabel("local slope" if column == 0 else "")
    title = TITLES.get(study.name, study.name)
    entitle(figure, title, study.config)
    return figure


def overlay(panel: Axes, studies: dict[str, RateStudy]) -> None:
    """Several studies on one panel, along the headline axis of the first: points and fits."""
    axes = sorted({study.rate_axis for study in studies.values()})
    if len(axes) > 1:
        raise ValueError(f"studies against {' and '.join(axes)} have no axis in common to share.")
    (axis,) = axes
    for number, (label, study) in enumerate(studies.items()):
        curve = study.curve(axis)
        colour = f"C{number}"
        for column in range(curve.estimate.shape[1]):
            y, bars = curve.estimate[:, column], _bars(curve, column)
            panel.errorbar(
                curve.sizes,
                y,
                bars,
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                ms=4.5,
                ls="",
                lw=1,
                capsize=2.5,
                mfc="w" if number % 2 else colour,
                label=f"{label}: {study.fitted(axis)[0]}" if column == 0 else None,
            )
            panel.plot(curve.sizes, curve.fit[:, column], "-", color=colour, lw=0.9)
    panel.set(xscale="log", yscale="log", xlabel=LABELS.get(axis, axis), ylabel="error")
    ticks = sorted({v for study in studies.values() for v in study.axis(axis).values})
    panel.set_xticks(ticks, [_size_text(v) for v in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    _write_ticks(panel)
    panel.legend()


def shown_axes(study: RateStudy) -> list[str]:
    """The axes with at least 4 values; `ValueError` if there is none, or no error above 0."""
    shown = [axis.name for axis in study.axes if len(axis.values) >= 4]
    if not shown:
        sizes = ", ".join(f"{len(axis.values)} {axis.name}s" for axis in study.axes)
        raise ValueError(
            f"a figure needs an axis with at least 4 sizes, this study has {sizes}: run it "
            "with more of them (study.table() shows what there is)."
        )
    if not np.any(location(study.errors[study.rate_measure], study.rate_statistic) > 0):
        raise ValueError(f"nothing to draw on log axes: {study.fitted(shown[0])[1]}")
    return shown


def _error_label(study: RateStudy) -> str:
    statistic = STATISTICS.get(study.rate_statistic, study.rate_statistic)
    replicas = len(study.errors[study.rate_measure])
    return f"{measure_label(study)}\n{statistic} of {replicas} replicas"


def measure_label(study: RateStudy) -> str:
    """What is measured, as a formula where the study is one of ours."""
    name, measure = study.name, study.rate_measure
    if name == "compressibility":
        return r"$\|\Theta^{(\kappa n)}-\Theta\|_F\,/\,\|\Theta\|_F$"
    if name == "weak_error":
        return _WEAK[study.rate_axis]
    if name not in _DISTANCES or measure not in ("sup", "mean"):
        return measure
    time, distance = _TIMES[name], _DISTANCES[name]
    # An upright sup: the index of \sup goes below it, into the next line.
    if measure == "sup":
        return rf"$\mathrm{{sup}}_{{i,{time}}}\;{distance}$"
    return rf"$\mathrm{{mean}}_i\;\mathrm{{sup}}_{time}\;{distance}$"


def _lines(study: RateStudy, name: str) -> list[str]:
    """Labels of the lines drawn along one axis: the points of the other axis."""
    others = [axis for axis in study.axes if axis.name != name]
    text = {"step": _size_text, "width": _size_text}
    return [
        f"{SYMBOLS.get(a.name, a.name)} = {text.get(a.name, '{:.4g}'.format)(v)}"
        for a in others
        for v in a.values
    ] or [""]


def _bars(curve: Curve, column: int) -> np.ndarray:
    y, low, high = (v[:, column] for v in (curve.estimate, curve.lower, curve.upper))
    return np.stack([y - low, high - y]).clip(0)


def rate_panel(panel: Axes, study: RateStudy, name: str) -> None:
    """Errors against one axis, the fitted power, a guide with theory's, and the bounds."""
    curve, labels = study.curve(name), _lines(study, name)
    axis, x, (slope, reason) = study.axis(name), curve.sizes, study.fitted(name)
    points = []
    for number, (label, colour) in enumerate(zip(labels, shades(len(labels)), strict=True)):
        y = curve.estimate[:, number]
        points.append(
            panel.errorbar(
                x,
                y,
                _bars(curve, number),
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                ms=4.5,
                ls="",
                lw=1,
                capsize=2.5,
                label=label,
                zorder=3,
                mfc="w" if number % 2 else colour,
            )
        )
        # One slope for all lines, an intercept of its own for each: what was fitted.
        panel.plot(x, curve.fit[:, number], "-", color=colour, lw=0.9, zorder=2)
        if curve.predicted is not None:
            predicted, below, above = curve.predicted[:, :, number]
            panel.fill_between(x, below, above, color=PREDICTED, alpha=0.25, lw=0, zorder=1)
            panel.plot(x, predicted, "--", color=PREDICTED, lw=1.1, zorder=2)
    if slope is None:
        label = textwrap.shorten(f"no slope: {reason}", 70)
        drawn: list[Any] = [Line2D([], [], ls="", label=label)]
    else:
        bent = "" if slope.straight else ", bent"
        drawn = [Line2D([], [], color="k", lw=0.9, label=f"fit {slope}{bent}")]
    if curve.predicted is not None:
        drawn.append(Line2D([], [], color=PREDICTED, ls="--", lw=1.1, label="predicted, no fit"))
    if axis.theory is not None:
        # Above all data, so that it covers none.
        guide = x**axis.theory
        guide *= 1.25 * np.max(curve.upper.max(1) / guide)
        drawn += panel.plot(x, guide, ":", color="k", lw=1.6, label=f"slope {power(axis.theory)}")
    drawn += _draw_bounds(panel, study, curve, labels[-1], study.axes.index(axis))
    panel.set(xscale="log", yscale="log", xlabel=LABELS.get(name, name), ylabel=_error_label(study))
    _write_ticks(panel)
    legends_above(panel, [points if len(labels) > 1 else [], drawn], [4, 2])


def _write_ticks(panel: Axes) -> None:
    """Numbers, not powers of ten, on an error axis of about a decade."""
    low, high = panel.get_ylim()
    if np.log10(high / low) > _SHORT:
        return
    first = int(np.floor(np.log10(low)))
    ticks = [d * 10.0**e for e in range(first, first + 4) for d in (1, 1.5, 2, 3, 4, 5, 6, 8)]
    panel.yaxis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())


def _draw_bounds(
    panel: Axes, study: RateStudy, curve: Curve, label: str, position: int
) -> list[Any]:
    """The bounds for the last line. One that is far above would squeeze the data: it is told."""
    drawn: list[Any] = []
    for kind, (word, dashes, _) in BOUNDS.items():
        if kind not in study.bounds or not np.all(np.isfinite(study.bounds[kind])):
            continue
        if kind in study.vacuous and np.all(study.vacuous[kind]):
            word += ", vacuous"
        bound = along(study.bounds[kind], position)
        factor = bound / curve.estimate
        if factor.min() > FAR_ABOVE:
            text = f"{word}, {factor_text(factor)}"
            drawn += panel.plot([], [], marker=r"$\uparrow$", ls="", color="0.2", label=text)
        else:
            text = word + (f" for {label}" if label else "")
            width = 2.2 if dashes == "-" else 1.3
            look = {"ls": dashes, "color": "0.4", "lw": width}
            drawn += panel.plot(curve.sizes, bound[:, -1], **look, label=text)
    return drawn


def factor_text(factor: np.ndarray) -> str:
    """How many times above: ×40 to 90, or powers of ten for more."""
    low, high = float(factor.min()), float(factor.max())
    if high < 1000:
        return f"×{low:.0f} to {high:.0f}"
    ends = [f"10^{{{np.log10(v):.1f}}}" for v in (low, high)]
    return f"×${ends[0]}$" if ends[0] == ends[1] else f"×${ends[0]}$ to ${ends[1]}$"


def _local_slope_panel(panel: Axes, study: RateStudy, name: str) -> None:
    (slope, _), theory = study.fitted(name), study.axis(name).theory
    if slope is None:
        panel.set(xscale="log", xlabel=LABELS.get(name, name))
        panel.set_yticks([])
        return
    x = np.asarray(study.axis(name).values)
    local, low, high = map(np.asarray, (slope.local, slope.local_lower, slope.local_upper))
    bars = np.stack([local - low, high - local]).clip(0)
    between = np.sqrt(x[1:] * x[:-1])
    panel.errorbar(between, local, bars, color="k", marker="o", ms=3.8, ls="", lw=1, capsize=2.5)
    panel.axhspan(slope.lower, slope.upper, color="0.88", lw=0, zorder=0)
    panel.axhline(slope.estimate, color="k", ls="-", lw=0.9, zorder=1)
    ends = [*low, *high, slope.lower, slope.upper]
    if theory is not None:
        panel.axhline(theory, color="k", ls=":", lw=1.6)
        ends.append(theory)
    middle, half = (min(ends) + max(ends)) / 2, max((max(ends) - min(ends)) / 2 * 1.15, 0.08)
    panel.set(xscale="log", xlabel=LABELS.get(name, name), ylim=(middle - half, middle + half))
    if not slope.straight:
        _draw_trend(panel, study, name)
    # The sizes that were run are the ticks; only so many labels fit.
    labels = [_size_text(v) for v in x]
    each = -(-sum(min(len(t), 6) for t in labels) // _LABEL_CHARACTERS)
    shown = [t if (len(x) - 1 - i) % each == 0 else "" for i, t in enumerate(labels)]
    panel.set_xticks(x, shown, fontsize=7.5)
    panel.xaxis.set_minor_locator(NullLocator())


def power(value: float) -> str:
    """An exponent as theory writes it: -1/2, 2/3, or with three digits."""
    fraction = Fraction(value).limit_denominator(12)
    if abs(float(fraction) - value) < 1e-9 and fraction.denominator > 1:
        return str(fraction).replace("-", "\u2212")
    return f"{value:.4g}".replace("-", "\u2212")


def _size_text(value: float) -> str:
    """A tick: steps that are powers of two are written as such."""
    if value < 1:
        mantissa, exponent = np.frexp(value)
        return f"$2^{{{exponent - 1}}}$" if mantissa == 0.5 else f"{value:.3g}"
    exponent = round(np.log10(value))
    return f"$10^{{{exponent}}}$" if value >= 1e6 and value == 10.0**exponent else f"{value:.6g}"


def _draw_trend(panel: Axes, study: RateStudy, name: str) -> None:
    """The slope of the quadratic fit, an arrow towards the limit: where the slopes head."""
    slope, x = study.slope(name), np.log(study.axis(name).values)
    # The slope of the parabola is `estimate` at the middle and changes by `curvature` in all.
    at = np.array([x.min(), x.max()])[:: _LIMITS.get(name, +1)]
    middle = (x.min() + x.max()) / 2
    slopes = slope.estimate + slope.curvature * (at - middle) / (x.max() - x.min())
    panel.annotate(
        "",
        (np.exp(at[1]), slopes[1]),
        (np.exp(at[0]), slopes[0]),
        annotation_clip=False,
        arrowprops={"arrowstyle": "->", "ls": (0, (4, 2)), "color": "0.35", "lw": 1.1},
    )
