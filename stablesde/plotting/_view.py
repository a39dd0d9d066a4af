"""What a figure of rates needs, read from a record: from memory or from a results.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablesde.studies._statistics import LEVEL

# For records that do not say it.
_RATE_MEASURES = {"strong_error": "sup", "propagation_of_chaos": "mean"}
# Bounds by their names in a record: as they are called, and how they are drawn (matplotlib's style
# of a line, and its name).
BOUNDS = {
    "jump": ("jump bound", "-", "thick grey"),
    "gronwall": ("Grönwall bound", "--", "dashed"),
    "paper": ("paper's bound", "-.", "dash-dotted"),
    "trivial": ("trivial bound 2cT", (0, (1, 3)), "sparsely dotted"),
}


@dataclass(frozen=True)
class RateView:
    """The record of a rate study as arrays.

    - `axes`: names and values, in the order of the grid; `replicas`: how many.
    - `centre`, `low`, `high` (grid): the location `statistic` of `measure`, and its interval.
    - `bounds[label]` (grid), on the expectation of `bounded_measure`.
    - `exponents`, `not_fitted`: by axis, as in the record.
    """

    record: Mapping[str, Any]
    axes: dict[str, np.ndarray]
    measure: str
    bounded_measure: str
    statistic: str
    level: float
    replicas: int
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bounds: dict[str, np.ndarray]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "RateView":
        """From a record; `ValueError` if it is none of a rate study."""
        try:
            exponents, not_fitted = record["exponents"], record["not_fitted"]
            cells = record["cells"]
            names = [k for k in cells[0] if k in exponents or k in not_fitted]
            measures = list(dict.fromkeys(c["measure"] for c in cells))
            usual = _RATE_MEASURES.get(record["name"], measures[0])
            measure = record.get("rate_measure", usual)
            points = [c for c in cells if c["measure"] == measure]
            axes = {n: np.array(list(dict.fromkeys(p[n] for p in points)), float) for n in names}
            grid = tuple(len(v) for v in axes.values())
            statistic = points[0]["interval_of"]
            bounded = [c for c in cells if any(k.endswith("_bound") for k in c)]
            bounds = {
                label: np.array([c[f"{label}_bound"] for c in bounded], float).reshape(grid)
                for label in BOUNDS
                if bounded and f"{label}_bound" in bounded[0]
            }
            return cls(
                record=record,
                axes=axes,
                measure=measure,
                bounded_measure=bounded[0]["measure"] if bounded else measure,
                statistic=statistic,
                level=points[0].get("level", LEVEL),
                replicas=len(points[0]["replicas"]),
                **{
                    name: np.array([p[key] for p in points], float).reshape(grid)
                    for name, key in (("centre", statistic), ("low", "lower"), ("high", "upper"))
                },
                bounds=bounds,
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                "study: this is no record of a rate study that a figure can be drawn from: "
                f"{error!r}."
            ) from None

    @property
    def shown(self) -> list[str]:
        """The axes with at least 4 values; `ValueError` if there is none, or no slope along one."""
        shown = [name for name, values in self.axes.items() if len(values) >= 4]
        if not shown:
            sizes = ", ".join(f"{len(values)} {name}s" for name, values in self.axes.items())
            raise ValueError(
                f"a figure needs an axis with at least 4 sizes, this study has {sizes}: run it "
                "with more of them (study.table() shows what there is)."
            )
        for name in shown:
            if name not in self.record["exponents"]:
                raise ValueError(f"study: no slope: {self.record['not_fitted'].get(name)}")
        return shown

    def is_vacuous(self, label: str) -> bool:
        """Whether a bound is nowhere below the trivial one."""
        trivial = self.bounds.get("trivial")
        return (
            label != "trivial"
            and trivial is not None
            and bool(np.all(self.bounds[label] >= trivial))
        )

    def exponent(self, name: str) -> Mapping[str, Any]:
        """The fitted power along an axis."""
        return self.record["exponents"][name]

    def local_slopes(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slopes between neighbouring sizes, pooled over the other axis, with their intervals."""
        exponent = self.record["exponents"][name]
        local, low, high = (np.array(exponent[f"local{e}"]) for e in ("", "_lower", "_upper"))
        return local, low, high
