"""The caption of a figure, in words, from the record alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stablesde.plotting._rates import FAR_ABOVE, STATISTICS, SYMBOLS
from stablesde.plotting._style import BOUNDS, NOISES, TITLES, model_text
from stablesde.studies import RateStudy, TailStudy
from stablesde.studies._statistics import LEVEL

_MEASURES = {
    "sup": "error (sup over particles and time)",
    "mean": "error (sup over time, mean over particles)",
}


def caption(study: RateStudy | TailStudy) -> str:
    """The caption of the figure of a study: plain text for a paper or a report.

    What is shown, the model, the noise, sizes, replicas, precision and key, what bars and lines
    are, and the verdict.

    **Returns:** a string. **Raises:** `TypeError` for another record.
    """
    if not isinstance(study, (RateStudy, TailStudy)):
        raise TypeError(f"study must be a RateStudy or TailStudy, got {type(study).__name__}.")
    what = _tail(study) if isinstance(study, TailStudy) else _rates(study)
    title = TITLES.get(study.name, study.name)
    return f"{title}. {what} {_setting(study.config)} Verdict: {study.verdict}."


def _rates(study: RateStudy) -> str:
    statistic = STATISTICS.get(study.rate_statistic, study.rate_statistic)
    measure = _MEASURES.get(study.rate_measure, study.rate_measure)
    fitted = [a.name for a in study.axes if study.fitted(a.name)[0] is not None]
    shown = fitted or [a.name for a in study.axes]
    against = " and ".join(f"{n} {SYMBOLS.get(n, '')}".strip() for n in shown)
    bent = any(not study.slope(name).straight for name in fitted)
    told = [
        f"Above: {statistic} over {len(study.errors[study.rate_measure])} replicas of the "
        f"{measure} against {against}; bars are {100 * study.level:g} % intervals of a bootstrap "
        f"over replicas ({study.interval}).",
        "Solid lines: the fitted power, one slope for all lines of a panel, along "
        + "; along ".join(_fit(study, name) for name in fitted)
        + "; dotted: a guide with theory's power.",
        _bounds(study),
        "Below: slopes between neighbouring sizes with their intervals, the fitted power with its "
        "interval (solid, grey) and theory's exponent (dotted)"
        + (
            "; dashed arrow, where the line is bent: the slope of a quadratic fit, to the limit."
            if bent
            else "."
        ),
    ]
    return " ".join(t for t in told if t)


def _fit(study: RateStudy, name: str) -> str:
    theory = study.axis(name).theory
    return f"{name} {study.slope(name)}" + ("" if theory is None else f", theory {theory:+.3f}")


def _bounds(study: RateStudy) -> str:
    centre, told = study.location_interval()[0], []
    for label, (word, _, dashes) in BOUNDS.items():
        if label not in study.bounds or not np.all(np.isfinite(study.bounds[label])):
            continue
        factor = (study.bounds[label] / centre).min()
        vacuous = label in study.vacuous and np.all(study.vacuous[label])
        name = f"the {word}" + (" (vacuous: above 2cT)" if vacuous else "")
        told.append(
            f"{dashes}: {name}"
            if factor <= FAR_ABOVE
            else f"{name} is at least {float(f'{factor:.2g}'):,.0f} times above and not drawn"
        )
    if study.predicted:
        told.append("red, dashed: the predicted errors, without a fit, and their Monte-Carlo band")
    if not told:
        return ""
    of = _MEASURES.get(study.bounded_measure, study.bounded_measure)
    same = study.bounded_measure == study.rate_measure
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}{'' if same else f' (bounds of the larger {of})'}."


def _tail(study: TailStudy) -> str:
    level = f"{100 * LEVEL:g} %"
    return (
        f"Left: the share of {study.num_columns} independent columns of the limit at t = "
        f"{study.config['t1']:g} whose norm exceeds t, with {level} intervals of the count (grey), "
        "and the predicted tail of the noise (line). Right: Hill's estimate of the tail index "
        f"against the number k of upper order statistics, with {level} intervals (grey); the point "
        f"is the estimate used, k = {study.k}: {study.estimate:.3f} [{study.lower:.3f}, "
        f"{study.upper:.3f}]; dotted: α; dashed: 2, above which the variance is finite."
    )


def _setting(config: Mapping[str, Any]) -> str:
    noise = config.get("noise", "?")
    kind = f"{NOISES[noise]} ({noise})" if noise in NOISES else noise
    parts = [f"{model_text(config)}, {kind} noise"]
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
