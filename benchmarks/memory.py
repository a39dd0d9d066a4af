"""Peak memory and time of 10⁷ particles: `python -m benchmarks.memory [--write FILE]`.

Each size runs in a process of its own, so that the peak is its own; p = 2, M = 16, 20 steps,
float32.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import jax

from benchmarks._timing import markdown
from benchmarks.engine import run

STEPS = 20


def measure(n: int) -> dict[str, float]:
    """Peak resident memory of this process, and the median time of five runs."""
    go = run(n, STEPS, kind="II")
    jax.block_until_ready(go())
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(go())
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"gigabytes": peak, "ns": sorted(seconds)[2] / n / STEPS * 1e9}


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--size", type=int, help="measure one size, and print it as JSON")
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measure(arguments.size)))
        return
    rows = [["particles", "peak memory, GB", "ns per particle-step"]]
    for n in (100_000, 1_000_000, 10_000_000):
        command = [sys.executable, "-m", "benchmarks.memory", "--size", str(n)]
        got = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        rows.append([f"{n:,}".replace(",", " "), f"{got['gigabytes']:.2f}", f"{got['ns']:.1f}"])
    text = markdown(rows) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
