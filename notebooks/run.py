"""Executes the notebooks; with `--write`, stores their outputs.

`python notebooks/run.py` is what CI does: it fails if a cell fails, and changes nothing.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ExecutePreprocessor


def main() -> int:
    """Runs every notebook beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    for path in sorted(Path(__file__).parent.glob("*.ipynb")):
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        runner = ExecutePreprocessor(timeout=300, kernel_name="python3")
        runner.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
        print(f"{path.name}: {time.perf_counter() - start:.0f} s")
        if write:
            notebook.metadata.pop("widgets", None)
            nbformat.write(notebook, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
