"""A new user's walk: the first block of "Getting started", from an import to a plot of a rate."""

import re
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

PAGE = Path(__file__).parents[1] / "docs" / "getting-started.md"
MOST_LINES = 15
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not in the source distribution")


@pytest.fixture(scope="module")
def block():
    section = PAGE.read_text().split("## A first plot")[1].split("\n## ")[0]
    return re.search(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[1]


def test_the_walk_is_short(block):
    lines = [line for line in block.splitlines() if line.strip()]
    assert 5 <= len(lines) <= MOST_LINES
    assert "def drift" in block  # the user's own


def test_the_walk_ends_in_a_plot_and_a_verdict(block, tmp_path, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(block, "docs/getting-started.md, a first plot", "exec"), names)
    with Image.open(tmp_path / "rate.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    study = names["study"]
    record = study.to_dict()
    assert set(record["exponents"]["width"]) >= {"estimate", "lower", "upper", "theory", "attained"}
    # 1024 replicas decide: the interval lies inside theory's exponent ± its tolerance.
    assert record["exponent_attained"] is True
    assert record["verdict"] in capsys.readouterr().out
