"""What a particle-step costs: `python -m benchmarks.engine [--write FILE]`.

Against n, the number of steps, M, p and the noise type, with exponents fitted over two decades; and
against the sum of drawing the noise alone and evaluating the drift alone, in the same run. On an
accelerator also the rate of particle-steps, and the share of the memory bandwidth that it takes.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown, side_by_side
from stablesde.dynamics._system import Driver
from stablesde.noise import particle_index
from stablesde.stable._bits import key_words

KEY = jax.random.key(0)


def run(n: int, steps: int, m: int = 16, p: int = 2, kind: str = "III") -> Callable[[], jax.Array]:
    """A simulation of these sizes, to be timed."""
    model, noise = network(m, p), ssd.stable_noise(kind, 1.5, p)
    return lambda: (
        ssd.simulate(ssd.System(model, noise), KEY, num_particles=n, t1=1.0, num_steps=steps).final
    )


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds in log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def cost_laws() -> list[list[str]]:
    """Cost against each size, the others fixed."""
    cases = {
        "n, 20 steps, M = 16": ([20_000, 200_000, 2_000_000], lambda v: run(v, 20)),
        "steps, n = 50 000, M = 16": ([20, 200, 2000], lambda v: run(50_000, v)),
        "M, n = 10 000, 10 steps": ([100, 1000, 10_000], lambda v: run(10_000, 10, m=v)),
    }
    rows = [["cost against", "sizes", "median seconds", "fitted exponent"]]
    for name, (sizes, make) in cases.items():
        times = side_by_side({str(v): make(v) for v in sizes}, repetitions=3)
        seconds = list(times.values())
        shown = " / ".join(f"{s:.3g}" for s in seconds)
        label = " / ".join(map(str, sizes))
        rows.append([name, label, shown, f"{exponent(sizes, seconds):.2f}"])
    return rows


def parts(kind: str, p: int, n: int, steps: int) -> dict[str, Callable[[], jax.Array]]:
    """The step, the noise alone, and the mean statistic with the drift alone, in a loop each."""
    model, noise = network(16, p), ssd.stable_noise(kind, 1.5, p)
    driver = Driver.of(ssd.System(model, noise), jnp.dtype("float32")).under(key_words(KEY))
    index = particle_index(n)
    dt = jnp.float32(1.0 / steps)
    theta = jax.random.normal(KEY, (p, n))

    @jax.jit
    def noise_alone() -> jax.Array:
        draw = lambda k, s: s + driver.increment(k, dt, index)  # noqa: E731
        return jax.lax.fori_loop(0, steps, draw, jnp.zeros((p, n)))

    @jax.jit
    def drift_alone() -> jax.Array:
        def step(_: int, th: jax.Array) -> jax.Array:
            m = model.statistic_columns(th) @ jnp.ones(n) / n
            return th + dt * model.drift_columns(dt, th, m)

        return jax.lax.fori_loop(0, steps, step, theta)

    return {"step": run(n, steps, 16, p, kind), "noise": noise_alone, "drift": drift_alone}


def overhead(n: int = 100_000, steps: int = 100) -> list[list[str]]:
    """Time per particle-step of a simulation against noise alone plus drift alone."""
    rows = [["noise, p", "simulation, ns", "noise alone, ns", "drift alone, ns", "ratio"]]
    for p in (2, 10):
        for kind in ("I", "II", "III"):
            times = side_by_side(parts(kind, p, n, steps), repetitions=7)
            ns = {name: s / n / steps * 1e9 for name, s in times.items()}
            ratio = ns["step"] / (ns["noise"] + ns["drift"])
            shown = [f"{ns[k]:.1f}" for k in ("step", "noise", "drift")]
            rows.append([f"Type {kind}, p = {p}", *shown, f"{ratio:.2f}"])
    return rows


def accelerator(n: int = 4_000_000, steps: int = 50, p: int = 2) -> str:
    """Particle-steps per second, and the share of the bandwidth that a plain copy reaches."""
    big = jnp.zeros(2**28, jnp.float32)
    times = side_by_side({"copy": jax.jit(lambda: big + 1), "run": run(n, steps, p=p)})
    bandwidth = 2 * big.nbytes / times["copy"]
    # θ₀, L and D are read twice (statistic, drift), L and D written once.
    moved = 8 * p * 4 * n * steps / times["run"]
    return (
        f"{jax.devices()[0].device_kind}: {n * steps / times['run']:.3g} particle-steps/s "
        f"(n = {n}, p = {p}, M = 16), {100 * moved / bandwidth:.0f} % of the copy bandwidth."
    )


def main() -> None:
    """Prints the tables, and writes them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    text = markdown(overhead()) + "\n\n" + markdown(cost_laws()) + "\n"
    if jax.default_backend() != "cpu":
        text += "\n" + accelerator() + "\n"
    print(text)
    if write:
        write.write_text(text)


if __name__ == "__main__":
    main()
