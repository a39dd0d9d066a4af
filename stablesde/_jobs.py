"""The studies of the main job: which model, which noise, and what theory says is sharp."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from stablesde import studies
from stablesde._sizes import Case, Size
from stablesde._status import run_name
from stablesde.datasets import load
from stablesde.model import FunctionModel, MeanFieldModel, MeanReversion, NetworkModel, WeightDecay
from stablesde.noise import stable_noise
from stablesde.studies import RateStudy, TailStudy
from stablesde.system import System

Study = RateStudy | TailStudy
HOLDER = 0.5


@dataclass(frozen=True)
class Job:
    """One study of the main job.

    - `group`, `label`: where it is listed. `run(run_dir=…)` does it.
    - `sharp`: the axis whose exponent theory says is attained.
    - `judged`: False for a study that explores what no theorem claims.
    - `float64`: it runs in double precision.
    """

    group: str
    label: str
    run: Callable[..., Study]
    sharp: str | None
    judged: bool = True
    float64: bool = False


def theory_model(unit: Any = "tanh", **rest: Any) -> NetworkModel:
    """The network of the studies: logistic loss, 16 points of the teacher data set."""
    data = load("teacher")
    return NetworkModel(unit, "logistic", data.x_train[:16], data.y_train[:16], **rest)


def holder_model() -> FunctionModel:
    """A bounded drift that is Hölder of order 1/2 at 0, with a bounded Lipschitz interaction."""

    def drift(t: Any, theta: Any, m: Any) -> Any:
        # The root's gradient is infinite at 0, but nothing differentiates the drift here.
        return -jnp.sign(theta) * jnp.minimum(jnp.abs(theta), 1.0) ** HOLDER + m

    return FunctionModel(1, drift, jnp.tanh)


def hard_tanh(theta: Any, x: Any) -> Any:
    """A Lipschitz unit with kinks: the drift of its network jumps."""
    return jnp.clip(theta @ x, -1.0, 1.0)[None]


def jobs(size: Size, seed: int, only: Sequence[str]) -> list[Job]:
    """The studies of the groups `only` in order, without the training run."""
    key = jax.random.key(seed)
    network = theory_model()
    chosen: list[Job] = []

    def add(
        group: str, study: Any, model: MeanFieldModel, tag: str, sharp: str | None,
        settings: str = "", judged: bool = True,
    ) -> None:  # fmt: skip
        if group not in only:
            return
        settings = settings or group
        arguments = dict(size.settings.get(settings, {}))
        double = arguments.get("dtype") == "float64"
        for kind, alpha in size.cases.get(settings, ()):
            noise = stable_noise(kind, alpha, model.dim)
            run = functools.partial(study, System(model, noise), key, t1=1.0, **arguments)
            name = _label(tag, model.dim, (kind, alpha))
            chosen.append(Job(group, name, run, sharp, judged, double))

    add("strong-error", studies.strong_error, network, "tanh network", None)
    linear = MeanReversion(2)
    add("strong-error", studies.strong_error, linear, "linear drift", "width", "linear-drift")
    add(
        "propagation-of-chaos", studies.propagation_of_chaos, network, "tanh network", "width"
    )  # fmt: skip
    add("tails", studies.tail_study, network, "tanh network", "norm")
    add("compressibility", studies.compressibility, network, "tanh network", "width")
    for tag, model in _explored().items() if "sharpness" in only else ():
        add("sharpness", studies.strong_error, model, tag, None, judged=False)
    return chosen


def _explored() -> dict[str, MeanFieldModel]:
    """Drifts of several smoothness and growth, for the map of exponents."""
    return {
        "tanh network": theory_model(),
        "sigmoid network": theory_model("sigmoid"),
        "hard tanh network": theory_model(hard_tanh, dim=2),
        "tanh network with decay": WeightDecay(theory_model(), 1.0),  # type: ignore[call-arg]
        "linear drift": MeanReversion(2),
        "Hölder drift": holder_model(),
    }


def _label(tag: str, dim: int, case: Case) -> str:
    kind, alpha = case
    return f"{tag}, Type {kind}, α = {alpha:g}" if dim > 1 else f"{tag}, α = {alpha:g}"


def file_name(job: Job) -> str:
    """A name for the files of a job."""
    return run_name(job.group, job.label)


__all__ = ["Job", "Study", "file_name", "holder_model", "jobs", "theory_model"]
