"""The studies of the main job: which model, which noise, what theory says is sharp, how large.

A size gives, for each group of studies, its cases (noise type and α) and the arguments of the
study; `jobs` makes the studies of them. The default sizes give every exponent that is called sharp
a power above 95 %: the probability of "yes" if theory is right
(`python -m benchmarks.verdicts --record …/results.json` prints it).
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from stablesde import studies
from stablesde.datasets import load
from stablesde.model import FunctionModel, MeanFieldModel, MeanReversion, NetworkModel, WeightDecay
from stablesde.noise import stable_noise
from stablesde.studies import RateStudy, TailStudy
from stablesde.system import System

Study = RateStudy | TailStudy
_HOLDER = 0.5
# Training is no study, and comes last.
GROUPS = ("strong-error", "propagation-of-chaos", "tails", "compressibility", "sharpness")
STUDIES = (*GROUPS, "training")
Case = tuple[str, float]


@dataclass(frozen=True)
class Size:
    """How large the main job is; `QUICK`, `DEFAULT` and `FULL` are the sizes the command offers.

    - `cases`: noise type and α of the studies of a group.
    - `settings`: their arguments, beside system, key and t1 = 1.
    - `training`: arguments of the training run.
    """

    name: str
    cases: dict[str, tuple[Case, ...]]
    settings: dict[str, dict[str, Any]]
    training: dict[str, Any]


def powers(low: int, high: int, factor: int = 2) -> tuple[int, ...]:
    """`low`, `low · factor`, … up to `high`."""
    sizes = [low]
    while sizes[-1] * factor <= high:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


def _type_one(*alphas: float) -> tuple[Case, ...]:
    return tuple(("I", alpha) for alpha in alphas)


def _all_types(*alphas: float) -> tuple[Case, ...]:
    return tuple((kind, alpha) for kind in ("I", "II", "III") for alpha in alphas)


QUICK = Size(
    name="quick",
    cases={
        "strong-error": _type_one(1.5),
        "linear-drift": _type_one(1.5),
        "propagation-of-chaos": _type_one(1.5),
        "tails": _type_one(1.5),
        "compressibility": _type_one(1.5),
    },
    settings={
        "strong-error": dict(
            widths=(10, 32, 100, 316, 1000), num_steps=(4, 8, 16, 32), fine_steps=512, replicas=16,
            predict=16,
        ),
        "linear-drift": dict(
            widths=(10, 32, 100, 316), num_steps=(4, 8, 16, 32), fine_steps=512, replicas=192,
            batch=64,
        ),
        "propagation-of-chaos": dict(
            widths=powers(16, 512), num_steps=32, replicas=64, predict=256
        ),
        "tails": dict(num_columns=2**19, num_steps=16),
        "compressibility": dict(
            widths=(300, 1000, 3000, 10000), kappas=(0.1, 0.3), num_steps=16, replicas=256,
            predict=2**18,
        ),
    },
    training=dict(width=500, seeds=1),
)  # fmt: skip
DEFAULT = Size(
    name="default",
    cases={
        "strong-error": _type_one(1.5, 1.8),
        "linear-drift": _type_one(1.5),
        "propagation-of-chaos": _type_one(1.5),
        "tails": _type_one(1.5, 1.8),
        "compressibility": _type_one(1.2, 1.5, 1.75),
    },
    settings={
        "strong-error": dict(
            widths=(10, 32, 100, 316, 1000), num_steps=(8, 16, 32, 64, 128), fine_steps=2048,
            replicas=64, predict=64,
        ),
        "linear-drift": dict(
            widths=(10, 32, 100, 316, 1000, 3162), num_steps=(4, 8, 16, 32), fine_steps=512,
            replicas=512, batch=64,
        ),
        "propagation-of-chaos": dict(
            widths=powers(16, 2048), num_steps=32, replicas=384, predict=1024
        ),
        "tails": dict(num_columns=2**23, num_steps=16),
        "compressibility": dict(
            widths=(316, 1000, 3162, 10000, 31623), kappas=(0.1, 0.3), num_steps=16, replicas=256,
            predict=2**18,
        ),
    },
    training=dict(width=2000, seeds=3),
)  # fmt: skip
# Float64 where rounding would show: errors of a 2048th of the time, at jumps of hundreds.
FULL = Size(
    name="full",
    cases={
        "strong-error": _all_types(1.2, 1.5, 1.8),
        "linear-drift": _type_one(1.2, 1.5),
        "propagation-of-chaos": _all_types(1.2, 1.5, 1.8),
        "tails": _type_one(0.8, 1.2, 1.5, 1.8),
        "compressibility": _type_one(1.2, 1.5, 1.75, 1.9),
        "sharpness": _type_one(1.1, 1.3, 1.5, 1.7, 1.9),
    },
    settings={
        "strong-error": dict(
            widths=(8, 32, 128, 512), num_steps=powers(2, 2048), fine_steps=32768, replicas=24,
            batch=8, float64=True, predict=64,
        ),
        "linear-drift": dict(
            widths=(100, 316, 1000, 3162, 10000, 31623), num_steps=(2, 4, 8, 16),
            fine_steps=256, replicas=1024, batch=16,
        ),
        "propagation-of-chaos": dict(
            widths=powers(16, 2**15), num_steps=32, replicas=512, batch=64, law_particles=2**23,
            predict=2048,
        ),
        "tails": dict(num_columns=2**24, num_steps=16),
        "compressibility": dict(
            widths=(316, 1000, 3162, 10000, 31623, 100000), kappas=(0.1, 0.3), num_steps=8,
            replicas=1024, batch=32, predict=2**20,
        ),
        "sharpness": dict(
            widths=(8, 32, 128, 512), num_steps=powers(4, 256), fine_steps=8192, replicas=24,
            batch=24,
        ),
    },
    training=dict(width=2000, seeds=5),
)  # fmt: skip
SIZES = {size.name: size for size in (QUICK, DEFAULT, FULL)}


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

    @property
    def file_name(self) -> str:
        """A name for the files of the job."""
        name = f"{self.group}-{self.label}".replace(", α = ", "-").replace(", ", "-")
        return name.replace("ö", "oe").replace(" ", "-")


def theory_model(unit: Any = "tanh", **rest: Any) -> NetworkModel:
    """The network of the studies: logistic loss, 16 points of the teacher data set."""
    data = load("teacher")
    return NetworkModel(unit, "logistic", data.x_train[:16], data.y_train[:16], **rest)


def holder_model() -> FunctionModel:
    """A bounded drift that is Hölder of order 1/2 at 0, with a bounded Lipschitz interaction."""

    def drift(t: Any, theta: Any, m: Any) -> Any:
        # The root's gradient is infinite at 0, but nothing differentiates the drift here.
        return -jnp.sign(theta) * jnp.minimum(jnp.abs(theta), 1.0) ** _HOLDER + m

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
        double = arguments.pop("float64", False)
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
