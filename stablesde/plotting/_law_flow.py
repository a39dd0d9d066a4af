"""The law flow of the Fokker–Planck equation under that of particles."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stablesde.dynamics import FokkerPlanck, LawFlow
from stablesde.plotting._style import figure_path, save, shades, style


def plot_law_flow(solution: FokkerPlanck, flow: LawFlow, path: str | Path | None = None) -> Figure:
    """Draws the law flow of `fokker_planck` (lines) under that of particles (points).

    Below, their distance in standard errors of the particles, of every statistic.

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` if their shapes differ, if
    `solution` or `flow` is something else, or for a `path` whose suffix matplotlib cannot write;
    `OSError` where it cannot be written.
    """
    path = figure_path(path)
    if not isinstance(solution, FokkerPlanck):
        raise ValueError(f"solution must be a FokkerPlanck, got {type(solution).__name__}.")
    if not isinstance(flow, LawFlow):
        raise ValueError(f"flow must be a LawFlow, got {type(flow).__name__}.")
    estimate, spread = np.asarray(flow.m, float), np.asarray(flow.standard_error, float)
    if estimate.shape != solution.m.shape:
        raise ValueError(
            f"solution and flow have shapes {solution.m.shape} and {estimate.shape}: use the same "
            "model and num_steps."
        )
    with style():
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        # A start from a point has no spread but rounding.
        z = (estimate - solution.m) / np.where(spread > 1e-3 * spread.max(), spread, np.inf)
        for i, colour in enumerate(shades(estimate.shape[1])):
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
            save(figure, path)
    return figure
