"""The weak error: what the step size and the number of particles do to E f(θ_T)."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from stablesde._arguments import as_choice, by_name
from stablesde._fingerprint import fingerprint
from stablesde.dynamics import LawFlow, coupled_limit, coupled_steps, fokker_planck
from stablesde.dynamics._grid import check_divisors
from stablesde.model import FunctionModel, PairwiseModel
from stablesde.stable._bits import Keys
from stablesde.studies._axis import Axis
from stablesde.studies._budget import ErrorSource, reference_source
from stablesde.studies._fluctuation import fluctuation
from stablesde.studies._records import RateStudy
from stablesde.studies._setup import (
    check_scheme_of_study,
    configuration,
    count,
    is_plain,
    lazy_flow,
    replica_errors,
    sizes,
)
from stablesde.system import System

AGAINST = ("step", "width")
# Particles of the law flow for each of the largest system: its error must be small beside a bias.
_MANY = 2**12


@by_name
def weak_error(
    system: System,
    key: PRNGKeyArray,
    *,
    function: Callable[[Array], Array],
    against: str,
    widths: Sequence[int],
    num_steps: Sequence[int],
    t1: float,
    fine_steps: int | None = None,
    replicas: int = 1024,
    batch: int = 128,
    law_particles: int | None = None,
    statistic_tail: float | None = None,
    scheme: str = "euler",
    run_dir: str | Path | None = None,
) -> RateStudy:
    """The bias of E f(θ_T) in the step size η or in the number n of particles.

    - `against="step"`: E f of the Euler scheme with `num_steps` steps minus that of a reference
      with `fine_steps`, on the same noise. For smooth bounded f and smooth drifts the order is 1
      (Mikulevičius and Xu 2018; Talay and Tubaro 1990 for α = 2).
    - `against="width"`: E f of n particles minus that of their limit copies, both with the largest
      of `num_steps`. The fluctuations of order n^-1/2 average out; what is left is of order 1/n
      (Chassagneux, Szpruch and Tse 2022, for Brownian noise).

    Replicas are differences of either sign, averaged over particles, and the error is the size of
    their mean. Differences of coupled systems have far smaller variance than f itself. Where the
    mean at some size cannot be told from 0, no slope is fitted and the record says so: biases of
    order 1/n need many replicas. Exponents are judged with a tolerance of 0.1.

    **Arguments:** `function` f, (p,) → a number; `widths` and `num_steps` as in `strong_error`, at
    least 4 on the axis that is asked for, and one of the other is enough; `fine_steps` for "step"
    (default: 64 times the largest of `num_steps`); `law_particles` for "width": of the law flow,
    None: in dimension one that of `ssd.fokker_planck`, which needs none, else 4096 times the
    largest width, at most 2²²; `statistic_tail` as in `propagation_of_chaos`; `scheme` and the
    rest as in `strong_error`.

    **Returns:** a `RateStudy` with the one axis "step" at the largest width,
    "width" at the smallest step. `errors["weak"]` is signed, oriented so that its mean is positive.
    **Raises:** as `strong_error`, and for a `function` that gives no number.
    """
    as_choice("against", against, AGAINST)
    blocked = ""
    widths, steps = sizes("widths", widths), sizes("num_steps", num_steps)
    _check_function(function, system)
    settings: dict[str, Any] = dict(t1=t1, replicas=replicas, batch=batch)
    settings |= {"scheme": check_scheme_of_study(scheme, system)}
    told = {"against": against, "function": _fingerprint(function, system)}
    if against == "step":
        fine = count("fine_steps", 64 * max(steps) if fine_steps is None else fine_steps)
        check_divisors(steps, fine)
        config = configuration(
            system, key, widths=(max(widths),), num_steps=steps, fine_steps=fine, **settings
        )

        def compute(keys: Keys) -> dict[str, Array]:
            errors = coupled_steps(
                system,
                keys,
                widths=(max(widths),),
                num_steps=steps,
                fine_steps=fine,
                t1=t1,
                function=function,
                scheme=scheme,
            )
            return {"weak": errors.weak[:, 0]}  # type: ignore[index]

        axis = Axis("step", tuple(t1 / k for k in steps), 1.0, direction=+1, tolerance=0.1)
        claim = "|E f(θ̂_T) - E f(θ_T)| is of order η"
    else:
        run: dict[str, Any] = dict(t1=t1, num_steps=max(steps), scheme=scheme)
        tail = fluctuation(system, key, statistic_tail, **run)
        many = tail.ratio if isinstance(system.model, PairwiseModel) else _MANY
        default = min(many * max(widths), 2**22)
        law = default if law_particles is None else count("law_particles", law_particles)
        exact = law_particles is None and system.dim == 1 and not callable(system.init)
        exact = exact and is_plain(system) and scheme == "euler"
        exact = exact and not isinstance(system.model, PairwiseModel)
        blocked = tail.blocked or ("" if exact else tail.too_coarse(max(widths), law))
        config = configuration(
            system, key, widths=widths, num_steps=max(steps), law_particles=law, **settings
        )
        flow = lazy_flow(system, key, num_particles=law, **run)
        if exact:
            config["law_particles"] = 0
            flow = functools.cache(functools.partial(_solved, system, t1, max(steps)))

        def compute(keys: Keys) -> dict[str, Array]:
            errors = coupled_limit(flow(), keys, widths=widths, scheme=scheme, function=function)
            return {"weak": errors.weak}  # type: ignore[dict-item]

        theory = -1.0 if np.isinf(tail.index) else None
        axis = Axis("width", tuple(map(float, widths)), theory, tolerance=0.1)
        claim = "|E f(θ^n_T) - E f(θ^∞_T)| is of order 1/n"
    errors = replica_errors("weak_error", config | told, key, compute, run_dir)["weak"]
    mean = np.mean(errors, axis=0)
    sign = float(np.sign(mean[int(np.argmax(np.abs(mean)))])) or 1.0
    sources: tuple[ErrorSource, ...]
    if against == "step":
        sources = (reference_source(steps, fine, 1.0, (len(steps),)),)
    else:
        sources = () if exact else (_flow_source(errors, widths, law),)
    return RateStudy(
        name="weak_error",
        config=config | told,
        axes=(axis,),
        errors={"weak": sign * errors},
        rate_measure="weak",
        rate_statistic="mean",
        rate_axis=against,
        bounded_measure="weak",
        signed=True,
        blocked=blocked,
        sources=sources,
        claim=claim,
        notes=("No bound: weak errors have none with a number here.",),
    )


def _solved(system: System, t1: float, num_steps: int) -> LawFlow:
    """The law flow of the Euler scheme without particles."""
    return fokker_planck(system, t1=t1, num_steps=num_steps, scheme="euler").law_flow()


def _flow_source(errors: np.ndarray, widths: tuple[int, ...], law: int) -> ErrorSource:
    """The law flow's own error: one draw of a fluctuation √(n/N) times that of n particles.

    Against a bias it does not average out, and may have either sign.
    """
    spread = np.std(errors, axis=0) * np.sqrt(np.asarray(widths, float) / law)
    share = spread / np.abs(np.mean(errors, axis=0))
    note = f"{law} particles, a standard deviation of their effect on E f"
    return ErrorSource("law flow", note, float(share.max()), 1 / (1 + share))


def _fingerprint(function: Callable[[Array], Array], system: System) -> str:
    """Of what f computes: it is hashed as the statistic of a model."""
    still = lambda t, theta, m: theta  # noqa: E731
    return fingerprint(FunctionModel(system.dim, still, lambda theta: function(theta)[None]))


def _check_function(function: Callable[[Array], Array], system: System) -> None:
    """Raises `ValueError` unless f maps a particle to a number."""
    theta = jax.ShapeDtypeStruct((system.dim,), jnp.zeros(0).dtype)
    try:
        shape = jax.eval_shape(function, theta).shape
    except Exception as error:
        raise ValueError(f"function(theta) fails for θ of shape {theta.shape}: {error}") from error
    if shape != ():
        raise ValueError(f"function(theta) must be a number, got an array of shape {shape}.")


__all__ = ["weak_error"]
