"""What an accelerator does: `python -m benchmarks.gpu --out DIRECTORY`, or `make bench-gpu`.

Runs on any machine whose JAX sees a GPU, without a network: the numbers of the CPU again, the
sampler against `jax.random.normal`, the engine in particle-steps per second with its share of the
memory bandwidth, a training step against PyTorch (if that is there), the default `stablesde check`,
and tables of the paper at full size, one seed after the other until the time limit. Each part is
written to `gpu.json` when it is done, and `gpu.md` is the table for docs/benchmarks.md. The data
sets are looked for as always (`$STABLESDE_DATA`, ../shared/data).
"""

import argparse
import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import stablesde as ssd
from benchmarks import levy
from benchmarks._problem import network
from benchmarks._timing import markdown, side_by_side
from stablesde.datasets import Dataset, load
from stablesde.training._network import Rule, initialise, optimizer, train_chunk

KEY = jax.random.key(0)
# Rows of the paper's tables in the order in which they are trained: (table, rows).
TABLES = ((5, ("1.75",)), (5, ("none",)), (16, ()), (5, ("1.8", "1.9")), (15, ()), (6, ()))


def bandwidth() -> float:
    """Bytes per second of a copy, read and written."""
    big = jnp.ones(2**28, jnp.float32)
    return 2 * big.nbytes / side_by_side({"copy": jax.jit(lambda x=big: x + 1)})["copy"]


def _particles(dtype: Any, seconds: dict[str, Any], num_particles: int = 2000) -> ssd.Trajectory:
    system = ssd.System(
        network(), ssd.stable_noise(seconds["kind"], 1.5, 2), sigma=0.5, dtype=dtype
    )
    return ssd.simulate(system, KEY, num_particles=num_particles, t1=1.0, num_steps=32)


def agreement() -> list[list[str]]:
    """The numbers of the accelerator against those of the CPU, in the same process."""
    cpu = jax.devices("cpu")[0]
    rows = [["quantity", "largest difference, in units of the quantity's median size"]]

    def compare(name: str, run: Callable[[], Any]) -> None:
        here = np.asarray(run(), np.float64)
        with jax.default_device(cpu):
            jax.clear_caches()
            there = np.asarray(run(), np.float64)
        jax.clear_caches()
        # Heavy tails: each difference against the size of its own number, or of the typical one.
        size = np.maximum(np.abs(there), np.median(np.abs(there)))
        rows.append([name, f"{np.max(np.abs(here - there) / size):.1e}"])

    for kind in ("I", "II", "III"):
        noise = ssd.stable_noise(kind, 1.5, 2)
        draw = lambda z=noise: z.increment(KEY, 3, 0.1, 100_000)  # noqa: E731
        compare(f"increments, Type {kind}, float32", jax.jit(draw))
        final = lambda k=kind: _particles("float32", {"kind": k}).final  # noqa: E731
        compare(f"`simulate`, Type {kind}, 32 steps, float32", final)
    for name, z in _levy(1).items():
        compare(f"increments, {name}, float32", lambda z=z: z.increment(KEY, 3, 0.1, 100_000))
    x = np.geomspace(1e-3, 1e6, 2000)
    with jax.enable_x64(True):
        compare("`stable.logpdf`, α = 1.5, float64", lambda: ssd.stable.logpdf(x, 1.5))
        system = ssd.System(network(2, 1), ssd.stable_noise("I", 1.5, 1), sigma=0.5)
        law = lambda: ssd.fokker_planck(system, t1=1.0, num_steps=16).m[-1]  # noqa: E731
        compare("`fokker_planck`, E φ at T = 1, float64", law)
    return rows


