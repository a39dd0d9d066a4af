"""The caption of a figure, in words, from the record alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stablesde.plotting._rates import FAR_ABOVE, STATISTICS, SYMBOLS
from stablesde.plotting._style import NOISES, TITLES
from stablesde.plotting._view import BOUNDS, RateView
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._statistics import LEVEL

_MEASURES = {
    "sup": "error (sup over particles and time)",
    "mean": "error (sup over time, mean over particles)",
}


def caption(study: RateStudy | TailStudy | Mapping[str, Any]) -> str:
    """The caption of the figure of a study or of its record: plain text for a paper or a report.

    What is shown, the model, the noise, sizes, replicas, precision and key, what bars and lines
    are, and the verdict.

    **Returns:** a string. **Raises:** `ValueError` for a record that is none of a study.
    """
    if not isinstance(study, (Mapping, RateStudy, TailStudy)):
        raise ValueError(f"study must be the record of a study, got {type(study).__name__}.")
    record = study if isinstance(study, Mapping) else study.to_dict()
    try:
        what = _tail(record) if "exponents" not in record else _rates(RateView.of(record))
        title = str(TITLES.get(record["name"], record["name"]))
        parts = [f"{title}.", what, _setting(record)]
        return " ".join([*parts, f"Verdict: {record['verdict']}."])
    except Exception as error:  # of a record that was read from a file, anything
        raise ValueError(f"study: this is no record of a study ({error!r}).") from error


def _rates(view: RateView) -> str:
    statistic = STATISTICS.get(view.statistic, view.statistic)
    level = f"{100 * view.level:g} %"
    measure = _MEASURES.get(view.measure, view.measure)
    try:
        shown = view.shown
    except ValueError:
        shown = list(view.axes)
    against = " and ".join(f"{n} {SYMBOLS.get(n, '')}".strip() for n in shown)
    told = [
        f"Above: {statistic} over {view.replicas} replicas of the {measure} against {against}; "
        f"bars are {level} intervals of a bootstrap over replicas "
        f"({view.record.get('interval', 'percentile')}).",
        "Solid lines: the fitted power, one slope for all lines of a panel, along "
        + "; along ".join(_fit(view, n) for n in shown if n in view.record["exponents"])
        + "; dotted: a guide with theory's power.",
        _bounds(view),
        "Below: slopes between neighbouring sizes with their intervals, the fitted power with its "
        "interval (solid, grey) and theory's exponent (dotted)"
        + (
            "; dashed arrow, where the line is bent: the slope of a quadratic fit, to the limit."
            if any(not e["straight"] for e in view.record["exponents"].values())
            else "."
        ),
    ]
    return " ".join(t for t in told if t)


def _fit(view: RateView, name: str) -> str:
    e = view.exponent(name)
    theory = "" if e["theory"] is None else f", theory {e['theory']:+.3f}"
    return f"{name} {e['estimate']:+.3f} [{e['lower']:+.3f}, {e['upper']:+.3f}]{theory}"


def _bounds(view: RateView) -> str:
    centre = view.centre
    told = []
    for label, (word, _, dashes) in BOUNDS.items():
        if label not in view.bounds or not np.all(np.isfinite(view.bounds[label])):
            continue
        factor = (view.bounds[label] / centre).min()
        name = f"the {word}" + (" (vacuous: above 2cT)" if view.is_vacuous(label) else "")
        told.append(
            f"{dashes}: {name}"
            if factor <= FAR_ABOVE
            else f"{name} is at least {float(f'{factor:.2g}'):,.0f} times above and not drawn"
        )
    if not told:
        return ""
    of = _MEASURES.get(view.bounded_measure, view.bounded_measure)
    other = "" if view.bounded_measure == view.measure else f" (bounds of the larger {of})"
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}{other}."


def _tail(record: Mapping[str, Any]) -> str:
    e, config = record["exponent"], record["config"]
    level = f"{100 * e.get('level', LEVEL):g} %"
    return (
        f"Left: the share of {config['num_columns']} independent columns of the limit at t = "
        f"{config['t1']:g} whose norm exceeds t, with {level} intervals of the count (grey), and "
        "the predicted tail of the noise (line). Right: Hill's estimate of the tail index against "
        f"the number k of upper order statistics, with {level} intervals (grey); the point is the "
        f"estimate used, k = {e['k']}: {e['estimate']:.3f} [{e['lower']:.3f}, {e['upper']:.3f}]; "
        f"dotted: α; dashed: 2, above which the variance is finite."
    )


def _setting(record: Mapping[str, Any]) -> str:
    config = record["config"]
    noise = config.get("noise", "?")
    kind = f"{NOISES[noise]} ({noise})" if noise in NOISES else noise
    parts = [f"{config.get('model', '?')}, {kind} noise"]
    names = {
        "alpha": "α", "dim": "dimension", "sigma": "σ", "t1": "T", "widths": "n", "kappas": "κ",
        "num_steps": "steps", "fine_steps": "reference steps", "law_particles": "law particles",
        "init": "θ₀", "key": "key",
    }  # fmt: skip
    for key, name in names.items():
        if key in config:
            parts.append(f"{name} = {_number(config[key])}")
    parts.append(config.get("dtype", "precision unknown"))
    return f"{', '.join(parts)}; stablesde {config.get('version', '?')}."


def _number(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_number(v) for v in value) + ")"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
