"""The time of `import stablesde` beside that of what it stands on.

`python -m benchmarks.import_time [--write FILE]`: fresh interpreters in turns, medians.
"""

import argparse
import functools
import subprocess
import sys
from pathlib import Path

from benchmarks._timing import markdown, side_by_side

IMPORTS = ("import jax", "import equinox, optax", "import stablesde")


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    contestants = {
        code: functools.partial(subprocess.run, [sys.executable, "-c", code], check=True)
        for code in IMPORTS
    }
    medians = side_by_side(contestants, options.repetitions)
    base = medians["import equinox, optax"]
    rows = [["", "s", "relative"]]
    rows += [[f"`{code}`", f"{m:.2f}", f"{m / base:.2f}"] for code, m in medians.items()]
    text = markdown(rows)
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