def sampler(count: int = 2**26) -> list[list[str]]:
    """Draws per second against normal ones."""
    draws: dict[str, Callable[[], jax.Array]] = {
        "jax.random.normal": jax.jit(lambda: jax.random.normal(KEY, (count,)))
    }
    for alpha in (0.8, 1.0, 1.5, 1.9, 2.0):
        draws[f"stable.sample, α = {alpha:g}"] = jax.jit(
            lambda a=alpha: ssd.stable.sample(KEY, a, shape=(count,), dtype=jnp.float32)
        )
    index = {"I": 1, "II": 2, "III": 2}
    for kind, p in index.items():
        noise = ssd.stable_noise(kind, 1.5, p)
        draws[f"increments, Type {kind}, α = 1.5"] = jax.jit(
            lambda z=noise, p=p: z.increment(KEY, 3, 0.1, count // p)
        )
    seconds = side_by_side(draws)
    base = seconds["jax.random.normal"]
    rows = [["float32 numbers, 2²⁶ a call", "10⁹ a second", "time over jax.random.normal's"]]
    return rows + [
        [name, f"{count / s / 1e9:.1f}", f"{s / base:.2f}"] for name, s in seconds.items()
    ]


def _levy(dim: int) -> dict[str, ssd.LevyNoise]:
    skewed = {"skewed stable, α = 1.5, β = 0.5": ssd.SkewedStable(1.5, dim, beta=0.5)}
    return levy.noises(dim) | skewed


def levy_noises(count: int = 2**22) -> list[list[str]]:
    """A step of every Lévy noise, in units of Type II."""
    rows = [["noise, 2²² particles", "time over Type II's, dim = 1", "dim = 4"]]
    found: dict[str, list[str]] = {}
    for dim in (1, 4):
        draws = {
            name: jax.jit(lambda z=z: z.increment(KEY, 0, 1 / 64, count))
            for name, z in _levy(dim).items()
        }
        seconds = side_by_side(draws, 5)
        for name, s in seconds.items():
            found.setdefault(name, []).append(f"{s / seconds['Type II, α = 1.5']:.2f}")
    return rows + [[name, *values] for name, values in found.items()]


def engine(copy: float, n: int = 4_000_000, steps: int = 50) -> list[list[str]]:
    """Particle-steps per second, and the share of the memory bandwidth."""
    rows = [["system, n = 4·10⁶, 50 steps", "10⁹ particle-steps a second", "share of bandwidth"]]
    for m, p in ((16, 2), (16, 10), (100, 10)):
        for kind in ("I", "II", "III"):
            system = ssd.System(network(m, p), ssd.stable_noise(kind, 1.5, p))
            run = lambda z=system: (  # noqa: E731
                ssd.simulate(z, KEY, num_particles=n, t1=1.0, num_steps=steps).final
            )
            seconds = side_by_side({"run": run}, 3)["run"]
            # θ₀, L and D are read twice (statistic, drift), L and D written once.
            share = 8 * p * 4 * n * steps / seconds / copy
            name = f"network, M = {m}, p = {p}, Type {kind}"
            rows.append([name, f"{n * steps / seconds / 1e9:.2f}", f"{100 * share:.0f} %"])
    return rows


def _our_step(data: Dataset, width: int, kind: str, batch: int, steps: int) -> Callable[[], Any]:
    x, y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    rule = Rule(5e-3, 6e-4, KEY, KEY)
    weights = initialise(KEY, data.dim, width, data.num_classes)
    carry = [weights, optimizer(rule, kind, 1.75).init(weights)]

    def go() -> Any:
        carry[:] = train_chunk(
            *carry,
            x,
            y,
            jnp.asarray(0),
            rule,
            noise=kind,
            alpha=1.75,
            steps=steps,
            batch_size=batch,
        )
        return carry[0]

    return go


def _torch_step(torch: Any, data: Dataset, width: int, batch: int, steps: int) -> Callable[[], Any]:
    """Plain SGD on the accelerator, as a user of PyTorch writes it (no noise)."""
    x = torch.from_numpy(data.x_train).cuda()
    y = torch.from_numpy(data.y_train.astype(np.int64)).cuda()
    model = torch.nn.Sequential(
        torch.nn.Linear(data.dim, width, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(width, data.num_classes, bias=False),
    ).cuda()
    descent = torch.optim.SGD(model.parameters(), lr=5e-3)

    def go() -> float:
        for k in range(steps):
            rows = slice(k % 10 * batch, (k % 10 + 1) * batch)
            descent.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            descent.step()
        torch.cuda.synchronize()
        return float(model[2].weight[0, 0])

    return go


def training_step(steps: int = 20) -> list[list[str]]:
    """A step on MNIST, batches of 5000, float32 products at both precisions."""
    torch = None
    with contextlib.suppress(ImportError):
        import torch
    data = load("mnist")
    rows = [["MNIST, batch 5000, ms a step", *(f"n = {w}" for w in (2000, 5000, 10_000))]]
    found: dict[str, list[str]] = {}
    for width in (2000, 5000, 10_000):
        for precision in ("highest", "default"):
            with jax.default_matmul_precision(precision):
                runs = {
                    kind: _our_step(data, width, kind, 5000, steps)
                    for kind in (
                        ("none", "I", "II", "III") if precision == "highest" else ("none",)
                    )
                }
                times = side_by_side(runs, 3)
            for kind, seconds in times.items():
                noise = "no noise" if kind == "none" else f"Type {kind}"
                name = f"stablesde, {noise}, products at {precision} precision"
                found.setdefault(name, []).append(f"{1e3 * seconds / steps:.2f}")
        if torch is not None and torch.cuda.is_available():
            for tf32 in (False, True):
                torch.backends.cuda.matmul.allow_tf32 = tf32
                run = _torch_step(torch, data, width, 5000, steps)
                seconds = side_by_side({"torch": run}, 3)["torch"]
                name = f"PyTorch, no noise, {'TF32' if tf32 else 'float32'}"
                found.setdefault(name, []).append(f"{1e3 * seconds / steps:.2f}")
    return rows + [[name, *values] for name, values in found.items()]


def _environment() -> dict[str, str]:
    return os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "MPLBACKEND": "Agg"}


def check(out: Path, limit: float) -> list[list[str]]:
    """The default check from an empty compilation cache, and again with the cache."""
    rows = [["`stablesde check`", "seconds", "exit code"]]
    places = {"JAX_COMPILATION_CACHE_DIR": str(out / "compiled")}
    for name, folder in (("empty cache", "check"), ("the same again, with the cache", "check-2")):
        command = [sys.executable, "-m", "stablesde", "check", "--out", str(out / folder)]
        start = time.perf_counter()
        with (
            (out / f"{folder}.txt").open("w") as log,
            contextlib.suppress(subprocess.SubprocessError),
        ):
            done = subprocess.run(
                command,
                env=_environment() | places,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
            rows.append([name, f"{time.perf_counter() - start:.0f}", str(done.returncode)])
            continue
        rows.append([name, f"more than {limit:.0f}", "stopped"])
    return rows


def tables(out: Path, limit: float, seeds: int) -> list[str]:
    """Rows of the paper's tables, seed after seed, until the limit."""
    start, texts = time.perf_counter(), {}
    for seed in range(seeds):
        for number, only in TABLES:
            if time.perf_counter() - start > limit:
                return list(texts.values())
            try:
                table = ssd.paper.paper_table(
                    number, out / "tables", run=True, seeds=range(seed + 1), only=only
                )
            except (OSError, ValueError) as error:
                texts[number, only] = f"Table {number}: {error}"
                continue
            took = f"{time.perf_counter() - start:.0f} s since the start of the tables"
            texts[number, only] = f"{table}\n({took})"
            print(texts[number, only], flush=True)
    return list(texts.values())


def _sections(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Any]]]:
    copy: list[float] = []

    def measured() -> str:
        copy.append(bandwidth())
        return f"{copy[0] / 1e12:.2f} TB/s read and written by a copy"

    yield "bandwidth", measured
    yield "sampler", sampler
    yield "Lévy noises", levy_noises
    yield "engine", lambda: engine(copy[0] if copy else math.nan)
    yield "training step", training_step
    yield "agreement", agreement
    yield "check", lambda: check(options.out, options.check_limit)
    yield "tables", lambda: tables(options.out, options.table_limit, options.seeds)


