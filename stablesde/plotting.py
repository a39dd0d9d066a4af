"""Every figure, drawn from a record alone. The only module that imports matplotlib."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stablesde.dynamics import FokkerPlanck, LawFlow
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._statistics import bootstrap, interval, location

# Distinguishable in print and in grey: dark to light, with a marker of its own each.
_MARKERS = "osD^vPX*"
_STYLE: Any = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.3,
}
_LABELS = {
    "width": "width n (particles)",
    "step": "step size η (time)",
    "kappa": "kept fraction κ",
}
# A bound this many times above the errors is told in the legend, not drawn.
_FAR_ABOVE = 30
# Height of a row of the legend, as a part of the panel's.
_LEGEND_ROW = 0.062
_SYMBOLS = {"width": "n", "step": "η", "kappa": "κ"}
_NOISES = {
    "OneFactorStable": "Type I",
    "IndependentStable": "Type II",
    "IsotropicStable": "Type III",
}
_TITLES = {
    "strong_error": "Strong error of the Euler scheme",
    "propagation_of_chaos": "Propagation of chaos",
    "compressibility": "Compressibility of the limit's columns",
    "tails": "Tail of the limit",
}


def plot(study: RateStudy | TailStudy, path: str | Path | None = None) -> Figure:
    """Draws a study and, if `path` is given, saves the figure there (format by its suffix).

    A `RateStudy`: error against each axis that has at least 4 values, on log–log axes with 95 %
    bootstrap intervals, the fitted line, a guide with theory's exponent and the bounds (an arrow
    and a factor for one that lies far above); below, the local slopes. A `TailStudy`: the empirical
    tail with the predicted one, and Hill's estimate against the number of order statistics.

    **Returns:** the matplotlib `Figure`. **Raises:** `TypeError` for another record, `ValueError`
    for a study without an axis of at least 4 sizes, or with errors that no log axis can show.
    """
    with mpl.rc_context(_STYLE):
        if isinstance(study, RateStudy):
            figure = _plot_rates(study)
        elif isinstance(study, TailStudy):
            figure = _plot_tail(study)
        else:
            raise TypeError(f"plot draws RateStudy and TailStudy, got {type(study).__name__}.")
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=160)
    return figure


def plot_law_flow(solution: FokkerPlanck, flow: LawFlow, path: str | Path | None = None) -> Figure:
    """Draws the law flow of `fokker_planck` (lines) under that of particles (points).

    Below, their distance in standard errors of the particles, of every statistic.

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` if their shapes differ.
    """
    estimate, spread = np.asarray(flow.m, float), np.asarray(flow.standard_error, float)
    if estimate.shape != solution.m.shape:
        raise ValueError(
            f"the law flows have shapes {solution.m.shape} and {estimate.shape}: use the same "
            "model and num_steps."
        )
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        # A start from a point has no spread but rounding.
        z = (estimate - solution.m) / np.where(spread > 1e-3 * spread.max(), spread, np.inf)
        for i, colour in enumerate(_shades(estimate.shape[1])):
            upper.plot(solution.times, solution.m[:, i], "-", color=colour, lw=1)
            upper.plot(solution.times, estimate[:, i], ".", color=colour, ms=3.5)
            lower.plot(solution.times, z[:, i], "-", color=colour, lw=0.7)
        upper.set(ylabel="m_t = E φ(θ_t)")
        upper.plot([], [], "k-", lw=1, label=f"Fokker–Planck, error ≤ {solution.error.max():.0e}")
        error = f"standard error ≤ {spread.max():.0e}"
        upper.plot([], [], "k.", ms=3.5, label=f"{flow.num_particles:.0e} particles, {error}")
        top = upper.get_ylim()[1]
        upper.set_ylim(top=top + 0.25 * (top - upper.get_ylim()[0]))
        upper.legend(loc="upper left")
        for level in (-4, 4):
            lower.axhline(level, color="k", ls=":", lw=1)
        lower.set(xlabel="t", ylabel="distance in\nstandard errors", ylim=(-5, 5))
        figure.suptitle(f"Law flow of the limit, α = {solution.alpha:g}, σ = {solution.sigma:g}")
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=160)
    return figure


def _shades(count: int) -> list[Any]:
    return [mpl.colormaps["viridis"](t) for t in np.linspace(0.0, 0.82, count)]


def _plot_rates(study: RateStudy) -> Figure:
    shown = [a for a in study.axes if len(a.values) >= 4]
    if not shown:
        sizes = ", ".join(f"{len(a.values)} {a.name}s" for a in study.axes)
        raise ValueError(
            f"a figure needs an axis with at least 4 sizes, this study has {sizes}: run it with "
            "more of them (study.table() shows what there is)."
        )
    for axis in shown:
        study.slope(axis.name)  # says what is wrong before anything is drawn
    figure = Figure(figsize=(4.8 * len(shown) + 0.4, 5.8), layout="constrained")
    panels = figure.subplots(2, len(shown), squeeze=False, sharex="col", height_ratios=(3, 1.2))
    for column, axis in enumerate(shown):
        _rate_panel(panels[0, column], study, axis.name)
        _local_slope_panel(panels[1, column], study, axis.name)
    figure.suptitle(f"{_TITLES.get(study.name, study.name)}\n{_setting(study.config)}")
    return figure


def _setting(config: dict[str, Any]) -> str:
    noise = _NOISES.get(config["noise"], config["noise"])
    return f"{config['model']}, {noise} noise, α = {config['alpha']:g}, {config['dtype']}"


def _lines(study: RateStudy, name: str) -> tuple[np.ndarray, list[tuple[str, tuple[Any, ...]]]]:
    """The values on one axis, and (label, index) of the lines drawn: points of the other axes."""
    position = study.axes.index(study.axis(name))
    others = [a for a in study.axes if a.name != name]
    values = np.asarray(study.axis(name).values)
    if not others:
        return values, [("", (slice(None),))]
    (other,) = others
    lines = []
    for i in range(len(other.values)):
        index = (slice(None), i) if position == 0 else (i, slice(None))
        lines.append((f"{_SYMBOLS[other.name]} = {other.values[i]:.4g}", index))
    return values, lines


def _rate_panel(panel: Axes, study: RateStudy, name: str) -> None:
    errors = study.errors[study.rate_measure]
    centre = location(errors, study.rate_statistic)
    low, high = interval(bootstrap(errors, study.rate_statistic))
    x, lines = _lines(study, name)
    measured = []
    for (label, at), colour, marker in zip(lines, _shades(len(lines)), _MARKERS * 3, strict=False):
        y = centre[at]
        bars = np.stack([y - low[at], high[at] - y]).clip(0)
        measured.append(
            panel.errorbar(
                x, y, bars, color=colour, marker=marker, ms=4, lw=1, capsize=2, label=label
            )
        )
    slope, axis = study.slope(name), study.axis(name)
    middle = np.exp(np.mean(np.log(centre[lines[-1][1]])))
    shape = np.log(x) - np.mean(np.log(x))
    fit = f"fit {slope.estimate:+.3f} [{slope.lower:+.3f}, {slope.upper:+.3f}]"
    power = middle * np.exp(slope.estimate * shape)
    drawn = panel.plot(x, power, "k-", lw=0.8, alpha=0.7, label=fit)
    if axis.theory is not None:
        guide = middle * 1.35 * np.exp(axis.theory * shape)
        drawn += panel.plot(x, guide, "k:", lw=1.4, label=f"theory's power {axis.theory:+.3f}")
    drawn += _draw_bounds(panel, study, x, centre, lines[-1])
    panel.set(xscale="log", yscale="log")
    kind = {"geometric": "geometric mean", "trimmed": "trimmed mean"}
    statistic = kind.get(study.rate_statistic, study.rate_statistic)
    panel.set_ylabel(f"{_measure(study)},\n{statistic} of {len(errors)} replicas")
    _legends_above(panel, measured if len(lines) > 1 else [], drawn)


def _legends_above(panel: Axes, measured: list[Any], drawn: list[Any]) -> None:
    """Legends outside the data: the lines in rows above the panel, fit and bounds above them."""
    rows = -(-len(measured) // 5)
    if measured:
        columns = -(-len(measured) // rows)
        first = panel.legend(
            handles=measured, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1),
            handlelength=1.0, handletextpad=0.4, columnspacing=0.9,
        )  # fmt: skip
        panel.add_artist(first)
    panel.legend(
        handles=drawn, ncols=2, loc="lower left", bbox_to_anchor=(0, 1 + _LEGEND_ROW * rows)
    )


def _draw_bounds(
    panel: Axes, study: RateStudy, x: np.ndarray, centre: np.ndarray, line: tuple[str, Any]
) -> list[Any]:
    """The bounds for one line. One that is far above would squeeze the data: an arrow tells it."""
    drawn = []
    for label, style in (("sharp", "--"), ("paper", "-.")):
        if label not in study.bounds or not np.all(np.isfinite(study.bounds[label])):
            continue
        factor = study.bounds[label] / centre
        if factor.min() > _FAR_ABOVE:
            low, high = np.log10(factor.min()), np.log10(factor.max())
            text = f"{label} bound: $10^{{{low:.1f}}}$–$10^{{{high:.1f}}}$ × higher"
            drawn += panel.plot([], [], marker=r"$\uparrow$", ls="", color="0.35", label=text)
        else:
            text = f"{label} bound" + (f", {line[0]}" if line[0] else "")
            bound = study.bounds[label][line[1]]
            drawn += panel.plot(x, bound, style, color="0.45", lw=1.2, label=text)
    return drawn


def _measure(study: RateStudy) -> str:
    names = {
        "sup": "error, sup over particles, time",
        "mean": "error, sup over time, mean over particles",
    }
    return names.get(study.rate_measure, study.rate_measure)


def _local_slope_panel(panel: Axes, study: RateStudy, name: str) -> None:
    axis = study.axis(name)
    x = np.asarray(axis.values)
    between = np.sqrt(x[1:] * x[:-1])
    panel.plot(between, study.slope(name).local, "ko-", ms=3.5, lw=0.9)
    if axis.theory is not None:
        panel.axhline(axis.theory, color="k", ls=":", lw=1.4)
    panel.set(xscale="log", xlabel=_LABELS[name], ylabel="local slope")
    # The sizes that were run are the ticks.
    panel.set_xticks(x, [f"{v:.3g}" if v < 1 else f"{v:.6g}" for v in x], fontsize=7.5)
    panel.xaxis.set_minor_locator(NullLocator())
    low, high = panel.get_ylim()
    middle, half = (low + high) / 2, max((high - low) / 2, 0.15)
    panel.set_ylim(middle - half, middle + half)


def _plot_tail(study: TailStudy) -> Figure:
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    exceedance = np.arange(1, len(study.top) + 1) / study.num_columns
    left.plot(study.top, exceedance, "k.", ms=2.5, label=f"{study.num_columns:.3g} columns")
    if study.has_bound:
        predicted = study.tail_constant * study.top**-study.alpha
        left.plot(
            study.top, predicted, "-", color="0.5", lw=1.2,
            label=f"predicted: {study.tail_constant:.3g} t^-{study.alpha:g}",
        )  # fmt: skip
    left.set(xscale="log", yscale="log", xlabel="t", ylabel="P(‖θ‖ > t)")
    left.legend()
    k, estimates = study.hill_curve()
    right.plot(k, estimates, "k-", lw=0.9, label="Hill's estimate")
    half = 1.96 / np.sqrt(k)
    right.fill_between(k, estimates * (1 - half), estimates * (1 + half), color="0.85", lw=0)
    right.axhline(study.alpha, color="k", ls=":", lw=1.4, label=f"α = {study.alpha:g}")
    right.axhline(2, color="0.45", ls="--", lw=1, label="2: variance becomes finite")
    right.axvline(study.k, color="0.6", lw=0.8, label=f"k used: {study.k}")
    right.set(xscale="log", xlabel="upper order statistics k", ylabel="tail index")
    right.set_ylim(max(0, study.alpha - 0.8), study.alpha + 0.8)
    right.legend()
    figure.suptitle(f"{_TITLES['tails']}\n{_setting(study.config)}")
    return figure
