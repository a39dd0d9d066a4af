"""The design of a rate study: sizes, replicas and accuracies from the accuracy asked of a slope."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from stablesde._arguments import as_number
from stablesde.stable._bits import check_key
from stablesde.studies._format import format_rows
from stablesde.studies._rates import propagation_of_chaos, strong_error
from stablesde.studies._records import RateStudy
from stablesde.studies._setup import count, sizes
from stablesde.studies._slopes import MIN_SIZES
from stablesde.system import System

PILOT_REPLICAS = 32
# The part of the accuracy that each systematic source may take.
_SYSTEMATIC_SHARE = 0.25
# The pilot's interval is itself uncertain: that of 32 replicas by about an eighth.
_MARGIN = 1.3
_MOST_HALVINGS = 16
_STREAM_PILOT = 977

_Study = Callable[..., RateStudy]
_DEFAULTS: dict[_Study, dict[str, Any]] = {
    propagation_of_chaos: {"widths": (16, 32, 64, 128, 256, 512, 1024, 2048), "num_steps": 32},
    strong_error: {
        "widths": (10, 32, 100, 316),
        "num_steps": (4, 8, 16, 32, 64, 128),
        "fine_steps": 2048,
    },
}


@dataclass(frozen=True)
class StudyDesign:
    """What to run for a slope of the accuracy asked for; `run` does it.

    - `settings`: the arguments of the study. `accuracy`: asked of the headline slope, as the
      half-width of its 95 % interval and as the sum of systematic shifts.
    - `half_width`: expected of the interval. `shifts`: expected of each systematic source.
    - `seconds`: of the study on this machine, from the pilot's replicas. `pilot`: its record.
    - `notes`: what the pilot changed, and what cannot be reached.
    """

    study: _Study
    system: System
    key: PRNGKeyArray
    settings: dict[str, Any]
    accuracy: float
    half_width: float
    shifts: dict[str, float]
    seconds: float
    pilot: RateStudy
    notes: tuple[str, ...] = ()

    def run(self, run_dir: str | Path | None = None) -> RateStudy:
        """The study as designed. Raises as the study does."""
        return self.study(self.system, self.key, run_dir=run_dir, **self.settings)

    def table(self) -> str:
        """The settings and the error budget as text."""
        rows = [["setting", "value"]]
        rows += [[name, str(value)] for name, value in self.settings.items()]
        rows += [["expected half-width (95 %)", f"{self.half_width:.4f}"]]
        rows += [[f"expected shift, {name}", f"{s:+.4f}"] for name, s in self.shifts.items()]
        rows += [["expected time", f"{self.seconds:.0f} s"]]
        return "\n".join([format_rows(rows), *self.notes])

    def __repr__(self) -> str:
        return (
            f"StudyDesign({self.pilot.name}: {self.settings['replicas']} replicas for a half-width "
            f"of {self.half_width:.3f}, about {self.seconds:.0f} s)"
        )


def design(
    study: _Study,
    system: System,
    key: PRNGKeyArray,
    *,
    t1: float,
    accuracy: float = 0.02,
    pilot_replicas: int = PILOT_REPLICAS,
    **settings: Any,
) -> StudyDesign:
    """Chooses the settings of `ssd.strong_error` or `ssd.propagation_of_chaos` for an accuracy.

    A pilot study with keys of its own is run (twice, the second time for its speed). If its line is
    bent, the smallest widths (the largest steps) are left out until it is straight, as long as five
    sizes remain. The number of replicas then follows from the pilot's interval, which shrinks like
    `replicas^-1/2`; the law flow and the reference step are refined until correcting for either
    would move the slope by at most a quarter of the accuracy.

    **Arguments:** `study`; system, key and `t1` as there; `accuracy` of the headline slope;
    any argument of the study in `settings`, which is then kept (except the sizes that are left out,
    and `replicas`, which is what is designed).

    **Returns:** a `StudyDesign`: look at `table()`, then `run(run_dir)`.
    **Raises:** `ValueError` for another study, an `accuracy` outside (0, 1), or as the study.
    """
    if not any(study is known for known in _DEFAULTS):
        raise ValueError("study must be ssd.strong_error or ssd.propagation_of_chaos.")
    accuracy = as_number("accuracy", accuracy, 0, 1, "()")
    if "replicas" in settings or "run_dir" in settings:
        raise ValueError("replicas are what is designed, and run_dir is for StudyDesign.run.")
    pilot_replicas = count("pilot_replicas", pilot_replicas, 16)
    chosen = _DEFAULTS[study] | settings | {"t1": t1}
    name = "num_steps" if study is strong_error else "widths"
    if len(sizes(name, chosen[name])) < MIN_SIZES:
        raise ValueError(f"{name} must be at least {MIN_SIZES} for a slope, got {chosen[name]!r}.")
    check_key(key)
    pilot_key = jax.random.fold_in(key, _STREAM_PILOT)

    def run(now: dict[str, Any]) -> RateStudy:
        return study(system, pilot_key, replicas=pilot_replicas, **now)

    pilot = run(chosen)
    start = time.perf_counter()
    run(chosen)
    each = (time.perf_counter() - start) / pilot_replicas
    pilot, chosen, notes = _straightened(pilot, chosen)
    chosen, pilot, dearer = _refined(pilot, chosen, accuracy)
    slope = pilot.slope()
    replicas = max(64, math.ceil(_MARGIN * pilot_replicas * (slope.half_width / accuracy) ** 2))
    shifts = pilot.budget()
    shifts.pop("Monte Carlo")
    notes += tuple(
        f"{name}: may move the slope by {shift:+.3f}, more than a quarter of the accuracy"
        + (": give the system dtype=jnp.float64." if name == "rounding" else ".")
        for name, shift in shifts.items()
        if abs(shift) > _SYSTEMATIC_SHARE * accuracy
    )
    return StudyDesign(
        study,
        system,
        key,
        chosen | {"replicas": replicas},
        accuracy,
        slope.half_width * math.sqrt(pilot_replicas / replicas),
        shifts,
        each * replicas * dearer,
        pilot,
        notes,
    )


def _straightened(
    pilot: RateStudy, settings: dict[str, Any]
) -> tuple[RateStudy, dict[str, Any], tuple[str, ...]]:
    """The pilot without its smallest widths, or largest steps, if the line bends there."""
    axis = pilot.axis(pilot.rate_axis)
    name = "widths" if axis.name == "width" else "num_steps"
    position = pilot.axes.index(axis)
    left_out = []
    while not pilot.slope().straight and len(settings[name]) > MIN_SIZES + 1:
        left_out.append(settings[name][0])
        settings = settings | {name: tuple(settings[name][1:])}
        axes = list(pilot.axes)
        axes[position] = dataclasses.replace(axes[position], values=axes[position].values[1:])
        keep = (slice(None),) * (position + 1) + (slice(1, None),)
        pilot = dataclasses.replace(
            pilot,
            axes=tuple(axes),
            errors={measure: e[keep] for measure, e in pilot.errors.items()},
            bounds={label: b[keep[1:]] for label, b in pilot.bounds.items()},
            sources=tuple(dataclasses.replace(s, factor=s.factor[keep[1:]]) for s in pilot.sources),
        )
    if not left_out:
        return pilot, settings, ()
    return pilot, settings, (f"{name} {left_out} left out: the line bends there.",)


def _refined(
    pilot: RateStudy, settings: dict[str, Any], accuracy: float
) -> tuple[dict[str, Any], RateStudy, float]:
    """Law flow and reference fine enough, the sources of the pilot rescaled, and the cost's factor.

    The law flow's share falls like 1/N, that of a reference of order s like fine_steps^-s.
    """
    dearer = 1.0
    for source, name in (("law flow", "law_particles"), ("reference step", "fine_steps")):
        shift = abs(pilot.budget().get(source, 0.0))
        order = 1.0 if source == "law flow" else max(0.25, pilot.slope().estimate)
        need = math.log2(max(1.0, shift / (_SYSTEMATIC_SHARE * accuracy))) / order
        halvings = min(math.ceil(need), _MOST_HALVINGS)
        if not halvings:
            continue
        now = settings.get(name) or pilot.config[name]
        settings = settings | {name: now * 2**halvings}
        shrink = 2.0 ** (-order * halvings)
        pilot = dataclasses.replace(
            pilot,
            sources=tuple(
                dataclasses.replace(
                    s, factor=1 + shrink * (s.factor - 1), relative=shrink * s.relative
                )
                if s.name == source
                else s
                for s in pilot.sources
            ),
        )
        dearer *= 2**halvings if source == "reference step" else 1
    return settings, pilot, dearer
