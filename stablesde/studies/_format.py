"""Records as text and JSON, and the logic of verdicts that may be open."""

from collections.abc import Sequence
from typing import Any

_LONGEST = 140  # characters of a verdict in a repr


def three_valued_and(values: Sequence[bool | None]) -> bool | None:
    """False if any is, else None if any is, else True."""
    return False if False in values else (None if None in values else True)


def format_rows(rows: list[list[str]]) -> str:
    """Rows of text as columns, the first row as the head."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def verdict_text(study: Any) -> str:
    """The verdict of a study, cut to the length of a repr."""
    verdict = str(study.verdict)
    return verdict if len(verdict) <= _LONGEST else verdict[: _LONGEST - 1].rstrip() + "…"
