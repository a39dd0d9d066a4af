"""Records as text and JSON, and the logic of verdicts that may be open."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_LONGEST = 140  # characters of a verdict in a repr


def three_valued_and(values: Sequence[bool | None]) -> bool | None:
    """False if any is, else None if any is, else True."""
    return False if False in values else (None if None in values else True)


def format_rows(rows: list[list[str]]) -> str:
    """Rows of text as columns, the first row as the head."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def finite_json(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, dict):
        return {str(k): finite_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_json(v) for v in value]
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def verdict_text(study: Any) -> str:
    """The verdict of a study, cut to the length of a repr."""
    verdict = str(study.verdict)
    return verdict if len(verdict) <= _LONGEST else verdict[: _LONGEST - 1].rstrip() + "…"
