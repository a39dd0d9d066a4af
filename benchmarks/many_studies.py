"""Memory maps and resident memory of one process over a hundred studies.

`python -m benchmarks.many_studies [STUDIES]`. Other keys and other α run the same programs; other
widths are other programs, which JAX keeps, each with a few memory maps of Linux's 65530.
"""

import resource
import sys
from pathlib import Path

import jax

import stablesde as ssd

EVERY = 10


def maps() -> int:
    """Memory maps of this process."""
    return len(Path("/proc/self/maps").read_text().splitlines())


def resident() -> float:
    """Its resident memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def study(i: int, width: int) -> None:
    """One small study with a key and an α of its own."""
    noise = ssd.stable_noise("I", 1.1 + 0.8 * (i % 97) / 97, 1)
    model = ssd.FunctionModel(1, drift, statistic)
    ssd.propagation_of_chaos(
        ssd.System(model, noise),
        jax.random.key(i),
        widths=(4, 8, 16, width),
        num_steps=4,
        t1=1.0,
        replicas=4,
        law_particles=1024,
    )


def drift(t, theta, m):  # type: ignore[no-untyped-def]
    """Tanh pull towards the mean."""
    return jax.numpy.tanh(m - theta)


def statistic(theta):  # type: ignore[no-untyped-def]
    """A bounded one."""
    return jax.numpy.tanh(theta)


def main(studies: int = 100) -> None:
    """Prints the table."""
    print("| studies | maps, same widths | MB | maps, other widths | MB | maps, cleared | MB |")
    print("|---|---|---|---|---|---|---|")
    found: dict[int, list[str]] = {0: []}
    for kind in ("same", "other", "cleared"):
        for i in range(studies + 1):
            if i % EVERY == 0:
                found.setdefault(i, []).extend([str(maps()), f"{resident():.0f}"])
            study(i, 32 if kind == "same" else 33 + i)
            if kind == "cleared" and i % EVERY == EVERY - 1:
                jax.clear_caches()
    for i, row in found.items():
        print(f"| {i} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