def _text(found: dict[str, Any]) -> str:
    parts = [f"{found['device']}, {found['versions']}; `make bench-gpu`"]
    for value in found.values():
        if isinstance(value, list) and value and isinstance(value[0], list):
            parts.append(markdown(value))
        elif isinstance(value, list):
            parts += [f"```\n{text}\n```" for text in value]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Runs the parts, each written as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results-gpu"))
    parser.add_argument("--only", nargs="*", help="parts by name")
    parser.add_argument("--check-limit", type=float, default=900, help="seconds")
    parser.add_argument("--table-limit", type=float, default=1800, help="seconds")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    device = jax.devices()[0]
    if device.platform == "cpu":
        raise SystemExit("JAX sees no accelerator: pip install '.[gpu]' where there is one.")
    options.out.mkdir(parents=True, exist_ok=True)
    versions = f"jax {jax.__version__}, Python {platform.python_version()}"
    path = options.out / "gpu.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found |= {"device": device.device_kind, "versions": versions}
    for name, part in _sections(options):
        if options.only and name not in options.only:
            continue
        start = time.perf_counter()
        try:
            found[name] = part()
        except Exception:  # the other parts are worth having
            found[name] = traceback.format_exc()
            print(found[name], flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False))
        (options.out / "gpu.md").write_text(_text(found))
    print(_text(found))


if __name__ == "__main__":
    main()
