"""The figures of docs/gallery.md: `python docs/gallery.py` runs its blocks (a minute or two)."""

import os
import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
HERE = Path(__file__).parent


def main() -> None:
    """Runs all blocks of the page in the folder of the figures."""
    text = (HERE / "gallery.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    os.chdir(HERE / "figures")
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(block, namespace)


if __name__ == "__main__":
    main()
