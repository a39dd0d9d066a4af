"""Compressibility: of the limit's columns (Theorem 3.1), and of independent stable vectors."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde import theory
from stablesde._arguments import as_number, by_name
from stablesde.compression import compression_error, kept_rows
from stablesde.dynamics import simulate_limit
from stablesde.dynamics._memory import require_memory
from stablesde.dynamics._system import check_stable, stable_part
from stablesde.noise import StableNoise
from stablesde.stable._bits import Keys
from stablesde.stable._sampling import float_dtype
from stablesde.studies._axis import Axis
from stablesde.studies._draws import (
    check_noise,
    end_of,
    finite_columns,
    increment_scale,
    noise_configuration,
    stable_norms,
)
from stablesde.studies._records import RateStudy
from stablesde.studies._setup import (
    STREAM_PREDICTION,
    configuration,
    count,
    key_of,
    lazy_flow,
    replica_errors,
    sizes,
)
from stablesde.system import System
from stablesde.theory._compression import compression_exponent

# Systems of small widths are cut from this many columns, or from one largest system.
_BLOCKS_OF = 2**20


@by_name
def compressibility(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    kappas: Sequence[float],
    num_steps: int,
    t1: float,
    replicas: int = 32,
    batch: int = 4,
    law_particles: int = 2**17,
    predict: int = 0,
    run_dir: str | Path | None = None,
) -> RateStudy:
    """Relative compression error of the limit's columns against the width n (Theorem 3.1).

    The error `‖Θ^(κn) - Θ‖_F / ‖Θ‖_F` keeps the κn columns of largest norm. Each replica draws the
    largest width once and cuts it into disjoint systems of the smaller ones; its error is their
    geometric mean, and so is the location over replicas. Theory: it falls like n^{1/2 - 1/α} for
    every κ, for α ≤ 1 as well. θ₀ and the drift add to ‖Θ‖² a part of order n, which the heavy part
    of order n^{2/α} outgrows slowly near α = 2: see `ssd.theory.compression_law`.

    **Arguments:** `widths`, at least 4; `kappas`, kept fractions in (0, 1); `predict`, the columns
    (1000 or more) from which the error is predicted (`CompressionLaw.geometric_mean`), 0 for none;
    the rest as in `ssd.propagation_of_chaos`.

    **Returns:** a `RateStudy` with axes "width" and "kappa".
    **Raises:** as `ssd.strong_error`, and `ValueError` for κ outside (0, 1), or so large that the
    smallest width keeps all its columns, or for numbers next to the dtype's largest (small α).
    """
    widths, num_steps = sizes("widths", widths), count("num_steps", num_steps)
    law_particles = count("law_particles", law_particles)
    kept = checked_kappas(kappas, min(widths))
    predict = count("predict", predict, 0)
    check_stable(system, "compressibility")
    config = configuration(
        system,
        key,
        widths=widths,
        kappas=kept,
        t1=t1,
        replicas=replicas,
        batch=batch,
        num_steps=num_steps,
        law_particles=law_particles,
    )
    flow = lazy_flow(system, key, t1=t1, num_steps=num_steps, num_particles=law_particles)
    scale = increment_scale(system, t1, num_steps)

    def compute(keys: Keys) -> dict[str, np.ndarray]:
        rows = []
        for one in keys:
            theta = end_of(simulate_limit(flow(), one, num_particles=max(widths)))
            finite_columns(theta, stable_part(system)[0], scale)
            rows.append(_errors_of_blocks(theta, widths, kept))
        return {"relative error": np.asarray(rows)}

    errors = replica_errors("compressibility", config, key, compute, run_dir)
    power = compression_exponent(config["alpha"])
    predicted = {}
    if predict and power < 0:
        one = key_of(key, STREAM_PREDICTION)
        theta = end_of(simulate_limit(flow(), one, num_particles=predict))
        columns = finite_columns(theta, stable_part(system)[0], scale)
        law = functools.partial(
            theory.compression_law, stable_part(system)[0], columns=columns, sigma=config["sigma"],
            t1=config["t1"],
        )  # fmt: skip
        by_kappa = [[law(k).geometric_mean(n) for n in widths] for k in kept]
        predicted = {"relative error": np.asarray(by_kappa).T[None]}
    return RateStudy(
        name="compressibility",
        config=config,
        axes=(
            # Half the exponent at most, so that no slope near 0 attains a small one.
            Axis("width", tuple(map(float, widths)), power, tolerance=min(0.05, abs(power) / 2)),
            Axis("kappa", kept),
        ),
        errors=errors,
        rate_measure="relative error",
        rate_statistic="geometric",
        rate_axis="width",
        bounded_measure="relative error",
        claims_rate=True,
        claim="‖Θ^(κn) - Θ‖_F / ‖Θ‖_F → 0  (Theorem 3.1; rate n^(1/2 - 1/α))",
        predicted=predicted,
    )


def checked_kappas(kappas: Sequence[float], width: int) -> tuple[float, ...]:
    """The kept fractions; `ValueError` unless each keeps and leaves out a row of each width."""
    try:
        kept = tuple(as_number("kappas", k) for k in kappas)
    except (TypeError, ValueError):
        raise ValueError(f"kappas must be a sequence of numbers, got {kappas!r}.") from None
    if not kept or not all(0 < k < 1 for k in kept):
        raise ValueError(f"kappas must lie in (0, 1), got {kept!r}.")
    if len(set(kept)) < len(kept):
        raise ValueError(f"kappas must differ, got {kept!r}.")
    for kappa in kept:
        if kept_rows(width, kappa) == 0:
            raise ValueError(
                f"kappas: {kappa:g} keeps none of the {width} columns of the smallest width: take "
                "a larger kappa or larger widths."
            )
        if kept_rows(width, kappa) >= width:
            raise ValueError(
                f"kappas: {kappa:g} keeps all {width} columns of the smallest width, so the error "
                "is 0: take a smaller kappa or larger widths."
            )
    return kept


@functools.partial(jax.jit, static_argnums=(1, 2))
def _errors_of_blocks(
    theta: Array, widths: tuple[int, ...], kappas: tuple[float, ...]
) -> Float[Array, "widths kappas"]:
    """Geometric mean over disjoint blocks of a width's columns of the error, for each κ."""

    def of_width(width: int) -> Array:
        count = theta.shape[0] // width
        blocks = theta[: count * width].reshape(count, width, theta.shape[1])
        # The κ are not traced, so that the rows they keep are counted exactly.
        each = [functools.partial(compression_error, kappa=k) for k in kappas]
        errors = jnp.stack([jax.vmap(error)(blocks) for error in each])
        return jnp.exp(jnp.mean(jnp.log(errors), 1))

    return jnp.stack([of_width(width) for width in widths])


