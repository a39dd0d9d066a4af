"""The figure of a rate study: errors with intervals on log–log axes, their local slopes below."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from stablesde.plotting._style import MARKERS, TITLES, legends_above, setting, shades
from stablesde.plotting._view import BOUNDS, RateView

LABELS = {
    "width": r"width $n$ (particles)  $\rightarrow\infty$",
    "step": r"$0\leftarrow$  step size η (units of time)",
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
_TIMES = {"strong_error": "k", "propagation_of_chaos": "t"}
# A bound this many times above the errors is told in the legend, not drawn.
FAR_ABOVE = 30
# A log axis of fewer decades has its ticks written as numbers.
_SHORT = 1.3
# Characters of tick labels that fit below a panel.
_LABEL_CHARACTERS = 40


def plot_rates(view: RateView) -> Figure:
    """A column for each axis with at least 4 sizes: errors above, local slopes below."""
    shown = view.shown
    figure = Figure(figsize=(4.7 * len(shown) + 0.3, 6.2), layout="constrained")
    panels = figure.subplots(2, len(shown), squeeze=False, sharex="col", height_ratios=(3, 1.3))
    for column, name in enumerate(shown):
        _rate_panel(panels[0, column], view, name)
        _local_slope_panel(panels[1, column], view, name)
        panels[0, column].set_ylabel(_error_label(view) if column == 0 else "", linespacing=1.8)
        panels[1, column].set_ylabel("local slope" if column == 0 else "")
    figure.suptitle(_title(view), fontsize=10)
    return figure


def _title(view: RateView) -> str:
    name = TITLES.get(view.record["name"], view.record["name"])
    told = setting(view.record["config"])
    return f"{name}: {told}" if len(view.shown) > 1 else f"{name}\n{told}"


def _error_label(view: RateView) -> str:
    statistic = STATISTICS.get(view.statistic, view.statistic)
    return f"{measure_label(view)}\n{statistic} of {view.replicas} replicas"


def measure_label(view: RateView) -> str:
    """What is measured, as a formula where the study is one of ours."""
    name, measure = view.record["name"], view.measure
    if name == "compressibility":
        return r"$\|\Theta^{(\kappa n)}-\Theta\|_F\,/\,\|\Theta\|_F$"
    if name not in _DISTANCES or measure not in ("sup", "mean"):
        return measure
    time, distance = _TIMES[name], _DISTANCES[name]
    # An upright sup: the index of \sup goes below it, into the next line.
    if measure == "sup":
        return rf"$\mathrm{{sup}}_{{i,{time}}}\;{distance}$"
    return rf"$\mathrm{{mean}}_i\;\mathrm{{sup}}_{time}\;{distance}$"


def _lines(view: RateView, name: str) -> list[tuple[str, tuple[Any, ...]]]:
    """(label, index) of the lines drawn along one axis: points of the other axis."""
    position = list(view.axes).index(name)
    others = [a for a in view.axes if a != name]
    if not others:
        return [("", (slice(None),))]
    (other,) = others
    return [
        (
            f"{SYMBOLS.get(other, other)} = {value:.4g}",
            (slice(None), i) if position == 0 else (i, slice(None)),
        )
        for i, value in enumerate(view.axes[other])
    ]


def _rate_panel(panel: Axes, view: RateView, name: str) -> None:
    centre, low, high = view.centre, view.low, view.high
    x, lines = view.axes[name], _lines(view, name)
    exponent = view.exponent(name)
    shape = np.log(x) - np.mean(np.log(x))
    points = []
    for number, ((label, at), colour) in enumerate(zip(lines, shades(len(lines)), strict=True)):
        y = centre[at]
        bars = np.stack([y - low[at], high[at] - y]).clip(0)
        points.append(
            panel.errorbar(
                x, y, bars, color=colour, marker=MARKERS[number % len(MARKERS)], ms=4.5, ls="",
                lw=1, capsize=2.5, label=label, zorder=3, mfc="w" if number % 2 else colour,
            )
        )  # fmt: skip
        # One slope for all lines, an intercept of its own for each: what was fitted.
        power = np.exp(np.mean(np.log(y)) + exponent["estimate"] * shape)
        panel.plot(x, power, "-", color=colour, lw=0.9, zorder=2)
    drawn: list[Any] = [Line2D([], [], color="k", lw=0.9, label=_fit_label(exponent))]
    if exponent["theory"] is not None:
        # Above all data, so that it covers none.
        guide = np.exp(exponent["theory"] * shape)
        guide *= 1.25 * np.max(high.max(_other_axes(view, name)) / guide)
        drawn += panel.plot(
            x, guide, ":", color="k", lw=1.6, label=f"theory {exponent['theory']:+.3f}"
        )
    drawn += _draw_bounds(panel, view, x, centre, lines[-1])
    panel.set(xscale="log", yscale="log")
    _write_ticks(panel)
    legends_above(panel, [points if len(lines) > 1 else [], drawn], [4, 2])


def _other_axes(view: RateView, name: str) -> tuple[int, ...]:
    return tuple(i for i, a in enumerate(view.axes) if a != name)


def _fit_label(exponent: Any) -> str:
    bent = "" if exponent["straight"] else ", bent"
    numbers = f"{exponent['estimate']:+.3f} [{exponent['lower']:+.3f}, {exponent['upper']:+.3f}]"
    return f"fit {numbers}{bent}"


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
    panel: Axes, view: RateView, x: np.ndarray, centre: np.ndarray, line: tuple[str, Any]
) -> list[Any]:
    """The bounds for one line. One that is far above would squeeze the data: an arrow tells it."""
    drawn: list[Any] = []
    for label, (word, dashes, _) in BOUNDS.items():
        if label not in view.bounds or not np.all(np.isfinite(view.bounds[label])):
            continue
        if view.is_vacuous(label):
            word += ", vacuous"
        factor = view.bounds[label] / centre
        if factor.min() > FAR_ABOVE:
            text = f"{word}, {factor_text(factor)}"
            drawn += panel.plot([], [], marker=r"$\uparrow$", ls="", color="0.2", label=text)
        else:
            text = word + (f" for {line[0]}" if line[0] else "")
            bound = view.bounds[label][line[1]]
            width = 2.2 if dashes == "-" else 1.3
            drawn += panel.plot(x, bound, ls=dashes, color="0.4", lw=width, label=text)
    return drawn


def factor_text(factor: np.ndarray) -> str:
    """How many times above: ×40 to 90, or powers of ten for more."""
    low, high = float(factor.min()), float(factor.max())
    if high < 1000:
        return f"×{low:.0f} to {high:.0f}"
    ends = [f"10^{{{np.log10(v):.1f}}}" for v in (low, high)]
    return f"×${ends[0]}$" if ends[0] == ends[1] else f"×${ends[0]}$ to ${ends[1]}$"


def _local_slope_panel(panel: Axes, view: RateView, name: str) -> None:
    exponent, x = view.exponent(name), view.axes[name]
    slopes, low, high = view.local_slopes(name)
    between = np.sqrt(x[1:] * x[:-1])
    bars = np.stack([slopes - low, high - slopes]).clip(0)
    panel.errorbar(between, slopes, bars, color="k", marker="o", ms=3.8, ls="", lw=1, capsize=2.5)
    panel.axhspan(exponent["lower"], exponent["upper"], color="0.88", lw=0, zorder=0)
    panel.axhline(exponent["estimate"], color="k", ls="-", lw=0.9, zorder=1)
    ends = [*low, *high, exponent["lower"], exponent["upper"]]
    if exponent["theory"] is not None:
        panel.axhline(exponent["theory"], color="k", ls=":", lw=1.6)
        ends.append(exponent["theory"])
    middle, half = (min(ends) + max(ends)) / 2, max((max(ends) - min(ends)) / 2 * 1.15, 0.08)
    panel.set(xscale="log", xlabel=LABELS.get(name, name), ylim=(middle - half, middle + half))
    if not exponent["straight"]:
        _draw_trend(panel, view, name)
    # The sizes that were run are the ticks; only so many labels fit.
    labels = [f"{v:.3g}" if v < 1 else f"{v:.6g}" for v in x]
    each = -(-sum(map(len, labels)) // _LABEL_CHARACTERS)
    shown = [t if (len(x) - 1 - i) % each == 0 else "" for i, t in enumerate(labels)]
    panel.set_xticks(x, shown, fontsize=7.5)
    panel.xaxis.set_minor_locator(NullLocator())


def _draw_trend(panel: Axes, view: RateView, name: str) -> None:
    """The slope of the quadratic fit, an arrow towards the limit: where the slopes head."""
    exponent, x = view.exponent(name), np.log(view.axes[name])
    side = _LIMITS.get(name, +1)
    # The slope of the parabola is `estimate` at the middle and changes by `curvature` in all.
    at = np.array([x.min(), x.max()])[::side]
    middle = (x.min() + x.max()) / 2
    change = exponent["curvature"] * (at - middle) / (x.max() - x.min())
    slopes = exponent["estimate"] + change
    panel.annotate(
        "", (np.exp(at[1]), slopes[1]), (np.exp(at[0]), slopes[0]), annotation_clip=False,
        arrowprops={"arrowstyle": "->", "ls": (0, (4, 2)), "color": "0.35", "lw": 1.1},
    )  # fmt: skip
