"""The paper's experiment in the scaling of its theory, beside what theory predicts for it.

`f(x) = (1/n) Σ_i a(⟨θ^i, x⟩)` with the second layer fixed to 1/n, gradient times n, a bounded
smooth unit: then `θ_{k+1} = θ_k - η n ∂R/∂θ + σ η^{1/α} X` is the Euler scheme that
`stablesde.simulate` runs, and copies of its McKean–Vlasov limit can be set beside it.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from stablesde._records import JsonRecord
from stablesde.compression import prunable
from stablesde.datasets import Dataset, load
from stablesde.dynamics import LawFlow, Trajectory, law_flow, simulate, simulate_limit
from stablesde.model import NetworkModel
from stablesde.noise import stable_noise
from stablesde.paper._prediction import PredictedRatio, noise_scale, predicted_ratio
from stablesde.paper._presets import preset
from stablesde.paper._train import (
    DivergedError,
    Measured,
    format_measured,
)
from stablesde.system import System
from stablesde.training._checks import (
    check_count,
    check_name,
    check_rate,
    check_setting,
    check_sigma,
    choose_seeds,
)
from stablesde.training._network import first_layer

_EVALUATION_BATCH = 2000
_FLOW_FACTOR = 10  # particles of the law flow over the width


@dataclasses.dataclass(frozen=True)
class MeanFieldResult(JsonRecord):
    """Trained networks in mean-field scaling beside their limit. Ratios are in percent.

    Over `seeds`: accuracies and `pruning_ratio` of the trained networks; `limit_ratio` of as many
    copies of the limit *with the same start and noise*; `noise_ratio` of the same columns without
    drift, θ₀ + σL_T; `drift`, the median over units of ‖D_T‖, how far training moved them;
    `distance`, the largest ‖θ_T - limit copy‖ among the units (propagation of chaos).

    Free of these seeds: `predicted`, the ratio in networks of fresh copies of the limit;
    `predicted_noise`, in fresh networks without drift. `drift_bound`: T sup‖b‖ (infinite for a unit
    outside Assumption 1). `flow_error`: of the law flow, the largest standard error over time and
    outputs.
    """

    dataset: str
    width: int
    unit: str
    noise: str
    alpha: float
    sigma: float
    learning_rate: float
    steps: int
    seeds: tuple[int, ...]
    dtype: str
    train_accuracy: Measured
    test_accuracy: Measured
    pruning_ratio: Measured
    train_accuracy_pruned: Measured
    test_accuracy_pruned: Measured
    limit_ratio: Measured
    noise_ratio: Measured
    drift: Measured
    distance: Measured
    predicted: PredictedRatio
    predicted_noise: PredictedRatio
    drift_bound: float
    flow_error: float

    def __str__(self) -> str:
        """The trained networks beside the limit, as a table."""
        r, count = self, len(self.seeds)
        head = (
            f"{r.dataset}, mean-field scaling, {r.unit}, n = {r.width}, Type {r.noise} noise, "
            f"α = {r.alpha:g}, σ = {r.sigma:.4g}, η = {r.learning_rate:g}, {r.steps} steps, "
            f"{count} seed{'s' * (count > 1)}, {r.dtype}"
        )

        def line(label: str, measured: Measured, digits: int) -> str:
            return f"{label:40}{format_measured(measured.mean, measured.std, digits):>18}"

        def fresh(label: str, law: PredictedRatio) -> str:
            middle, low, high = (law.quantile(q) for q in (0.5, 0.05, 0.95))
            range_ = f"90 % in [{low:.1f}, {high:.1f}] of {len(law.samples)}"
            return f"{label:40}{middle:10.2f}, {range_}"

        return "\n".join(
            [
                head,
                line("train accuracy", r.train_accuracy, 4),
                line("test accuracy", r.test_accuracy, 4),
                line("train accuracy, pruned", r.train_accuracy_pruned, 4),
                line("test accuracy, pruned", r.test_accuracy_pruned, 4),
                line("pruning ratio (%), trained", r.pruning_ratio, 2),
                line("  limit, same start and noise", r.limit_ratio, 2),
                line("  without drift, same start and noise", r.noise_ratio, 2),
                fresh("  fresh networks of the limit", r.predicted),
                fresh("  fresh networks without drift", r.predicted_noise),
                line("‖D_T‖, median over units", r.drift, 4),
                line("largest distance to the limit copy", r.distance, 4),
                f"{'bound on ‖D_T‖: T sup‖b‖':40}{r.drift_bound:>18.4g}",
                f"{'law flow, largest standard error':40}{r.flow_error:>18.2g}",
            ]
        )

    def __repr__(self) -> str:
        return (
            f"MeanFieldResult({self.dataset}, n = {self.width}, Type {self.noise}: "
            f"{self.pruning_ratio.mean:.1f} % pruned, the limit predicts "
            f"{self.predicted.quantile(0.05):.1f} to {self.predicted.quantile(0.95):.1f} %)"
        )


def train_mean_field(
    dataset: str | Dataset,
    *,
    width: int,
    noise: str = "I",
    alpha: float = 1.75,
    sigma: float | None = None,
    learning_rate: float = 0.01,
    steps: int = 100,
    unit: str = "tanh",
    seeds: int | Sequence[int] = 3,
    predictions: int = 40,
    root: str | Path | None = None,
) -> MeanFieldResult:
    """Trains in mean-field scaling and compares with the McKean–Vlasov limit.

    The full-batch Euler scheme of the paper's equation (3) with logistic loss; θ₀ as in `train`.

    **Arguments:**

    - `dataset`: a name for `stablesde.datasets.load` (with `root`), or a `Dataset`; two classes.
    - `width`: units n. `noise`: "I", "II" or "III". `alpha`: in (0, 2].
    - `sigma`: noise level; None for the one that ends in the noise of `train`'s preset for this
      data set and width, `σ T^{1/α}` being equal.
    - `learning_rate`: η, in units of the limit's time; `steps`: how many, so T = η steps.
    - `unit`: an activation of `NetworkModel`. `seeds`: how many, from 0 on; or the seeds.
    - `predictions`: independent networks of limit copies behind `predicted`, 2 or more.

    **Returns:** a `MeanFieldResult`.

    **Raises:** `ValueError` for settings out of range, or if training diverges; `FileNotFoundError`
    where the data cannot be had; `MemoryError` for a `width` that does not fit.
    """
    check_name(dataset)
    width, alpha = check_setting(width, noise, alpha)
    if noise == "none":
        raise ValueError("without noise there is no tail to predict: noise must be I, II or III.")
    learning_rate, steps = check_rate(learning_rate), check_count("steps", steps)
    predictions = check_count("predictions", predictions)
    if predictions < 2:
        raise ValueError("predictions must be at least 2: one network has no spread.")
    chosen = choose_seeds(seeds)
    data = load(dataset, root) if isinstance(dataset, str) else dataset
    if data.num_classes != 2:
        raise ValueError(
            f"{data.name} has {data.num_classes} classes: a second layer fixed to 1/n has one "
            "output, so take two of them."
        )
    t1 = learning_rate * steps
    if sigma is None:
        like = preset(data.name, width, noise)
        sigma = noise_scale(like.sigma, like.learning_rate * like.steps / t1, alpha)
    sigma = check_sigma(sigma)
    model = NetworkModel(unit, "logistic", data.x_train, data.y_train)
    law = stable_noise(noise, alpha, data.dim)
    system = System(model, law, sigma, init=_start(data.dim))
    experiment = _Experiment(data, system, width, t1, steps)
    first = jax.random.key(chosen[0])
    flow = experiment.flow(first)
    runs = [experiment.run(flow, s) for s in chosen]
    fresh = [
        _ratio(experiment.copies(flow, jax.random.fold_in(first, _FRESH + k)).final)
        for k in range(predictions)
    ]
    free = predicted_ratio(
        width,
        noise,
        alpha,
        sigma=sigma,
        learning_rate=learning_rate,
        steps=steps,
        dim=data.dim,
        seed=chosen[0],
    )
    return MeanFieldResult(
        dataset=data.name,
        width=width,
        unit=unit,
        noise=noise,
        alpha=alpha,
        sigma=sigma,
        learning_rate=learning_rate,
        steps=steps,
        seeds=chosen,
        dtype=str(jnp.zeros(0).dtype),
        predicted=dataclasses.replace(free, samples=tuple(fresh)),
        predicted_noise=free,
        drift_bound=t1 * model.assumption_constants().drift_bound,
        flow_error=float(jnp.max(flow.standard_error)),
        **{k: Measured(tuple(r[k] for r in runs)) for k in runs[0]},
    )


_FRESH = 10**6


@functools.cache  # one function per dimension, so that programs are compiled once
def _start(dim: int) -> Callable[[PRNGKeyArray], Array]:
    """The law of θ₀ in `train`, for one unit."""
    return lambda key: first_layer(key, dim, 1)[:, 0]


@dataclasses.dataclass(frozen=True)
class _Experiment:
    """A model with its data and settings; everything random comes by key."""

    data: Dataset
    system: System
    width: int
    t1: float
    steps: int

    def flow(self, key: PRNGKeyArray) -> LawFlow:
        particles = _FLOW_FACTOR * self.width
        return law_flow(self.system, key, t1=self.t1, num_steps=self.steps, num_particles=particles)

    def copies(self, flow: LawFlow, key: PRNGKeyArray) -> Trajectory:
        """n copies of the limit, with the noise of the particles under the same key."""
        return simulate_limit(flow, key, num_particles=self.width)

    def run(self, flow: LawFlow, seed: int) -> dict[str, float]:
        """What one seed measures, and its coupled copies of the limit."""
        key = jax.random.key(seed)
        trained = simulate(
            self.system, key, num_particles=self.width, t1=self.t1, num_steps=self.steps
        )
        theta, moved = trained.final, trained.displacement[-1]
        if not bool(jnp.all(jnp.isfinite(theta))):
            raise DivergedError(f"training diverged (seed {seed}): lower learning_rate or sigma.")
        limit = self.copies(flow, key)
        removed = prunable(theta, 0.1)
        none_removed = jnp.zeros_like(removed)
        sets = {
            "train": (self.data.x_train, self.data.y_train),
            "test": (self.data.x_test, self.data.y_test),
        }
        found = {f"{k}_accuracy": self._accuracy(theta, none_removed, *v) for k, v in sets.items()}
        found["pruning_ratio"] = 100 * float(jnp.mean(removed))
        found |= {
            f"{k}_accuracy_pruned": self._accuracy(theta, removed, *v) for k, v in sets.items()
        }
        return found | {
            "limit_ratio": _ratio(limit.final),
            "noise_ratio": _ratio(trained.initial + trained.levy[-1]),
            "drift": float(jnp.median(jnp.linalg.norm(moved, axis=1))),
            "distance": float(jnp.max(jnp.linalg.norm(moved - limit.displacement[-1], axis=1))),
        }

    def _accuracy(
        self, theta: Float[Array, "n p"], removed: Bool[Array, " n"], x: np.ndarray, y: np.ndarray
    ) -> float:
        """Fraction classified correctly by the units that are left."""
        model: Any = self.system.model
        correct = 0
        for start in range(0, len(x), _EVALUATION_BATCH):
            part = slice(start, start + _EVALUATION_BATCH)
            h = model.unit.output_columns(theta.T, jnp.asarray(x[part], theta.dtype))
            f = jnp.mean(jnp.where(removed, 0, h), -1).reshape(-1)
            correct += int(jnp.sum((f > 0) == jnp.asarray(y[part] > 0)))
        return correct / len(x)


def _ratio(theta: Float[Array, "n p"]) -> float:
    return 100 * float(jnp.mean(prunable(theta, 0.1)))
