"""How large the main job is: the sizes that `stablesde check` offers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How large the main job is; `QUICK`, `DEFAULT` and `FULL` are the sizes the command offers."""

    name: str
    strong_replicas: int
    strong_steps: tuple[int, ...]
    fine_steps: int
    linear_replicas: int
    linear_widths: tuple[int, ...]
    chaos_replicas: int
    chaos_widths: tuple[int, ...]
    tail_columns: int
    compression_replicas: int
    compression_widths: tuple[int, ...]
    training_seeds: int
    training_width: int
    alphas: dict[str, tuple[float, ...]]


def _powers(low: int, high: int, factor: int = 2) -> tuple[int, ...]:
    sizes = [low]
    while sizes[-1] * factor <= high:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


QUICK = Size(
    name="quick",
    strong_replicas=16,
    strong_steps=(4, 8, 16, 32),
    fine_steps=512,
    linear_replicas=192,
    linear_widths=(10, 32, 100, 316),
    chaos_replicas=64,
    chaos_widths=_powers(16, 512),
    tail_columns=2**19,
    compression_replicas=256,
    compression_widths=(300, 1000, 3000, 10000),
    training_seeds=1,
    training_width=500,
    alphas={"strong-error": (1.5,), "tails": (1.5,), "compressibility": (1.5,)},
)
DEFAULT = Size(
    name="default",
    strong_replicas=32,
    strong_steps=(8, 16, 32, 64, 128),
    fine_steps=2048,
    linear_replicas=256,
    linear_widths=(10, 32, 100, 316, 1000, 3162),
    chaos_replicas=256,
    chaos_widths=_powers(16, 2048),
    tail_columns=2**22,
    compression_replicas=256,
    compression_widths=(316, 1000, 3162, 10000, 31623),
    training_seeds=3,
    training_width=2000,
    alphas={
        "strong-error": (1.5, 1.8),
        "tails": (1.5, 1.8),
        "compressibility": (1.2, 1.5, 1.75),
    },
)
FULL = Size(
    name="full",
    strong_replicas=128,
    strong_steps=_powers(8, 1024),
    fine_steps=32768,
    linear_replicas=1024,
    linear_widths=(10, 32, 100, 316, 1000, 3162, 10000),
    chaos_replicas=2048,
    chaos_widths=_powers(16, 4096),
    tail_columns=2**24,
    compression_replicas=256,
    compression_widths=(1000, 3162, 10000, 31623, 100000, 316228),
    training_seeds=5,
    training_width=2000,
    alphas={
        "strong-error": (1.2, 1.5, 1.8),
        "tails": (1.2, 1.5, 1.8),
        "compressibility": (1.2, 1.5, 1.75, 1.9),
    },
)
SIZES = {size.name: size for size in (QUICK, DEFAULT, FULL)}
