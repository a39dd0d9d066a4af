"""What a first call costs: `python -m benchmarks.compile [--write FILE]`.

Programs compiled and seconds in the compiler, as multiples of one reference: a scan of 32 Euler
steps of the same drift with `jax.random.normal`. Medians of `--repetitions`, in each of which every
program is compiled anew, the reference between the calls, without the first imports and tables of a
process; JAX's persistent cache is off. Then the same call with other numbers (α, σ, t1, a rate and
the key), which compiles nothing.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown
from stablesde import stable

WIDTHS = (10, 20, 40, 80, 160)


class Compiler:
    """Counts the programs that are compiled, and the seconds in the compiler."""

    def __init__(self) -> None:
        self.programs, self.seconds = 0, 0.0
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, seconds: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):
            self.programs += 1
            self.seconds += seconds

    def measured(self, call: Callable[[], Any]) -> tuple[float, int, float]:
        """Seconds of a call, programs compiled by it, and seconds in the compiler."""
        programs, seconds, start = self.programs, self.seconds, time.perf_counter()
        jax.block_until_ready(jax.tree.leaves(call()))
        elapsed = time.perf_counter() - start
        return elapsed, self.programs - programs, self.seconds - seconds


def reference(scale: float) -> jax.Array:
    """Euler steps of the same drift, straightforwardly, with normal noise."""
    model = network()

    @jax.jit
    def run(key: jax.Array, theta: jax.Array, scale: jax.Array) -> jax.Array:
        def step(theta: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            m = jnp.mean(model.statistic_columns(theta), 1)
            drift = model.drift_columns(jnp.zeros(()), theta, m)
            return theta + drift / 32 + scale * jax.random.normal(key, theta.shape), None

        return jax.lax.scan(step, theta, jax.random.split(key, 32))[0]

    return run(jax.random.key(0), jnp.ones((2, 1000)), jnp.asarray(scale))


def calls() -> dict[str, Callable[[float], Any]]:
    """What is measured, as functions of a number that enters everywhere."""
    model, x = network(), np.linspace(-3.0, 3.0, 1000)
    grid = {"num_steps": 32}

    def system(v: float) -> ssd.System:
        return ssd.System(ssd.WeightDecay(model, v), ssd.stable_noise("I", 1 + v, 2), sigma=v)

    def key(v: float) -> jax.Array:
        return jax.random.key(int(1000 * v))

    def strong(v: float, widths: tuple[int, ...], steps: tuple[int, ...]) -> Any:
        return ssd.strong_error(
            system(v), key(v), widths=widths, num_steps=steps, fine_steps=1024, t1=v, replicas=16
        ).errors

    def chaos(v: float) -> Any:
        return ssd.propagation_of_chaos(
            system(v), key(v), widths=WIDTHS, t1=v, replicas=16, **grid
        ).errors

    return {
        "simulate": lambda v: ssd.simulate(
            system(v), key(v), num_particles=1000, t1=v, save_every=8, **grid
        ),
        "law_flow": lambda v: ssd.law_flow(system(v), key(v), num_particles=10_000, t1=v, **grid).m,
        "strong_error, 3 x 4": lambda v: strong(v, WIDTHS[:3], (4, 8, 16, 32)),
        "strong_error, 5 x 6": lambda v: strong(v, WIDTHS, (2, 4, 8, 16, 32, 64)),
        "propagation_of_chaos, 5": chaos,
        "independence, 4": lambda v: (
            ssd.independence(
                system(v), key(v), widths=WIDTHS[:4], t1=v, replicas=16, batch=16, **grid
            ).means
        ),
        "compression_probability, 4": lambda v: (
            ssd.compression_probability(
                ssd.System(model, ssd.stable_noise("I", 1 + v, 2), sigma=v),
                key(v),
                widths=WIDTHS[:4],
                kappas=(0.3,),
                epsilons=(0.3,),
                t1=v,
                replicas=16,
                **grid,
            ).errors
        ),
        "stable.pdf": lambda v: stable.pdf(x, 1 + v),
        "stable.cdf": lambda v: stable.cdf(x, 1 + v),
        "stable.ppf": lambda v: stable.ppf((x + 4) / 8, 1 + v),
        "stable.sample": lambda v: stable.sample(key(v), 1 + v, shape=(1000,)),
        "stable.tail_index": lambda v: stable.tail_index(np.abs(x) ** -v).estimate,
    }


def table(repetitions: int) -> list[list[str]]:
    """One row for each call."""
    jax.config.update("jax_compilation_cache_dir", None)
    compiler, key = Compiler(), jax.random.key
    units: list[float] = []
    measured: dict[str, list[Any]] = {name: [] for name in calls()}

    def warm() -> None:
        """What making a key and an array compiles, which is no program of the calls."""
        jax.block_until_ready(jnp.ones(3) + jnp.arange(3) * jax.random.uniform(key(0), (3,)))
        jax.block_until_ready(key(700))

    for _ in range(repetitions):
        for name, call in calls().items():
            jax.clear_caches()
            warm()
            units.append(compiler.measured(lambda: reference(0.4))[2])
            first = compiler.measured(lambda call=call: call(0.7))
            again = compiler.measured(lambda call=call: call(0.6))
            measured[name].append((*first, *again[:2]))
    unit = statistics.median(units)
    rows = [["call", "first, s", "programs", f"compiler, × {unit:.2f} s", "again, s", "programs"]]
    for name, found in measured.items():
        first, programs, seconds, again, more = map(statistics.median, zip(*found, strict=True))
        rows.append(
            [
                name,
                f"{first:.2f}",
                f"{programs:.0f}",
                f"{seconds / unit:.2f}",
                f"{again:.3f}",
                f"{more:.0f}",
            ]
        )
    return rows


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    write, text = arguments.write, markdown(table(arguments.repetitions)) + "\n"
    print(text)
    if write:
        write.write_text(text)


if __name__ == "__main__":
    main()
