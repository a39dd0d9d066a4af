"""The figure of a tail study: the empirical tail, and Hill's estimate along it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from stablesde.plotting._style import TITLES, entitle, legends_above, new_figure, power_of_ten
from stablesde.studies import TailStudy
from stablesde.studies._statistics import LEVEL


def plot_tail(study: TailStudy) -> Figure:
    """Two panels: exceedance against t on log–log axes, tail index against k."""
    figure = new_figure(9.2, 4.4)
    left, right = figure.subplots(1, 2)
    tail_panel(left, study)
    _hill_panel(right, study)
    entitle(figure, TITLES["tails"], study.config)
    return figure


def tail_panel(panel: Axes, study: TailStudy) -> None:
    """Exceedance of the norm, with intervals of the count and the predicted tail."""
    rank = np.arange(1, len(study.top) + 1)
    points = panel.plot(
        study.top,
        rank / study.num_columns,
        "k.",
        ms=2.5,
        label=f"{power_of_ten(study.num_columns)} columns",
    )
    # Exact for a count (Garwood 1936): the last points have few others beside them.
    low = stats.gamma.ppf((1 - LEVEL) / 2, rank) / study.num_columns
    high = stats.gamma.ppf((1 + LEVEL) / 2, rank + 1) / study.num_columns
    band = panel.fill_between(
        study.top, low, high, color="0.82", lw=0, label=f"{100 * LEVEL:g} % (count)"
    )
    predicted = []
    if study.has_bound:
        predicted = panel.plot(
            study.top,
            study.tail_constant * study.top**-study.alpha,
            "-",
            color="0.35",
            lw=1.3,
            label=f"predicted, ${study.tail_constant:.3g}\\,t^{{-{study.alpha:g}}}$",
        )
    panel.set(xscale="log", yscale="log", xlabel="$t$", ylabel=r"$P(\|\theta_T\|>t)$")
    legends_above(panel, [[*points, band, *predicted]], [3])


def _hill_panel(panel: Axes, study: TailStudy) -> None:
    k, estimates = study.hill_curve()
    reach = stats.norm.ppf((1 + LEVEL) / 2) / np.sqrt(k)
    curve = panel.plot(k, estimates, "k-", lw=0.9, label="Hill's estimate")
    band = panel.fill_between(
        k,
        estimates * (1 - reach),
        estimates * (1 + reach),
        color="0.85",
        lw=0,
        label=f"{100 * LEVEL:g} % interval",
    )
    bars = [[study.estimate - study.lower], [study.upper - study.estimate]]
    used = panel.errorbar(
        [study.k],
        [study.estimate],
        bars,
        color="k",
        marker="o",
        mfc="w",
        ms=5,
        capsize=3,
        lw=1.2,
        label=f"used: k = {study.k}",
    )
    alpha = panel.axhline(study.alpha, color="k", ls=":", lw=1.6, label=f"α = {study.alpha:g}")
    handles = [*curve, band, used, alpha]
    if study.has_bound:
        handles.append(panel.axhline(2, color="0.35", ls="--", lw=1.1, label="2: finite variance"))
    panel.set(xscale="log", xlabel="upper order statistics $k$", ylabel="tail index")
    panel.set_ylim(max(0, study.alpha - 0.8), study.alpha + 0.8)
    legends_above(panel, [handles], [3])
