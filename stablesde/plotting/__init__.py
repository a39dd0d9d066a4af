"""Every figure, drawn from a record alone. The only room that imports matplotlib."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stablesde.plotting._caption import caption
from stablesde.plotting._columns import dependence_panel, plot_probability, probability_panel
from stablesde.plotting._fits import quantile_panel
from stablesde.plotting._rates import overlay, plot_rates, rate_panel, shown_axes
from stablesde.plotting._style import MARKERS, STYLE, figure_path, new_figure, save, shades, style
from stablesde.plotting._tails import plot_tail, tail_panel
from stablesde.stable import LawFit
from stablesde.studies import IndependenceStudy, ProbabilityStudy, RateStudy, TailStudy

Study = RateStudy | TailStudy | ProbabilityStudy | IndependenceStudy


def plot(
    record: Study | LawFit | Mapping[str, RateStudy] | Mapping[str, IndependenceStudy],
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
) -> Figure:
    """Draws a study, whether it was just measured or loaded from a file.

    - A `RateStudy`: error against each axis that has at least 4 values, on log–log axes with
      bootstrap intervals, the fitted power, a guide with theory's exponent and the bounds (an arrow
      and a factor for one that lies far above); below, the slopes between neighbouring sizes, and
      where they head if the errors are not straight.
    - A `TailStudy`: the empirical tail with the predicted one, and Hill's estimate against the
      number of order statistics.
    - A `ProbabilityStudy`: P(error ≤ ε) against the width, for each ε.
    - An `IndependenceStudy`: the dependence of a pair against the width.
    - A `LawFit`: the sample's quantiles against the law's.
    - `{label: study, …}`, several of the first or of the last kind: on one panel.

    `caption` says it in words; `study.curve(axis)` has the numbers for figures of your own.

    **Arguments:** `record`; `path`, where the figure is saved (format by its suffix); `ax`, axes of
    your own that get the main panel alone: errors along the headline axis, the tail, the first ε.

    **Returns:** the matplotlib `Figure`, which a notebook shows. **Raises:** `TypeError` for
    another record, `ValueError` for a study without an axis of at least 4 sizes, with errors that
    no log axis can show, or for a `path` whose suffix matplotlib cannot write; `OSError` where it
    cannot be written.
    """
    path = figure_path(path)
    with style():
        if ax is None:
            figure = _whole(record)
        else:
            _panel(ax, record)
            figure = ax.get_figure(root=True)  # type: ignore[assignment]  # axes have a figure
        if path is not None:
            save(figure, path)
    return figure


def _whole(record: Any) -> Figure:
    if isinstance(record, RateStudy):
        return plot_rates(record)
    if isinstance(record, TailStudy):
        return plot_tail(record)
    if isinstance(record, ProbabilityStudy):
        return plot_probability(record)
    figure = new_figure(5.2, 3.8)
    _panel(figure.subplots(), record)
    return figure


def _panel(ax: Axes, record: Any) -> None:
    if isinstance(record, LawFit):
        quantile_panel(ax, record)
    elif isinstance(record, RateStudy):
        axis = record.rate_axis
        rate_panel(ax, record, axis if axis in (s := shown_axes(record)) else s[0])
    elif isinstance(record, TailStudy):
        tail_panel(ax, record)
    elif isinstance(record, ProbabilityStudy):
        probability_panel(ax, record, 0)
        ax.legend()
    elif isinstance(record, IndependenceStudy):
        dependence_panel(ax, {record.config.get("model", "particles"): record})
    elif _all(record, RateStudy):
        overlay(ax, record)
    elif _all(record, IndependenceStudy):
        dependence_panel(ax, record)
    else:
        raise TypeError(
            f"record must be a study, or a dictionary of rate studies or of independence studies, "
            f"got {_told(record)}."
        )


def _told(record: Any) -> str:
    if isinstance(record, Mapping):
        return ", ".join(f"{k!r}: {type(v).__name__}" for k, v in record.items()) or "an empty one"
    return type(record).__name__


def _all(record: Any, kind: type) -> bool:
    known = isinstance(record, Mapping) and len(record) > 0
    return known and all(isinstance(study, kind) for study in record.values())


__all__ = ["MARKERS", "STYLE", "caption", "plot", "shades", "style"]
