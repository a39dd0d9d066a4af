"""The example of the README and the landing page: `python docs/hero.py` draws its figure."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Runs the first Python block of the README, in the folder of the figures."""
    text = (HERE.parent / "README.md").read_text()
    block = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0]
    exec(block.replace('"chaos.png"', repr(str(HERE / "figures" / "hero.png"))), {})


if __name__ == "__main__":
    main()
