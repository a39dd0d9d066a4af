"""The stable density beside scipy.stats: `python -m benchmarks.density_speed [--write FILE]`.

Accuracy is the largest relative error over tests/reference_stable.csv (x from 1e-6 to 1e6); time is
for 2·10^5 Cauchy-distributed points (200 for scipy) at α = 1.5, after compilation.
"""

import argparse
import pathlib
import sys
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from benchmarks._timing import markdown
from stablesde.stable._density import logpdf, pdf, sf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import reference_stable as reference


def errors(function, column, dtype) -> float:  # type: ignore[no-untyped-def]
    """The largest relative error against the reference."""
    worst = 0.0
    for alpha in reference.ALPHAS:
        rows = np.array([r[2:] for r in reference.load() if r[:2] == ("symmetric", alpha)])
        rows = rows[rows[:, column] > 10 * float(jnp.finfo(dtype).tiny)]
        value = np.asarray(function(jnp.asarray(rows[:, 0], dtype), alpha), np.float64)
        worst = max(worst, float(np.max(np.abs(value / rows[:, column] - 1))))
    return worst


def seconds(function, *arguments) -> float:  # type: ignore[no-untyped-def]
    """The least of five calls, after one to compile."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def ours(points: np.ndarray) -> list[list[str]]:
    """Rows of the table in both precisions."""
    rows = []
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            x = jnp.asarray(points, dtype)
            score = jax.grad(lambda x, a: jnp.sum(logpdf(x, a)), (0, 1))
            for name, function, column in (
                ("`pdf`", pdf, 1), ("`sf`", sf, 2), ("score in (x, α)", score, 0),
            ):  # fmt: skip
                each = seconds(jax.jit(function), x, 1.5) / x.size * 1e6
                error = f"{errors(function, column, dtype):.1e}" if column else ""
                rows.append([name, dtype, error, f"{each:.2f}"])
    return rows


def scipys(points: np.ndarray) -> list[list[str]]:
    """The same of scipy, at its default settings."""
    warnings.simplefilter("ignore")
    rows = []
    for name, column in (("pdf", 1), ("sf", 2)):
        function = getattr(stats.levy_stable, name)
        start = time.perf_counter()
        function(points, 1.5, 0.0)
        each = (time.perf_counter() - start) / points.size * 1e6
        error = errors(lambda x, a, f=function: f(np.asarray(x), a, 0.0), column, "float64")
        rows.append([f"`scipy.stats.levy_stable.{name}`", "float64", f"{error:.1e}", f"{each:.0f}"])
    return rows


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=pathlib.Path)
    write = parser.parse_args().write
    points = np.random.default_rng(0).standard_cauchy(200_000)
    head = ["what", "dtype", "largest relative error", "µs per point"]
    text = markdown([head, *ours(points), *scipys(points[:200])]) + "\n"
    print(text)
    if write is not None:
        write.write_text(text)


if __name__ == "__main__":
    main()
