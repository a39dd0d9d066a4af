"""The two coupling studies: strong error (Theorem 4.1) and propagation of chaos (Theorem 4.2)."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, PRNGKeyArray

from stablesde import theory
from stablesde._arguments import by_name
from stablesde.dynamics import coupled_limit, coupled_steps
from stablesde.dynamics._grid import check_divisors
from stablesde.dynamics._system import stable_part
from stablesde.model import AssumptionConstants
from stablesde.noise import StableNoise
from stablesde.stable._bits import Keys
from stablesde.studies._axis import Axis
from stablesde.studies._budget import (
    ErrorSource,
    law_flow_source,
    reference_source,
    rounding_source,
)
from stablesde.studies._fluctuation import fluctuation
from stablesde.studies._records import RateStudy
from stablesde.studies._setup import (
    STREAM_PREDICTION,
    check_scheme_of_study,
    configuration,
    constants_of,
    count,
    is_plain,
    key_of,
    lazy_flow,
    no_bound_reason,
    replica_errors,
    sizes,
)
from stablesde.studies._statistics import location
from stablesde.system import System
from stablesde.theory._bounds import Bound
from stablesde.theory._predictions import Prediction


@by_name
def strong_error(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    num_steps: Sequence[int],
    fine_steps: int,
    t1: float,
    replicas: int = 32,
    batch: int = 16,
    predict: int = 0,
    scheme: str = "euler",
    run_dir: str | Path | None = None,
) -> RateStudy:
    """Strong error of the Euler scheme against its step η and the width n (Theorem 4.1).

    For each width, schemes with `num_steps` steps are run beside a reference with `fine_steps`
    on the same noise; the error of a replica is `sup_k sup_i ‖θ^i_{ηk} - θ̂^i_k‖` (measure "sup")
    or the mean over i of the sup over k ("mean"). Slopes are fitted to the 10 %-trimmed mean of
    "sup" over replicas: with an unbounded drift its mean converges too slowly, and the interval of
    the median is too wide for few replicas (`benchmarks/slope_coverage.py`).

    The theorem bounds the error by `C (ηn)^{1/α}`: the step exponent is attained if it is 1/α,
    and better if it is larger; the width exponent is better if it is smaller.

    **Arguments:** `widths`, at least 4 for a width slope; `num_steps`, divisors of `fine_steps`
    (at least 16 times smaller, or the reference's own error shows); `replicas`, computed `batch`
    at a time, each batch a cell of `run_dir` if that is given; `predict`, the replicas of the
    predicted error (`ssd.theory.predict_strong_error`), 0 for none; `scheme`, of both (bounds and
    predictions are those of "euler"); the rest as in `ssd.simulate`.

    **Returns:** a `RateStudy` with axes "width" and "step" (η).
    **Raises:** `ValueError` as `ssd.simulate`, if the scheme diverges, or if `run_dir` belongs to
    another study or holds a damaged cell; `OSError` where it cannot be written. Settings are
    checked before `run_dir` is touched.
    """
    widths, steps = sizes("widths", widths), sizes("num_steps", num_steps)
    fine_steps = count("fine_steps", fine_steps)
    predict = count("predict", predict, 0)
    check_divisors(steps, fine_steps)
    config = configuration(
        system,
        key,
        widths=widths,
        t1=t1,
        replicas=replicas,
        batch=batch,
        num_steps=steps,
        fine_steps=fine_steps,
        scheme=check_scheme_of_study(scheme, system, predict),
    )
    constants, alpha = constants_of(system.model), config["alpha"]
    bounded = constants is not None and is_plain(system) and scheme == "euler"

    def compute(keys: Keys) -> dict[str, Array]:
        errors = coupled_steps(
            system,
            keys,
            widths=widths,
            num_steps=steps,
            fine_steps=fine_steps,
            t1=t1,
            scheme=scheme,
        )
        return {"sup": errors.sup, "mean": errors.mean}

    # The theorem is on additive stable noise.
    stable = system.additive and isinstance(system.noise, StableNoise)
    power = 1 / alpha if stable else None
    errors = replica_errors("strong_error", config, key, compute, run_dir)
    etas = tuple(t1 / k for k in steps)
    bounds = {}
    if constants is not None and bounded:
        bounds = _strong_bounds(constants, system, widths, etas, t1)
    study = RateStudy(
        name="strong_error",
        config=config,
        axes=(
            Axis("width", tuple(map(float, widths)), power, direction=-1),
            Axis("step", etas, power, direction=+1),
        ),
        errors=errors,
        rate_measure="sup",
        rate_statistic="trimmed",
        rate_axis="step",
        bounds=bounds,
        claim="E sup_i ‖θ^i - θ̂^i‖ ≤ C (ηn)^(1/α)  (Theorem 4.1)"
        if stable
        else "sup_i ‖θ^i - θ̂^i‖, of which no theorem here gives a rate",
        notes=_notes(system, constants),
    )
    predicted = _predicted(
        theory.predict_strong_error,
        system,
        key,
        predict,
        widths=widths,
        num_steps=steps,
        fine_steps=fine_steps,
        t1=t1,
    )
    slope, _ = study.fitted("step")
    order = 1.0 if slope is None else slope.estimate
    sources = (
        reference_source(steps, fine_steps, order, (len(widths), len(steps))),
        *_rounding(study, constants if bounded else None, fine_steps, t1),
    )
    return dataclasses.replace(study, sources=sources, predicted=predicted)


@by_name
def propagation_of_chaos(
    system: System,
    key: PRNGKeyArray,
    *,
    widths: Sequence[int],
    num_steps: int,
    t1: float,
    replicas: int = 64,
    batch: int = 16,
    law_particles: int | None = None,
    statistic_tail: float | None = None,
    predict: int = 0,
    scheme: str = "euler",
    run_dir: str | Path | None = None,
) -> RateStudy:
    """Distance of n particles from independent copies of their limit (Theorem 4.2).

    Particle i and copy i share θ₀ and noise; both use the same Euler grid. Measure "sup" is
    `sup_i sup_t ‖θ^{i,n}_t - θ^{i,∞}_t‖` of a replica, "mean" the mean over i. Slopes are fitted
    to the mean over replicas of "mean"; with "sup" the local slopes approach -1/2 only slowly, as
    the sup over i saturates.

    The rate is that of the mean of n copies of φ(θ_t): n^(-1/2) where φ(θ_t) has a variance, as in
    the theorem; n^(1/a - 1) where its tail index a lies in (1, 2), as in `ssd.MeanReversion`, and
    the slope is then that of the median over replicas, whose limit is stable.

    **Arguments:** `widths`, at least 4; `law_particles`, the size of the independent system that
    gives the law flow (default 256 times the largest width, more where a heavy tail asks for it, at
    most 2²²): its error is a floor below which the curve flattens, stated in `notes`, and where it
    is more than a quarter of the fluctuation at the largest width (16 times the width, for a finite
    variance) the study is inconclusive; `statistic_tail`, the tail index of φ(θ_t), `math.inf`
    for a finite variance, None: the model's `statistic_growth` tells, or it is estimated from a
    simulation, with a warning where that finds no finite variance; `predict`, the replicas of the
    predicted error (`ssd.theory.predict_chaos`, 512 copies each), 0 for none; the rest as in
    `strong_error`.

    **Returns:** a `RateStudy` with the axis "width". **Raises:** as `strong_error`.
    """
    widths, num_steps = sizes("widths", widths), count("num_steps", num_steps)
    predict = count("predict", predict, 0)
    run: dict[str, Any] = dict(t1=t1, num_steps=num_steps, scheme=scheme)
    tail = fluctuation(system, key, statistic_tail, **run)
    law = tail.default_law(max(widths)) if law_particles is None else law_particles
    law = count("law_particles", law)
    config = configuration(
        system,
        key,
        widths=widths,
        t1=t1,
        replicas=replicas,
        batch=batch,
        num_steps=num_steps,
        law_particles=law,
        scheme=check_scheme_of_study(scheme, system, predict),
    )
    if predict and tail.index < 2:
        raise ValueError(
            f"predict needs a statistic of finite variance; its tail index is {tail.index:.3g}."
        )
    constants = constants_of(system.model)
    flow = lazy_flow(system, key, num_particles=law, **run)

    def compute(keys: Keys) -> dict[str, Array]:
        errors = coupled_limit(flow(), keys, widths=widths, scheme=scheme)
        return {"sup": errors.sup, "mean": errors.mean}

    errors = replica_errors("propagation_of_chaos", config, key, compute, run_dir)
    bounds = {}
    if constants is not None and is_plain(system):
        bounds = _bound_arrays([theory.chaos_bound(constants, width=n, t1=t1) for n in widths])
    factor = tail.factor(widths, law)
    study = RateStudy(
        name="propagation_of_chaos",
        config=config | {"statistic_tail": None if math.isinf(tail.index) else tail.index},
        axes=(Axis("width", tuple(map(float, widths)), tail.exponent),),
        errors=errors,
        rate_measure="mean",
        rate_statistic=tail.statistic,
        rate_axis="width",
        bounds=bounds,
        blocked=tail.blocked or tail.too_coarse(max(widths), law),
        claim=f"E sup_t sup_i ‖θ^{{i,n}} - θ^{{i,∞}}‖ ≤ C {tail.rate}  (Theorem 4.2)"
        if math.isinf(tail.index)
        else f"sup_t sup_i ‖θ^{{i,n}} - θ^{{i,∞}}‖ is of order {tail.rate}: the statistic has tail "
        f"index {tail.index:.3g} ({tail.source})",
        notes=(
            f"The law flow comes from {law} independent particles: its error is "
            f"{100 * tail.floor(max(widths), law):.1f} % of the fluctuation of the mean statistic "
            f"at the largest width, which raises the error there by about "
            f"{100 * (1 / factor.min() - 1):.2g} %.",
            *_notes(system, constants),
        ),
    )
    known = constants if is_plain(system) else None
    sources = (
        law_flow_source(factor, max(widths), law),
        *_rounding(study, known, num_steps, t1),
    )
    predicted = _predicted(
        theory.predict_chaos,
        system,
        key,
        predict,
        widths=widths,
        num_steps=num_steps,
        t1=t1,
    )
    return dataclasses.replace(study, sources=sources, predicted=predicted)


def _strong_bounds(
    constants: AssumptionConstants,
    system: System,
    widths: tuple[int, ...],
    etas: tuple[float, ...],
    t1: float,
) -> dict[str, np.ndarray]:
    """The bounds of the strong error over the grid (widths, steps)."""
    noise, sigma = stable_part(system)
    bound = functools.partial(theory.strong_error_bound, constants, noise, t1=t1, sigma=sigma)
    return _bound_arrays([[bound(width=n, step_size=h) for h in etas] for n in widths])


def _notes(system: System, constants: AssumptionConstants | None) -> tuple[str, ...]:
    """Why there is no bound, and what the theorem does not speak of."""
    if is_plain(system):
        return no_bound_reason(constants)
    if system.additive:
        return ("No bound: the theorems are on stable noise times a number.",)
    return (
        "No bound: the theorems are on additive noise. With a coefficient that depends on θ the "
        "errors are differences of θ itself, and of another order in η.",
    )


def _rounding(
    study: RateStudy, constants: AssumptionConstants | None, num_steps: int, t1: float
) -> tuple[ErrorSource, ...]:
    """The rounding of D where the drift has a known bound, and with it D."""
    errors = study.errors[study.rate_measure]
    if constants is None or not constants.holds or np.any(errors <= 0):
        return ()
    centre = location(errors, study.rate_statistic)
    bound = constants.drift_bound * float(t1)
    return (rounding_source(centre, study.config["dtype"], num_steps, bound),)


def _predicted(
    function: Callable[..., Prediction],
    system: System,
    key: PRNGKeyArray,
    replicas: int,
    **settings: Any,
) -> dict[str, np.ndarray]:
    """The errors that theory predicts, under a key of their own; nothing for no replicas."""
    if not replicas:
        return {}
    own = key_of(key, STREAM_PREDICTION)
    return function(system, own, replicas=replicas, **settings)._asdict()


def _bound_arrays(grid: Any) -> dict[str, np.ndarray]:
    """Each kind of bound on the grid; none where Assumption 1 fails and all are infinite."""
    bounds = np.array(grid, dtype=object)
    kinds = (f.name for f in dataclasses.fields(Bound))
    arrays = {k: np.vectorize(lambda b, k=k: getattr(b, k), otypes=[float])(bounds) for k in kinds}
    return {k: v for k, v in arrays.items() if np.any(np.isfinite(v))}


__all__ = ["propagation_of_chaos", "strong_error"]
