"""What drawing instead of summing costs in accuracy: the two benchmarks of batches share this."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._timing import markdown
from stablesde.studies._slopes import fit_slope

STEPS = (8, 16, 32, 64, 128)
SNIPPETS = Path(__file__).parents[1] / "docs" / "snippets"


def distances(
    system: Callable[[int | None], ssd.System],
    batches: Sequence[int],
    num_particles: int,
    replicas: int,
) -> np.ndarray:
    """Root mean square over particles of what each batch size changes at t = 1, on the same noise
    and start: (replicas, batches, steps). `system`(None) is that without batches."""
    found = np.empty((replicas, len(batches), len(STEPS)))
    for k, steps in enumerate(STEPS):
        for r in range(replicas):
            key = jax.random.key(r)

            def end(b: int | None, key: jax.Array = key, steps: int = steps) -> jax.Array:
                run = ssd.simulate(
                    system(b), key, num_particles=num_particles, t1=1.0, num_steps=steps
                )
                return run.displacement[0]

            exact = end(None)
            found[r, :, k] = [jnp.sqrt(jnp.mean((end(b) - exact) ** 2)) for b in batches]
    return found


def write(name: str, found: np.ndarray, batches: Sequence[int], drawn: np.ndarray) -> None:
    """The errors and their powers in a snippet. Theory: (η / drawn)^(1/2), `drawn` being the number
    of independent draws that have the variance of a step's mean."""
    rows = [["b", *(f"η = 1/{steps}" for steps in STEPS)]]
    rows += [
        [str(b), *(f"{error:.2g}" for error in line)]
        for b, line in zip(batches, found.mean(0), strict=True)
    ]
    eta = fit_slope(found, 1 / np.asarray(STEPS), 1, "mean", vanishing=True)
    size = fit_slope(found, drawn, 0, "mean")
    powers = [
        ["power of", "theory", "fitted, and its 95 % interval"],
        ["η", "+0.5", str(eta)],
        ["draws", "-0.5", str(size)],
    ]
    (SNIPPETS / name).write_text(markdown(rows) + "\n\n" + markdown(powers) + "\n")
    print((SNIPPETS / name).read_text())


def independent(draws: np.ndarray, of: int) -> np.ndarray:
    """The number of independent draws whose mean varies as that of `draws` without replacement."""
    return draws * (of - 1) / (of - draws)
