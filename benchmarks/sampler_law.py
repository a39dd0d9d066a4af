"""Is the float32 sampler right? `python -m benchmarks.sampler_law [--write FILE]`.

Three checks at α = 1.2 and 1.9 (about a minute on two cores): 10⁹ draws hold no non-finite number;
the counts beyond the true 1e-6 and 1e-8 quantiles are Poisson with means 1000 and 10; 4·10⁷ draws
in one call are within sampling noise of the float64 distribution function at 20000 quantiles
(Kolmogorov–Smirnov).
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._timing import markdown

CHUNK, CHUNKS = 50_000_000, 20
KS_DRAWS, KS_POINTS = 40_000_000, 20_000


def tail_counts(alpha: float, quantiles: list[float]) -> tuple[int, list[int], float]:
    """Non-finite numbers, exceedances of the quantiles, and the largest modulus in 10⁹ draws."""

    @jax.jit
    def chunk(key):
        z = jnp.abs(ssd.stable.sample(key, alpha, shape=(CHUNK,), dtype=jnp.float32))
        return jnp.sum(~jnp.isfinite(z)), [jnp.sum(z > q) for q in quantiles], jnp.max(z)

    parts = [chunk(jax.random.fold_in(jax.random.key(1), i)) for i in range(CHUNKS)]
    bad, beyond, largest = zip(*parts, strict=True)
    counts = np.array(beyond, dtype=int).sum(0).tolist()
    return sum(map(int, bad)), counts, max(map(float, largest))


def ks_distance(alpha: float) -> float:
    """√N times the largest gap between empirical and exact distribution at equal quantiles."""
    with jax.enable_x64(True):
        p = np.arange(1, KS_POINTS) / KS_POINTS
        upper = np.asarray(ssd.stable.isf(jnp.asarray(p[p <= 0.5]), alpha))
        exact = np.unique(np.concatenate([-upper, upper]))
        cdf = np.asarray(ssd.stable.cdf(jnp.asarray(exact), alpha))
    z = jax.jit(
        lambda: ssd.stable.sample(jax.random.key(2), alpha, shape=(KS_DRAWS,), dtype=jnp.float32)
    )()
    below = np.searchsorted(np.sort(np.asarray(z)), exact.astype(np.float32)) / KS_DRAWS
    return float(np.sqrt(KS_DRAWS) * np.abs(below - cdf).max())


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    rows = [
        [
            "α",
            "draws",
            "non-finite",
            "beyond the 1e-6 quantile (1000 ± 32)",
            "beyond the 1e-8 quantile (10 ± 3.2)",
            "largest",
            "√N · KS",
        ]
    ]
    for alpha in (1.2, 1.9):
        with jax.enable_x64(True):
            quantiles = [float(ssd.stable.isf(p / 2, alpha)) for p in (1e-6, 1e-8)]
        bad, beyond, largest = tail_counts(alpha, quantiles)
        distance = ks_distance(alpha)
        rows.append(
            [f"{alpha}", f"{CHUNK * CHUNKS:.0e}", str(bad), *map(str, beyond), f"{largest:.3g}",
             f"{distance:.2f}"]
        )  # fmt: skip
    text = (
        "`python -m benchmarks.sampler_law` (float32; √N · KS is below 1.36 in 95 % of runs of a "
        f"perfect sampler, N = {KS_DRAWS:.0e})\n\n{markdown(rows)}\n"
    )
    print(text)
    if write is not None:
        write.write_text(text)


if __name__ == "__main__":
    main()
