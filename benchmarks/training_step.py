"""Time per training step against PyTorch: `python -m benchmarks.training_step [--write FILE]`.

ECG5000, n = 2000, full batch, float32: our compiled step beside a PyTorch CPU loop that does what
the paper's loop does, with its noise from scipy.stats.levy_stable drawn anew in each step. PyTorch
runs with one thread and with all, and its better time counts: beside other work on the machine, its
threads wait for each other. And what Type I noise costs on MNIST, batches of 5000. Needs the extra
`bench`, and the data.
"""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from benchmarks._timing import markdown, side_by_side
from stablesde.datasets import Dataset, load
from stablesde.training._network import Network, Rule, initialise, loss, optimizer, train_chunk

try:
    import torch
except ImportError:
    raise SystemExit("this benchmark needs PyTorch: pip install '.[bench]'") from None

N, ALPHA, RATE, SIGMA = 2000, 1.75, 3e-4, 0.15
KINDS = ("none", "I", "II", "III")
# What theirs may draw, and how many times faster we want to be.
BARS = {"none": 1.0, "I": 1.0, "II": 4.0, "III": 1.5, "III, normals from NumPy": 1.5}


def ours(data: Dataset, kind: str, steps: int, batch: int | None) -> Callable[[], Any]:
    """`steps` steps of the compiled program that `paper.fit` runs."""
    x, y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    key = jax.random.key(0)
    rule = Rule(RATE, SIGMA, key, key)
    network = initialise(key, data.dim, N, data.num_classes)
    carry = [network, optimizer(rule, kind, ALPHA).init(network)]

    def go() -> Network:
        carry[:] = train_chunk(
            *carry, x, y, jnp.asarray(0), rule,
            noise=kind, alpha=ALPHA, steps=steps, batch_size=batch,
        )  # fmt: skip
        return carry[0]

    return go


def torch_noise(kind: str, dim: int) -> Callable[[], torch.Tensor]:
    """A draw of the noise for weights (N, dim), as the paper defines it."""
    rng = np.random.default_rng(0)

    def stable(alpha: float, beta: float, scale: float, shape: tuple[int, ...]) -> torch.Tensor:
        draw = scipy.stats.levy_stable.rvs(
            alpha, beta, loc=0, scale=scale, size=shape, random_state=rng
        )
        return torch.from_numpy(draw.astype(np.float32))

    half = math.cos(math.pi * ALPHA / 4) ** (2 / ALPHA)
    return {
        "I": lambda: stable(ALPHA, 0.0, 1.0, (N, 1)),
        "II": lambda: stable(ALPHA, 0.0, 1.0, (N, dim)),
        "III": lambda: torch.sqrt(2 * stable(ALPHA / 2, 1.0, half, (N, 1))) * torch.randn(N, dim),
        "III, normals from NumPy": lambda: (
            torch.sqrt(2 * stable(ALPHA / 2, 1.0, half, (N, 1)))
            * torch.from_numpy(rng.normal(size=(N, dim)).astype(np.float32))
        ),
    }[kind]


def torch_model(dim: int, classes: int) -> torch.nn.Sequential:
    """The paper's network, without biases."""
    return torch.nn.Sequential(
        torch.nn.Linear(dim, N, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(N, classes, bias=False),
    )


def theirs(data: Dataset, kind: str, steps: int, threads: int) -> Callable[[], float]:
    """`steps` steps of full-batch SGD in PyTorch, on so many threads."""
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train.astype(np.int64))
    model = torch_model(data.dim, data.num_classes)
    descent = torch.optim.SGD(model.parameters(), lr=RATE)
    draw = None if kind == "none" else torch_noise(kind, data.dim)
    scale = SIGMA * RATE ** (1 / ALPHA)

    def go() -> float:
        torch.set_num_threads(threads)
        for _ in range(steps):
            descent.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            descent.step()
            if draw is not None:
                with torch.no_grad():
                    model[0].weight += scale * draw()
        return model[0].weight[0, 0].item()

    return go


def same_gradient(data: Dataset) -> float:
    """Largest relative difference between the two gradients of the first layer."""
    network = initialise(jax.random.key(1), data.dim, N, data.num_classes)
    gradient = jax.grad(loss)(network, jnp.asarray(data.x_train), jnp.asarray(data.y_train))
    model = torch_model(data.dim, data.num_classes)
    with torch.no_grad():
        for layer, weight in zip((model[0], model[2]), network, strict=True):
            layer.weight.copy_(torch.from_numpy(np.array(weight.T)))
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train.astype(np.int64))
    torch.nn.functional.cross_entropy(model(x), y).backward()
    difference = np.abs(np.asarray(gradient.w1).T - model[0].weight.grad.numpy()).max()
    return float(difference / np.abs(np.asarray(gradient.w1)).max())


def against_torch(repetitions: int) -> list[list[str]]:
    """Rows of the first table."""
    data, steps = load("ecg5000"), 20
    difference = same_gradient(data)
    if difference > 1e-4:
        raise SystemExit(f"the two gradients differ by {difference}: nothing to compare.")
    all_threads = sorted({1, os.cpu_count() or 1})
    contestants: dict[str, Callable[[], Any]] = {}
    for kind in BARS:
        if kind in KINDS:
            contestants[f"ours {kind}"] = ours(data, kind, steps, None)
        for threads in all_threads:
            contestants[f"{threads} {kind}"] = theirs(data, kind, steps, threads)
    times = side_by_side(contestants, repetitions)
    head = [f"PyTorch with scipy, {n} thread{'s' * (n > 1)}, ms" for n in all_threads]
    rows = [["noise", "stablesde, ms", *head, "the better one over ours", "bar"]]
    for kind, bar in BARS.items():
        mine = times[f"ours {kind.split(',')[0]}"] / steps * 1e3
        others = [times[f"{threads} {kind}"] / steps * 1e3 for threads in all_threads]
        ratio = f"{min(others) / mine:.2f}"
        shown = [f"{other:.2f}" for other in others]
        rows.append([name_of(kind), f"{mine:.2f}", *shown, ratio, f"{bar:g}"])
    return rows


def name_of(kind: str) -> str:
    """A noise in words."""
    return "none" if kind == "none" else f"Type {kind}"


def cost_of_noise(repetitions: int) -> list[list[str]]:
    """Rows of the second table: MNIST, a step with noise over one without."""
    data, steps = load("mnist"), 2
    times = side_by_side({k: ours(data, k, steps, 5000) for k in KINDS}, repetitions)
    rows = [["noise", "a step on MNIST, ms", "over a noiseless step"]]
    for kind in KINDS:
        name = "none" if kind == "none" else f"Type {kind}"
        rows.append(
            [name, f"{times[kind] / steps * 1e3:.0f}", f"{times[kind] / times['none']:.3f}"]
        )
    return rows


def main() -> None:
    """Prints the tables, and writes them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args()
    tables = [against_torch(options.repetitions), cost_of_noise(options.repetitions)]
    text = "\n\n".join(markdown(rows) for rows in tables) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
