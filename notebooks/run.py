"""Executes the notebooks; with `--write`, stores their outputs.

`python notebooks/run.py` is what CI does: it fails if a cell fails, prints the time of each
notebook, and changes nothing. `python notebooks/run.py 1_stable_noise.ipynb` runs one alone.
"""

import argparse
import base64
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ExecutePreprocessor

from stablesde._compilation import cache_settings
from stablesde.plotting._style import few_colours

HERE = Path(__file__).parent


def small(png: str) -> str:
    """The same picture in at most 128 colours: a third of the bytes."""
    return base64.b64encode(few_colours(base64.b64decode(png), 128)).decode()


def joined(outputs: list) -> list:
    """Neighbouring pieces of one stream as one."""
    whole: list = []
    for output in outputs:
        last = whole[-1] if whole else {}
        if output.output_type == "stream" and output.name == last.get("name"):
            last["text"] += output.text
        else:
            whole.append(output)
    return whole


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar, which says nothing once it is full."""
    bar = False
    if output.output_type == "stream" and output.name == "stderr":
        # Pieces of bars, such as the line feeds between two, come alone, too.
        bar = not output.text.strip() or re.search(r"%\|.*\|", output.text) is not None
    return bar or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Keeps what is read: no times of execution, no widgets, small pictures, no Figure(…) text."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        # What is printed arrives in pieces that depend on the clock.
        cell.outputs = joined([o for o in cell.outputs if not is_progress(o)])
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = small(data["image/png"])
                data["text/plain"] = "a figure"


def main() -> int:
    """Runs the notebooks that are named, or all beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks, by file name; all if none")
    parser.add_argument("--write", action="store_true", help="store the outputs")
    arguments = parser.parse_args()
    paths = [HERE / Path(name).name for name in arguments.names] or sorted(HERE.glob("*.ipynb"))
    os.environ.update(cache_settings())  # for the kernels
    total = time.perf_counter()
    for path in paths:
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        runner = ExecutePreprocessor(timeout=600, kernel_name="python3")
        runner.preprocess(notebook, {"metadata": {"path": str(path.parent)}})
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
        if arguments.write:
            tidy(notebook)
            nbformat.write(notebook, path)
    print(f"{len(paths)} notebooks: {time.perf_counter() - total:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
