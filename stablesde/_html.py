"""Small pieces of HTML. Whatever comes in as text goes out escaped."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """Text that is HTML already, made by this module."""


def text(value: Any) -> Html:
    """`value` as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(escape(str(value), quote=True))


def tag(name: str, *content: Any, **attributes: str) -> Html:
    """An element; an attribute `class_` is `class`."""
    said = "".join(f' {k.rstrip("_")}="{escape(v, quote=True)}"' for k, v in attributes.items())
    return Html(f"<{name}{said}>{''.join(text(c) for c in content)}</{name}>")


def join(parts: Iterable[Any]) -> Html:
    """Parts one below the other."""
    return Html("\n".join(text(p) for p in parts))


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Html:
    """A table that scrolls by itself where it is too wide."""
    body = join(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    top = tag("tr", *(tag("th", cell) for cell in head))
    return tag("div", tag("table", tag("thead", top), tag("tbody", body)), class_="wide")


def pairs(values: Iterable[tuple[Any, Any]]) -> Html:
    """Names and values."""
    rows = (tag("tr", tag("td", k, class_="key"), tag("td", v)) for k, v in values)
    return tag("div", tag("table", join(rows)), class_="wide")


def word(value: bool | None) -> Html:
    """A verdict as a word in its colour; the word alone says it, too."""
    said = "inconclusive" if value is None else "yes" if value else "no"
    kind = "open" if value is None else said
    return tag("span", said, class_=f"word {kind}")


def image(data: bytes, kind: str, alternative: str) -> Html:
    """A picture that is part of the page."""
    code = base64.b64encode(data).decode()
    source = escape(f"data:{kind};base64,{code}", quote=True)
    return Html(f'<img src="{source}" alt="{escape(alternative, quote=True)}">')


def page(title: str, style: str, *content: Any) -> str:
    """A whole document that needs nothing else."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>\n{style}</style>"
    )
    body = f"<body>\n{join(content)}\n</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n{body}</html>\n'
