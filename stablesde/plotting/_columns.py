"""Figures of compressibility and independence, drawn from records alone."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from stablesde._arguments import as_real
from stablesde.plotting._style import figure_path, save, style
from stablesde.studies import IndependenceStudy, ProbabilityStudy
from stablesde.theory import CompressionLaw, lemma_b1, lemma_b1_threshold

_STYLES = (("o", "-", "0.0"), ("s", "--", "0.35"), ("^", ":", "0.55"), ("D", "-.", "0.7"))


def _save(figure: Figure, path: Path | None) -> Figure:
    if path is not None:
        save(figure, path)
    return figure


def plot_probability(study: ProbabilityStudy, path: str | Path | None = None) -> Figure:
    """P(error ≤ ε) against the width with Clopper–Pearson intervals: a panel for each ε.

    Lines: independent copies of the limit. Crosses: the limit law. Shaded: what the theorem claims
    from some N on.

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` for another `study`, or a `path`
    whose suffix matplotlib cannot write; `OSError` where it cannot be written.
    """
    path = figure_path(path)
    if not isinstance(study, ProbabilityStudy):
        raise ValueError(f"study must be a ProbabilityStudy, got {type(study).__name__}.")
    with style():
        count = len(study.epsilons)
        figure = Figure(figsize=(3.3 * count, 3.4), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, count, sharey=True))
        low, high = study.interval()
        systems = np.asarray(study.systems)[:, None, None]
        for k, (axes, epsilon) in enumerate(zip(panels, study.epsilons, strict=True)):
            for j, kappa in enumerate(study.kappas):
                marker, line, colour = _STYLES[j % len(_STYLES)]
                p = study.probability[:, j, k]
                reach = np.array([p - low[:, j, k], high[:, j, k] - p])
                axes.errorbar(
                    study.widths, p, np.maximum(reach, 0), fmt=marker, color=colour, ms=4,
                    capsize=2, label=f"particles, κ = {kappa:g}, with interval",
                )  # fmt: skip
                copies = (study.copies / systems)[:, j, k]
                axes.plot(
                    study.widths,
                    copies,
                    line,
                    color=colour,
                    lw=1.2,
                    label="independent copies of the limit",
                )
                law = study.predicted[:, j, k]
                axes.plot(study.widths, law, "x", color=colour, ms=6, mew=1.2, label="limit law")
            axes.axhspan(1 - epsilon, 1, color="0.9", zorder=0)
            axes.text(
                study.widths[-1], 1 - epsilon, "claimed: ≥ 1 - ε", va="top", ha="right", fontsize=7
            )
            axes.set(xscale="log", xlabel="width n", title=f"ε = {epsilon:g}", ylim=(0, 1.03))
            axes.set_xticks(study.widths, [str(n) for n in study.widths])
            axes.minorticks_off()
        panels[0].set_ylabel("P(relative error ≤ ε)")
        handles, labels = panels[0].get_legend_handles_labels()
        order = np.argsort(labels, kind="stable")
        figure.legend(
            [handles[i] for i in order], [labels[i] for i in order], loc="outside upper center",
            ncols=3,
        )  # fmt: skip
    return _save(figure, path)


def plot_compression_law(
    laws: dict[str, tuple[CompressionLaw, int, np.ndarray]], path: str | Path | None = None
) -> Figure:
    """Distribution functions of the compression error: simulated, exact and in the limit.

    **Arguments:** `laws`, for each label a law, a width and simulated errors there. Above, the
    distribution functions; below, their distance from the simulated one, with the band in which
    95 % of the largest distances lie (Kolmogorov).

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` for `laws` of another form, as
    `stablesde.theory.CompressionLaw.cdf`, and as `plot_probability` for the `path`.
    """
    path = figure_path(path)
    _check_laws(laws)
    with style():
        figure = Figure(figsize=(5.6, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        band = 0.0
        for (label, (law, n, errors)), look in zip(laws.items(), _STYLES, strict=False):
            marker, _, colour = look
            grid = np.quantile(errors, np.linspace(0.01, 0.99, 33))
            below = np.searchsorted(np.sort(errors), grid, side="right") / len(errors)
            exact, limit = law.cdf(grid, n), law.limit_cdf(grid, n)
            upper.plot(grid, below, marker, color=colour, ms=3, label=f"simulated, {label}")
            upper.plot(grid, exact, "-", color=colour, lw=1, label="exact law")
            upper.plot(grid, limit, ":", color=colour, lw=1.2, label="limit law")
            lower.plot(grid, exact - below, "-" + marker, color=colour, ms=2.5, lw=0.8)
            lower.plot(grid, limit - below, ":", color=colour, lw=1.2)
            band = max(band, 1.36 / len(errors) ** 0.5)
        lower.axhspan(-band, band, color="0.9", zorder=0)
        upper.set(ylabel="P(error ≤ ε)")
        lower.set(xlabel="relative error ε", ylabel="law - simulated")
        upper.legend(ncols=max(len(laws), 1))
    return _save(figure, path)


def _check_laws(laws: object) -> None:
    """Raises `ValueError` unless they are as `plot_compression_law` says."""
    entries: list[Any] = list(laws.values()) if isinstance(laws, dict) else [None]
    for entry in entries:
        whole = isinstance(entry, (tuple, list)) and len(entry) == 3
        if not whole or not isinstance(entry[0], CompressionLaw):
            raise ValueError("laws must be a dictionary of (CompressionLaw, width, errors).")
        errors: Any = np.asarray(as_real("laws: errors", entry[2]), float)
        if errors.ndim != 1 or not errors.size or not np.all((errors > 0) & (errors < np.inf)):
            raise ValueError("laws: errors must be positive and finite, of shape (R,).")


def plot_independence(
    studies: dict[str, IndependenceStudy], path: str | Path | None = None
) -> Figure:
    """‖C_n‖ of pairs against the width with bootstrap intervals, beside a line of slope -1.

    Where the interval reaches 0, only its upper end is drawn, with an arrow down.

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` for `studies` that are no
    dictionary of `IndependenceStudy`, one with fewer than 4 widths, and as `plot_probability` for
    the `path`.
    """
    path = figure_path(path)
    known = isinstance(studies, dict) and len(studies) > 0
    if not known or not all(isinstance(s, IndependenceStudy) for s in studies.values()):
        raise ValueError(f"studies must be a dictionary of IndependenceStudy, got {studies!r}.")
    with style():
        figure = Figure(figsize=(4.8, 3.4), layout="constrained")
        axes = figure.subplots()
        for (label, study), look in zip(studies.items(), _STYLES, strict=False):
            _draw_dependence(axes, label, study, look)
        axes.set(xscale="log", yscale="log", xlabel="width n (particles)", ylabel="‖C‖ of a pair")
        ticks = sorted({n for study in studies.values() for n in study.widths})
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.legend()
    return _save(figure, path)


def _draw_dependence(
    axes: Axes, label: str, study: IndependenceStudy, look: tuple[str, str, str]
) -> None:
    marker, line, colour = look
    each = study.dependence()
    widths = np.asarray(study.widths, float)
    top = np.sqrt(np.maximum([d.upper for d in each], 1e-300))
    if any(d.independent for d in each):
        axes.errorbar(
            widths, top, 0.3 * top, fmt=marker, uplims=True, color=colour, mfc="none", ms=4,
            lw=0.8, label=f"{label}: upper end of the interval",
        )  # fmt: skip
        return
    distance = np.array([d.distance for d in each])
    bottom = np.sqrt(np.maximum([d.lower for d in each], 0))
    reach = np.maximum([distance - bottom, top - distance], 0)
    axes.errorbar(
        widths, distance, reach, fmt=marker, color=colour, ms=4, capsize=2,
        label=f"{label}: slope {study.slope()}",
    )  # fmt: skip
    axes.plot(widths, distance[-1] * widths[-1] / widths, line, color=colour, lw=1)


def plot_lemma_b1(path: str | Path | None = None) -> Figure:
    """Lemma B.1 over the truth, E max |Z_i| ≤ (8 C_α + 1) n^{1/α}, against α, for n = 10⁷.

    **Returns:** the matplotlib `Figure`. **Raises:** `ValueError` for a `path` whose suffix
    matplotlib cannot write; `OSError` where it cannot be written.
    """
    path = figure_path(path)
    with style():
        figure = Figure(figsize=(4.8, 3.2), layout="constrained")
        axes = figure.subplots()
        alphas = np.linspace(1.01, 1.95, 95)
        unit = [1e7 ** (1 / a) for a in alphas]
        for constant, line in (("both tails", "-"), ("one tail", "--")):
            bounds = [lemma_b1(a, 1e7, constant=constant).paper for a in alphas]
            threshold = lemma_b1_threshold(constant=constant)
            label = f"lemma, C_α of {constant}: fails below α = {threshold:.4f}"
            axes.plot(alphas, np.divide(bounds, unit), line, color="0.5", label=label)
            axes.axvline(threshold, color="0.5", ls=":", lw=0.8)
        exact = [lemma_b1(a, 1e7).exact for a in alphas]
        axes.plot(alphas, np.divide(exact, unit), "k-", lw=1.5, label="exact, n = 10⁷")
        axes.set(xlabel="α", ylabel="E max / n$^{1/α}$", yscale="log")
        axes.legend()
    return _save(figure, path)
