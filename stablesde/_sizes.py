"""How large the main job is: the sizes that `stablesde check` offers.

A size gives, for each group of studies, its cases (noise type and α) and the arguments of the
study. `stablesde._jobs` makes the studies of them. The default sizes give every exponent that is
called sharp a power above 95 %: the probability of "yes" if theory is right
(`python -m benchmarks.verdicts --record results/results.json` prints it).
"""

from dataclasses import dataclass
from typing import Any

Case = tuple[str, float]


@dataclass(frozen=True)
class Size:
    """How large the main job is; `QUICK`, `DEFAULT` and `FULL` are the sizes the command offers.

    - `cases`: noise type and α of the studies of a group.
    - `settings`: their arguments, beside model, noise, key and t1 = 1.
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


def _one(*alphas: float) -> tuple[Case, ...]:
    return tuple(("I", alpha) for alpha in alphas)


def _all_types(*alphas: float) -> tuple[Case, ...]:
    return tuple((kind, alpha) for kind in ("I", "II", "III") for alpha in alphas)


QUICK = Size(
    name="quick",
    cases={
        "strong-error": _one(1.5),
        "linear-drift": _one(1.5),
        "propagation-of-chaos": _one(1.5),
        "tails": _one(1.5),
        "compressibility": _one(1.5),
    },
    settings={
        "strong-error": dict(
            widths=(10, 32, 100, 316, 1000), num_steps=(4, 8, 16, 32), fine_steps=512, replicas=16
        ),
        "linear-drift": dict(
            widths=(10, 32, 100, 316), num_steps=(4, 8, 16, 32), fine_steps=512, replicas=192,
            batch=64,
        ),
        "propagation-of-chaos": dict(widths=powers(16, 512), num_steps=32, replicas=64),
        "tails": dict(num_columns=2**19, num_steps=16),
        "compressibility": dict(
            widths=(300, 1000, 3000, 10000), kappas=(0.1, 0.3), num_steps=16, replicas=256
        ),
    },
    training=dict(width=500, seeds=1),
)  # fmt: skip
DEFAULT = Size(
    name="default",
    cases={
        "strong-error": _one(1.5, 1.8),
        "linear-drift": _one(1.5),
        "propagation-of-chaos": _one(1.5),
        "tails": _one(1.5, 1.8),
        "compressibility": _one(1.2, 1.5, 1.75),
    },
    settings={
        "strong-error": dict(
            widths=(10, 32, 100, 316, 1000), num_steps=(8, 16, 32, 64, 128), fine_steps=2048,
            replicas=32,
        ),
        "linear-drift": dict(
            widths=(10, 32, 100, 316, 1000, 3162), num_steps=(4, 8, 16, 32), fine_steps=512,
            replicas=512, batch=64,
        ),
        "propagation-of-chaos": dict(widths=powers(16, 2048), num_steps=32, replicas=384),
        "tails": dict(num_columns=2**23, num_steps=16),
        "compressibility": dict(
            widths=(316, 1000, 3162, 10000, 31623), kappas=(0.1, 0.3), num_steps=16, replicas=256
        ),
    },
    training=dict(width=2000, seeds=3),
)  # fmt: skip
# Float64 where rounding would show: errors of a 2048th of the time, at jumps of hundreds.
FULL = Size(
    name="full",
    cases={
        "strong-error": _all_types(1.2, 1.5, 1.8),
        "linear-drift": _one(1.2, 1.5),
        "propagation-of-chaos": _all_types(1.2, 1.5, 1.8),
        "tails": _one(0.8, 1.2, 1.5, 1.8),
        "compressibility": _one(1.2, 1.5, 1.75, 1.9),
        "sharpness": _one(1.1, 1.3, 1.5, 1.7, 1.9),
    },
    settings={
        "strong-error": dict(
            widths=(8, 32, 128, 512), num_steps=powers(2, 2048), fine_steps=32768, replicas=24,
            batch=8, dtype="float64",
        ),
        "linear-drift": dict(
            widths=(100, 316, 1000, 3162, 10000, 31623, 100000), num_steps=(2, 4, 8, 16),
            fine_steps=256, replicas=128, batch=8,
        ),
        "propagation-of-chaos": dict(
            widths=powers(16, 2**15), num_steps=32, replicas=512, batch=64, law_particles=2**23,
        ),
        "tails": dict(num_columns=2**24, num_steps=16),
        "compressibility": dict(
            widths=(1000, 3162, 10000, 31623, 100000, 316228), kappas=(0.1, 0.3), num_steps=8,
            replicas=256, batch=16,
        ),
        "sharpness": dict(
            widths=(8, 32, 128, 512), num_steps=powers(4, 256), fine_steps=8192, replicas=24,
            batch=24,
        ),
    },
    training=dict(width=2000, seeds=5),
)  # fmt: skip
SIZES = {size.name: size for size in (QUICK, DEFAULT, FULL)}
