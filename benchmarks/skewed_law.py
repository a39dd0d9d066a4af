"""The stable law for every β: accuracy, speed and scipy's known cases.

`python -m benchmarks.skewed_law [--write FOLDER]`. Accuracy is the largest relative error over
tests/reference_skewed.csv (S0 and S1, β = 0.3, 0.6, 1, x from -1e6 to 1e6): of the density (of the
log-density where the density underflows) and of the smaller tail. Time is for 10^5
Cauchy-distributed points (200 for scipy) at α = 1.5, after compilation, all in one run.
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
from benchmarks.density_speed import seconds
from stablesde.stable import cdf, logpdf, pdf, sf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
import reference_skewed as reference

# (number of the issue or pull request in scipy/scipy, function, parametrization, α, β, x)
CASES = (
    ("12658", "pdf", "S1", 1.025, 0.0, -0.015),
    ("12658", "pdf", "S1", 1.01, 0.0, -20.0),
    ("17194", "sf", "S0", 0.93, 1.0, 1e4),
    ("17194", "sf", "S0", 0.93, 1.0, 1e6),
    ("20636", "logpdf", "S0", 1.6, 1.0, -15.0),
    ("24314", "logpdf", "S1", 1.6, 1.0, -50.0),
    ("24716", "logpdf", "S1", 1.01, -1.0, 60.0),
    ("24716", "logpdf", "S1", 0.99, 1.0, 62.0),
)
OURS = {"pdf": pdf, "logpdf": logpdf, "cdf": cdf, "sf": sf}


def accuracy() -> list[list[str]]:
    """A row for each α: errors of density and of the smaller tail, in float64 and float32."""
    rows = [r for r in reference.load()]
    worst: dict[tuple[float, str, str], float] = {}
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            for name in ("S0", "S1"):
                part = np.array([r[1:] for r in rows if r[0] == name])
                law = [jnp.asarray(v, dtype) for v in part.T[[2, 0, 1]]]
                alpha, log_f, below, above = part.T[[0, 3, 4, 5]]
                if dtype == "float32":  # at the rounded arguments
                    with jax.enable_x64(True):
                        wide = [np.asarray(v, np.float64) for v in law]
                        log_f, below, above = (
                            np.asarray(f(*wide, parametrization=name)) for f in (logpdf, cdf, sf)
                        )
                limits = jnp.finfo(dtype)
                value = np.asarray(logpdf(*law, parametrization=name), np.float64)
                unit = np.where(log_f < np.log(float(limits.tiny)), -log_f, 1)
                held = np.isfinite(log_f) & (-log_f < 0.9 * float(limits.max))
                in_density = np.abs(value - np.where(held, log_f, 0)) / np.where(held, unit, 1)
                tails = [np.asarray(f(*law, parametrization=name), np.float64) for f in (cdf, sf)]
                exact = np.minimum(below, above)
                normal = exact > 10 * float(limits.tiny)
                found = np.where(below < above, *tails)
                in_tail = np.abs(found / np.where(normal, exact, 1) - 1)
                for a in reference.ALPHAS:
                    for what, error, keep in (
                        ("density", in_density, held), ("tail", in_tail, normal),
                    ):  # fmt: skip
                        key = (a, what, dtype)
                        most = float(np.max(error, initial=0, where=(alpha == a) & keep))
                        worst[key] = max(worst.get(key, 0.0), most)
    head = ["α", "density, float64", "tail, float64", "density, float32", "tail, float32"]
    order = [(w, d) for d in ("float64", "float32") for w in ("density", "tail")]
    return [head] + [
        [f"{a:g}", *(f"{worst[a, w, d]:.1e}" for w, d in order)] for a in reference.ALPHAS
    ]


def speed() -> list[list[str]]:
    """µs per point of the density and of the survival function."""
    points = np.random.default_rng(0).standard_cauchy(100_000)
    rows = [["what", "β", "`pdf`, µs per point", "`sf`, µs per point"]]
    with jax.enable_x64(True):
        x = jnp.asarray(points)
        for beta in (0.0, 0.5):
            times = [seconds(f, x, 1.5, beta) / x.size * 1e6 for f in (pdf, sf)]
            rows.append(["`stablesde`", f"{beta:g}", *(f"{t:.2f}" for t in times)])
    times = []
    for name in ("pdf", "sf"):
        start = time.perf_counter()
        getattr(stats.levy_stable, name)(points[:200], 1.5, 0.5)
        times.append((time.perf_counter() - start) / 200 * 1e6)
    rows.append(["`scipy.stats.levy_stable`", "0.5", *(f"{t:.0f}" for t in times)])
    return rows


def cases() -> list[list[str]]:
    """scipy's reported cases: the truth, ours and scipy's own value today."""
    rows = [["scipy", "what", "truth", "`stablesde`", "`scipy`"]]
    for number, what, name, alpha, beta, x in CASES:
        if beta == 0:
            import reference_stable

            density, survival = reference_stable.symmetric(abs(x), alpha)
            log_f, above = np.log(float(density)), float(survival)
        else:
            log_f, _, above = (float(v) for v in reference.skewed(x, alpha, beta, name))
        truth = {"pdf": np.exp(log_f), "logpdf": log_f, "sf": above}[what]
        with jax.enable_x64(True):
            ours = float(OURS[what](x, alpha, beta, parametrization=name))
        stats.levy_stable.parameterization = name
        theirs = float(getattr(stats.levy_stable, what)(x, alpha, beta))
        stats.levy_stable.parameterization = "S1"
        call = f"`{what}({x:g}, {alpha:g}, {beta:g})`, {name}"
        rows.append([number, call, *(f"{v:.12g}" for v in (truth, ours, theirs))])
    return rows


def main() -> None:
    """Prints the tables, and writes them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=pathlib.Path, help="the folder docs/snippets")
    folder = parser.parse_args().write
    warnings.simplefilter("ignore")
    for name, table in (("accuracy", accuracy), ("speed", speed), ("scipy", cases)):
        text = markdown(table()) + "\n"
        print(text)
        if folder is not None:
            (folder / f"stable-skewed-{name}.md").write_text(text)


if __name__ == "__main__":
    main()
