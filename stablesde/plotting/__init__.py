"""Every figure, drawn from a record alone. The only room that imports matplotlib."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from stablesde._storage import write_atomically
from stablesde.plotting._caption import caption
from stablesde.plotting._columns import (
    plot_compression_law,
    plot_independence,
    plot_lemma_b1,
    plot_probability,
)
from stablesde.plotting._law_flow import plot_law_flow
from stablesde.plotting._rates import plot_rates
from stablesde.plotting._style import MARKERS, STYLE, figure_path, file_bytes, save, shades, style
from stablesde.plotting._tails import plot_tail
from stablesde.plotting._view import RateView
from stablesde.studies import IndependenceStudy, ProbabilityStudy, RateStudy, TailStudy

Study = RateStudy | TailStudy | ProbabilityStudy | IndependenceStudy


def plot(study: Study | Mapping[str, Any], path: str | Path | None = None) -> Figure:
    """Draws a study and, if `path` is given, saves the figure there (format by its suffix).

    A `RateStudy`, or its record (`to_dict()`, or from a results.json): error against each axis that
    has at least 4 values, on log–log axes with 95 % bootstrap intervals, the fitted power, a guide
    with theory's exponent and the bounds (an arrow and a factor for one that lies far above);
    below, the slopes between neighbouring sizes with their intervals, theory's exponent as a line,
    and, if the errors are not straight, where the slopes head. A `TailStudy`: the empirical tail
    with the predicted one, and Hill's estimate against the number of order statistics. Others as in
    `plot_probability` and `plot_independence`. `caption` says it in words.

    **Returns:** the matplotlib `Figure`. **Raises:** `TypeError` for another record, `ValueError`
    for a study without an axis of at least 4 sizes, with errors that no log axis can show, for
    the record of a tail study, which has too little of the tail, for a damaged record, or for a
    `path` whose suffix matplotlib cannot write; `OSError` where it cannot be written.
    """
    path = figure_path(path)
    if isinstance(study, ProbabilityStudy):
        return plot_probability(study, path)
    if isinstance(study, IndependenceStudy):
        return plot_independence({study.config["model"]: study}, path)
    with style():
        if isinstance(study, TailStudy):
            figure = plot_tail(study)
        elif isinstance(study, RateStudy):
            figure = plot_rates(RateView.of(study.to_dict()))
        elif isinstance(study, Mapping):
            return _plot_record(study, path)
        else:
            raise TypeError(f"study must be the record of a study, got {type(study).__name__}.")
        if path is not None:
            save(figure, path)
    return figure


def _plot_record(record: Mapping[str, Any], path: Path | None) -> Figure:
    """The figure of a record that was read from a file, and may hold anything."""
    view = RateView.of(record)
    assert view.shown  # or an error that says what to do
    try:
        figure = plot_rates(view)
        picture = None if path is None else file_bytes(figure, path)
    except Exception as error:
        raise ValueError(f"study: this record cannot be drawn ({error!r}).") from error
    if path is not None and picture is not None:
        write_atomically(path, picture)
    return figure


__all__ = [
    "MARKERS",
    "STYLE",
    "caption",
    "plot",
    "plot_compression_law",
    "plot_independence",
    "plot_law_flow",
    "plot_lemma_b1",
    "plot_probability",
    "shades",
    "style",
]