@by_name
def iid_compressibility(
    noise: StableNoise,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    kappas: Sequence[float],
    p: float = 2.0,
    replicas: int = 32,
    batch: int = 1,
    dtype: jnp.dtype | None = None,
    run_dir: str | Path | None = None,
) -> RateStudy:
    """Relative ℓ_p compression error of n independent stable columns against n.

    `(Σ_{dropped} ‖X_i‖^p / Σ_i ‖X_i‖^p)^{1/p}`, the κn columns of largest norm kept: the i.i.d.
    compressibility of Gribonval, Cevher and Davies (2012). For p > α it falls like n^{1/p - 1/α};
    for p < α, where E‖X‖^p is finite, it does not vanish (slope 0, and no bound is claimed); at
    p = α it falls like a power of log n and no exponent is given. Approaches its exponent with
    corrections of order 1/n at p = 2 (`ssd.theory.CompressionLaw.geometric_mean`), and like
    n^{-(p/α - 1)} in general: slow for p next to α.

    Each replica draws the largest width, 2²⁰ vectors at a time; memory is 16 bytes a column (10⁷
    take 160 MB). Its first 2²⁰ columns (at least one system) are cut into disjoint systems of the
    smaller widths, whose errors are averaged geometrically. Thresholds are exact.

    **Arguments:** `noise`; `key`; `widths`, at least 4 for a slope; `kappas` in (0, 1); `p` > 0;
    `replicas`, `batch` of which are one cell of `run_dir`; `dtype` of the draws.

    **Returns:** a `RateStudy` with axes "width" and "kappa".
    **Raises:** `ValueError` for settings out of range, κ that keeps all columns of the smallest
    width, a `run_dir` of other settings, or draws next to the dtype's largest number (small α);
    `MemoryError` for `widths` that do not fit, `OSError` where `run_dir` cannot be written.
    """
    widths = sizes("widths", widths)
    kept = checked_kappas(kappas, min(widths))
    p, alpha = as_number("p", p, 0, ends="(]"), check_noise(noise)
    require_memory(16.0 * max(widths), f"widths up to {max(widths)}", "Take smaller widths.")
    power = compression_exponent(alpha, p)
    config = noise_configuration(
        noise, key, dtype, widths=widths, kappas=kept, p=p, replicas=replicas, batch=batch
    )

    def compute(keys: Keys) -> dict[str, np.ndarray]:
        rows = []
        for one in keys:
            norms = stable_norms(noise, one, max(widths), float_dtype(dtype))
            rows.append([[_block_error(norms, n, k, p) for k in kept] for n in widths])
        return {"relative error": np.asarray(rows)}

    errors = replica_errors("iid-compressibility", config, key, compute, run_dir)
    claimed = p > alpha
    tolerance = min(0.05, abs(power) / 2) if claimed else 0.02
    exponent = None if p == alpha else power
    return RateStudy(
        name="iid-compressibility",
        config=config,
        axes=(
            Axis("width", tuple(map(float, widths)), exponent, tolerance=tolerance),
            Axis("kappa", kept),
        ),
        errors=errors,
        rate_measure="relative error",
        rate_statistic="geometric",
        rate_axis="width",
        bounded_measure="relative error",
        claims_rate=claimed,
        claim=f"relative ℓ_{p:g} error {'→ 0 like n^(1/p - 1/α)' if claimed else 'does not vanish'}"
        "  (Gribonval, Cevher and Davies 2012)",
    )


def _block_error(norms: np.ndarray, width: int, kappa: float, p: float) -> float:
    """Geometric mean over disjoint systems of the relative ℓ_p error."""
    count = max(min(len(norms), _BLOCKS_OF) // width, 1)
    blocks = norms[: count * width].reshape(count, width)
    dropped = width - kept_rows(width, kappa)
    ordered = np.partition(blocks, dropped, axis=1)
    # In units of each sum's own largest term.
    largest, threshold = blocks.max(1), ordered[:, dropped]
    small = np.sum((ordered[:, :dropped] / threshold[:, None]) ** p, axis=1)
    whole = np.sum((blocks / largest[:, None]) ** p, axis=1)
    logs = np.log(threshold / largest) + np.log(small / whole) / p
    return float(np.exp(logs.mean()))
