"""Against PyTorch on the CPU: `python -m benchmarks.against_torch [--write FILE]`.

The same particle system (tanh network, logistic loss) written straightforwardly in PyTorch, with
its noise from scipy.stats.levy_stable, as the paper's code draws it, or from its own vectorised
Chambers–Mallows–Stuck formula. Needs the extra `bench`.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import scipy.stats

import stablesde as ssd
from benchmarks._problem import network
from benchmarks._timing import markdown, side_by_side
from benchmarks.engine import KEY

try:
    import torch
except ImportError:
    raise SystemExit("this benchmark needs PyTorch: pip install '.[bench]'") from None

N, STEPS, ALPHA, SIGMA, P = 100_000, 20, 1.5, 1.0, 2
DT = 1.0 / STEPS


def torch_cms(shape: tuple[int, ...]) -> torch.Tensor:
    """The usual Chambers–Mallows–Stuck formula, symmetric, α ≠ 1."""
    u = (torch.rand(shape) - 0.5) * math.pi
    e = torch.empty(shape).exponential_()
    power = (torch.cos((1 - ALPHA) * u) / e) ** ((1 - ALPHA) / ALPHA)
    return torch.sin(ALPHA * u) / torch.cos(u) ** (1 / ALPHA) * power


def torch_positive(shape: tuple[int, ...]) -> torch.Tensor:
    """Kanter's formula for the positive stable law of index α / 2."""
    a = ALPHA / 2
    u = torch.rand(shape) * math.pi
    e = torch.empty(shape).exponential_()
    first = torch.sin(a * u) / torch.sin(u) ** (1 / a)
    return first * (torch.sin((1 - a) * u) / e) ** ((1 - a) / a)


def torch_noise(kind: str, source: str) -> Callable[[], torch.Tensor]:
    """A draw of the paper's noise, (N, P) or what broadcasts to it."""
    rng = np.random.default_rng(0)

    def scipy_draw(shape: tuple[int, ...]) -> torch.Tensor:
        draw = scipy.stats.levy_stable.rvs(ALPHA, 0.0, size=shape, random_state=rng)
        return torch.from_numpy(draw.astype(np.float32))

    def scipy_positive(shape: tuple[int, ...]) -> torch.Tensor:
        scale = math.cos(math.pi * ALPHA / 4) ** (2 / ALPHA)
        draw = scipy.stats.levy_stable.rvs(
            ALPHA / 2, 1.0, loc=0, scale=scale, size=shape, random_state=rng
        )
        return torch.from_numpy(draw.astype(np.float32))

    symmetric = scipy_draw if source == "scipy" else torch_cms
    positive = scipy_positive if source == "scipy" else torch_positive
    return {
        "I": lambda: symmetric((N, 1)),
        "II": lambda: symmetric((N, P)),
        "III": lambda: torch.sqrt(2 * positive((N, 1))) * torch.randn(N, P),
    }[kind]


def torch_drift(theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean-field drift of all particles, by hand: one tanh per particle and data point."""
    h = torch.tanh(theta @ x.T)
    residual = (torch.sigmoid(h.mean(0)) - y) / len(y)
    return -((1 - h * h) * residual) @ x


def torch_data() -> tuple[torch.Tensor, torch.Tensor]:
    """The network's inputs, and its labels as 0 and 1 (the model keeps them as ±1)."""
    model = network()
    labels = (np.array(model.y, np.float32)[:, 0] + 1) / 2
    return torch.from_numpy(np.array(model.x, np.float32)), torch.from_numpy(labels)


def torch_run(kind: str, source: str) -> Callable[[], float]:
    """The Euler scheme in PyTorch, to be timed."""
    x, y = torch_data()
    draw = torch_noise(kind, source)
    scale = SIGMA * DT ** (1 / ALPHA)

    @torch.no_grad()
    def go() -> float:
        theta = torch.randn(N, P)
        for _ in range(STEPS):
            theta = theta + DT * torch_drift(theta, x, y) + scale * draw()
        return float(theta[0, 0])

    return go


def same_drift() -> float:
    """Largest difference between the two drifts on the same particles."""
    model = network()
    theta = np.random.default_rng(1).normal(size=(1000, P)).astype(np.float32)
    m = jnp.mean(model.statistic_columns(jnp.asarray(theta.T)), 1)
    ours = model.drift_columns(jnp.zeros(()), jnp.asarray(theta.T), m).T
    x, y = torch_data()
    theirs = torch_drift(torch.from_numpy(theta), x, y).numpy()
    return float(np.abs(np.asarray(ours) - theirs).max())


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    write = parser.parse_args().write
    difference = same_drift()
    if difference > 1e-5:
        raise SystemExit(f"the two drifts differ by {difference}: nothing to compare.")
    head = ["noise", "stablesde, ns", "PyTorch with CMS, ns", "with scipy, ns", "ratios"]
    rows = [head]
    for kind in ("I", "II", "III"):
        noise = ssd.stable_noise(kind, ALPHA, P)
        settings = dict(num_particles=N, t1=1.0, num_steps=STEPS)
        system = ssd.System(network(), noise, sigma=SIGMA)
        contestants = {
            "ours": lambda z=system, s=settings: ssd.simulate(z, KEY, **s).final,
            "cms": torch_run(kind, "cms"),
            "scipy": torch_run(kind, "scipy"),
        }
        times = side_by_side(contestants, repetitions=7)
        ns = [f"{times[k] / N / STEPS * 1e9:.0f}" for k in ("ours", "cms", "scipy")]
        ratios = " / ".join(f"{times[k] / times['ours']:.1f}" for k in ("cms", "scipy"))
        rows.append([f"Type {kind}", *ns, ratios])
    text = markdown(rows) + "\n"
    print(text)
    if write:
        write.write_text(text)


if __name__ == "__main__":
    main()
