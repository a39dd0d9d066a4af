"""Accuracy and time per point of the stable density, beside scipy.stats.levy_stable.

    python benchmarks/density_speed.py

Accuracy is the largest relative error over tests/reference_stable.csv (x from 1e-6 to 1e6); time is
for 2·10^5 Cauchy-distributed points (200 for scipy) at α = 1.5, after compilation.
"""

import pathlib
import sys
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from stablesde.stable._density import logpdf, pdf, sf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import reference_stable as reference


def errors(function, column, dtype) -> float:  # type: ignore[no-untyped-def]
    worst = 0.0
    for alpha in reference.ALPHAS:
        rows = np.array([r[2:] for r in reference.load() if r[:2] == ("symmetric", alpha)])
        rows = rows[rows[:, column] > 10 * float(jnp.finfo(dtype).tiny)]
        value = np.asarray(function(jnp.asarray(rows[:, 0], dtype), alpha), np.float64)
        worst = max(worst, float(np.max(np.abs(value / rows[:, column] - 1))))
    return worst


def seconds(function, *arguments) -> float:  # type: ignore[no-untyped-def]
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    points = np.random.default_rng(0).standard_cauchy(200_000)
    print("| what | dtype | largest relative error | µs per point |")
    print("|---|---|---|---|")
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            x = jnp.asarray(points, dtype)
            score = jax.grad(lambda x, a: jnp.sum(logpdf(x, a)), (0, 1))
            for name, function, column in (("pdf", pdf, 1), ("sf", sf, 2), ("score", score, 0)):
                time_each = seconds(jax.jit(function), x, 1.5) / x.size * 1e6
                error = f"{errors(function, column, dtype):.1e}" if column else ""
                print(f"| {name} | {dtype} | {error} | {time_each:.2f} |", flush=True)
    warnings.simplefilter("ignore")
    for name, function, column in (
        ("pdf", stats.levy_stable.pdf, 1),
        ("sf", stats.levy_stable.sf, 2),
    ):
        x = points[:200]
        start = time.perf_counter()
        function(x, 1.5, 0.0)
        time_each = (time.perf_counter() - start) / x.size * 1e6
        error = errors(lambda x, a, f=function: f(np.asarray(x), a, 0.0), column, "float64")
        print(f"| scipy levy_stable.{name} | float64 | {error:.1e} | {time_each:.0f} |", flush=True)


if __name__ == "__main__":
    main()
