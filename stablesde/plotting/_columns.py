"""Figures of compressibility and independence, drawn from records alone."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stablesde.plotting._style import entitle, new_figure
from stablesde.studies import IndependenceStudy, ProbabilityStudy

_STYLES = (("o", "-", "0.0"), ("s", "--", "0.35"), ("^", ":", "0.55"), ("D", "-.", "0.7"))


def plot_probability(study: ProbabilityStudy) -> Figure:
    """P(error ≤ ε) against the width with Clopper–Pearson intervals: a panel for each ε."""
    count = len(study.epsilons)
    figure = new_figure(3.3 * count, 4.0)
    panels = np.atleast_1d(figure.subplots(1, count, sharey=True))
    for k, axes in enumerate(panels):
        probability_panel(axes, study, k)
    for axes in panels[1:]:
        axes.set_ylabel("")
    handles, labels = panels[0].get_legend_handles_labels()
    order = np.argsort(labels, kind="stable")
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center",
        ncols=3,
    )
    entitle(figure, "Probability that the columns are compressible", study.config)
    return figure


def probability_panel(axes: Axes, study: ProbabilityStudy, k: int) -> None:
    """For one ε: the particles, independent copies of the limit (lines), its law (crosses).

    Shaded is what the theorem claims from some N on.
    """
    epsilon = study.epsilons[k]
    low, high = study.interval()
    systems = np.asarray(study.systems)[:, None, None]
    for j, kappa in enumerate(study.kappas):
        marker, line, colour = _STYLES[j % len(_STYLES)]
        p = study.probability[:, j, k]
        reach = np.array([p - low[:, j, k], high[:, j, k] - p])
        axes.errorbar(
            study.widths,
            p,
            np.maximum(reach, 0),
            fmt=marker,
            color=colour,
            ms=4,
            capsize=2,
            label=f"particles, κ = {kappa:g}, with interval",
        )
        copies = (study.copies / systems)[:, j, k]
        label = "independent copies of the limit"
        axes.plot(study.widths, copies, line, color=colour, lw=1.2, label=label)
        law = study.predicted[:, j, k]
        axes.plot(study.widths, law, "x", color=colour, ms=6, mew=1.2, label="limit law")
    axes.axhspan(1 - epsilon, 1, color="0.9", zorder=0)
    axes.text(study.widths[-1], 1 - epsilon, "claimed: ≥ 1 - ε", va="top", ha="right", fontsize=7)
    axes.set(xscale="log", xlabel="width n", title=f"ε = {epsilon:g}", ylim=(0, 1.03))
    axes.set(ylabel="P(relative error ≤ ε)")
    axes.set_xticks(study.widths, [str(n) for n in study.widths])
    axes.minorticks_off()


def dependence_panel(axes: Axes, studies: dict[str, IndependenceStudy]) -> None:
    """Distance from independence of a pair against the width, with the rate 1/n.

    Where no dependence is seen, as for independent copies: the upper end of its interval.
    """
    for (label, study), look in zip(studies.items(), _STYLES, strict=False):
        _draw_dependence(axes, label, study, look)
    axes.set(xscale="log", yscale="log", xlabel="width n (particles)", ylabel="‖C‖ of a pair")
    ticks = sorted({n for study in studies.values() for n in study.widths})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend()


def _draw_dependence(
    axes: Axes, label: str, study: IndependenceStudy, look: tuple[str, str, str]
) -> None:
    marker, line, colour = look
    each = study.dependence()
    widths = np.asarray(study.widths, float)
    top = np.sqrt(np.maximum([d.upper for d in each], 1e-300))
    if any(d.independent for d in each):
        axes.errorbar(
            widths,
            top,
            0.3 * top,
            fmt=marker,
            uplims=True,
            color=colour,
            mfc="none",
            ms=4,
            lw=0.8,
            label=f"{label}: upper end of the interval",
        )
        return
    distance = np.array([d.distance for d in each])
    bottom = np.sqrt(np.maximum([d.lower for d in each], 0))
    reach = np.maximum([distance - bottom, top - distance], 0)
    axes.errorbar(
        widths,
        distance,
        reach,
        fmt=marker,
        color=colour,
        ms=4,
        capsize=2,
        label=f"{label}: slope {study.slope()}",
    )
    axes.plot(widths, distance[-1] * widths[-1] / widths, line, color=colour, lw=1)
