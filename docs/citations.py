"""mkdocs hook: citations such as "Hill (1975)" or "Hill 1975" link to docs/references.md.

Docstrings and pages cite in plain words, which read well without the site; the links are made here.
"""

import re
import unicodedata
from pathlib import Path

from mkdocs.utils import get_relative_url

_ENTRY = re.compile(r"^\*\*(.+?) \((\d{4})\)\*\*(?:.+\n)*", re.MULTILINE)
# Tags, and whole elements whose text is left alone.
_TAG = re.compile(r"(<(a|code|pre|h1|h2|h3|h4|script|style)\b.*?</\2>|<[^>]*>)", re.DOTALL)


def entries(text: str) -> list[tuple[str, str, str]]:
    """(authors, year, anchor) of each entry of the page."""
    return [(a, y, anchor(a, y)) for a, y in _ENTRY.findall(text)]


def anchor(authors: str, year: str) -> str:
    """The anchor of an entry: hill-1975."""
    plain = unicodedata.normalize("NFKD", f"{authors} {year}").encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())


def on_page_markdown(markdown, page, **_):
    """Gives every entry of the page its anchor."""
    if page.file.src_uri != "references.md":
        return markdown
    return _ENTRY.sub(lambda m: f"{m[0].rstrip()}\n{{: #{anchor(m[1], m[2])} }}\n", markdown)


def pattern(authors: str, year: str) -> str:
    """A regular expression for a citation, with or without parentheses and over line ends."""
    # Not the end of a longer list of authors.
    return (
        r"(?<!and )(?<!, )\b"
        + re.escape(authors).replace(r"\ ", r"\s+")
        + rf"\s+(?:\({year}\)|\(?{year}\b)"
    )


def on_page_content(content, page, config, **_):
    """Links every citation in running text."""
    if page.file.src_uri == "references.md":
        return content
    here = (Path(config["docs_dir"]) / "references.md").read_text()
    found = {(a, y): place for a, y, place in entries(here)}
    any_of = re.compile("|".join(f"({pattern(a, y)})" for a, y in found))
    target = get_relative_url("references/", page.url)

    def link(match):
        place = list(found.values())[match.lastindex - 1]
        return f'<a href="{target}#{place}">{match[0]}</a>'

    parts, last = [], 0
    for tag in _TAG.finditer(content):
        parts += [any_of.sub(link, content[last : tag.start()]), tag[0]]
        last = tag.end()
    return "".join([*parts, any_of.sub(link, content[last:])])
