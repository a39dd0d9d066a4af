"""The time of `import stablesde` beside that of what it stands on.

`python -m benchmarks.import_time [--write FILE]`: fresh interpreters in turns, medians.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks._timing import markdown

IMPORTS = ("import jax", "import equinox, optax", "import stablesde")


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    times: dict[str, list[float]] = {code: [] for code in IMPORTS}
    for round_ in range(options.repetitions + 1):
        for code, found in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            if round_:  # the first fills the disk's cache
                found.append(time.perf_counter() - start)
    medians = {code: statistics.median(found) for code, found in times.items()}
    base = medians["import equinox, optax"]
    rows = [["", "s", "relative"]]
    rows += [[f"`{code}`", f"{m:.2f}", f"{m / base:.2f}"] for code, m in medians.items()]
    text = markdown(rows)
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
