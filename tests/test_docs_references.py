"""docs/references.md lists what the code and the docs cite, all of it and nothing else."""

import re
from pathlib import Path

import pytest
from helpers import DOCS, docs_hook

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not in the source distribution")
# Names before a year: "Hill (1975)", "Hill 1975", "Samorodnitsky and Taqqu (1994)".
NAME = r"[A-ZŞ][A-Za-zéüŞşöč-]+"
CITATION = re.compile(rf"({NAME}(?:, {NAME})*(?: and {NAME})?) \(?((?:18|19|20)\d\d)\b")
NOT_CITATIONS = {"April"}


@pytest.fixture(scope="module")
def hook():
    return docs_hook("citations")


def texts():
    files = [ROOT / "README.md", *ROOT.glob("stablesde/**/*.py"), *ROOT.glob("docs/*.md")]
    files += [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("benchmarks/*.py")]
    for path in files:
        if path.name != "references.md":
            yield path, re.sub(r"\s+", " ", path.read_text())


def test_every_citation_has_an_entry(hook):
    listed = {(a, y) for a, y, _ in hook.entries((DOCS / "references.md").read_text())}
    assert len(listed) > 30
    missing = {
        (path.name, authors, year)
        for path, text in texts()
        for authors, year in CITATION.findall(text)
        if authors not in NOT_CITATIONS and (authors, year) not in listed
    }
    assert not missing


def test_every_entry_is_cited(hook):
    everything = " ".join(text for _, text in texts())
    for authors, year, _ in hook.entries((DOCS / "references.md").read_text()):
        first = authors.split(",")[0].split(" and ")[0]
        assert first in everything, authors
        assert year in everything, authors


def test_links(hook):
    class Page:
        class file:
            src_uri = "a.md"

        url = "api/stable/"

    config = {"docs_dir": str(DOCS)}
    html = "<p>Source: Hill (1975), <code>Hall (1982)</code>; Samorodnitsky and\nTaqqu 1994.</p>"
    linked = hook.on_page_content(html, Page, config)
    assert '<a href="../../references/#hill-1975">Hill (1975)</a>,' in linked
    assert "<code>Hall (1982)</code>" in linked
    assert '#samorodnitsky-and-taqqu-1994">Samorodnitsky and\nTaqqu 1994</a>' in linked
