"""Training runs over seeds, pruned and measured, beside the paper's row."""

import dataclasses
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from stablesde._arguments import as_number
from stablesde._fingerprint import fingerprint
from stablesde._progress import progress
from stablesde._records import JsonRecord
from stablesde._version import __version__
from stablesde.datasets import Dataset, load
from stablesde.dynamics._memory import require_memory
from stablesde.paper._checkpoint import Checkpoint
from stablesde.paper._presets import Preset, paper_row, preset
from stablesde.stable._domain import number_text
from stablesde.store import as_path
from stablesde.training._checks import (
    check_data,
    check_name,
    check_seed,
    check_setting,
    choose_seeds,
)
from stablesde.training._network import (
    Network,
    Rule,
    accuracy,
    initialise,
    optimizer,
    pruned,
    train_chunk,
)

MEASURED = (
    "train_accuracy",
    "test_accuracy",
    "pruning_ratio",
    "train_accuracy_pruned",
    "test_accuracy_pruned",
)
_CHUNK = 100


class DivergedError(ValueError):
    """A training run whose weights are no longer finite."""


@dataclasses.dataclass(frozen=True)
class Measured(JsonRecord):
    """A quantity over seeds: mean, standard deviation (n - 1; None for one seed), all values."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean."""
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """The standard deviation with n - 1, or None for a single seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def summary(self) -> dict[str, Any]:
        """Mean and standard deviation."""
        return {"mean": self.mean, "std": self.std}

    def __repr__(self) -> str:
        spread = "" if self.std is None else f" ± {number_text(self.std, 2)}"
        return f"Measured({number_text(self.mean)}{spread}, {len(self.values)} values)"


@dataclasses.dataclass(frozen=True)
class TrainResult(JsonRecord):
    """A setting and what its seeds gave. Accuracies are fractions; the pruning ratio is in percent.

    `pruning_ratio`: hidden units removed while their share of the squared norm stays ≤ 0.1;
    `…_pruned`: accuracies of the network without them. `steps_taken` differs from `steps` where
    training stopped at a target accuracy. `seeds` are those measured, in the order of all values;
    `diverged_seeds` those left out because their weights did not stay finite.
    """

    dataset: str
    width: int
    noise: str
    alpha: float | None
    sigma: float
    learning_rate: float
    steps: int
    steps_taken: tuple[int, ...]
    seeds: tuple[int, ...]
    dtype: str
    train_accuracy: Measured
    test_accuracy: Measured
    pruning_ratio: Measured
    train_accuracy_pruned: Measured
    test_accuracy_pruned: Measured
    diverged_seeds: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Ours beside the paper's row, if it has one: mean ± standard deviation over seeds."""
        row = paper_row(self.dataset, self.noise, self.width, self.alpha or 0.0)
        noise = "no noise"
        if self.noise != "none":
            noise = f"Type {self.noise} noise, α = {self.alpha:g}, σ = {self.sigma:g}"
        count = len(self.seeds)
        head = (
            f"{self.dataset}, n = {self.width}, {noise}, η = {self.learning_rate:g}, "
            f"{max(self.steps_taken)} steps, {count} seed{'s' * (count > 1)}, {self.dtype}"
        )
        source = "" if row is None else f"{'paper, Table ' + row['table']:>20}"
        lines = [head if row else f"{head}; the paper has no such run"]
        lines.append(f"{'':24}{'ours':>18}{source}")
        for name, label in _LABELS.items():
            ours: Measured = getattr(self, name)
            digits = 2 if name == "pruning_ratio" else 4
            line = f"{label:24}{format_measured(ours.mean, ours.std, digits):>18}"
            if row is not None:
                printed = row.get(name, {})
                line += f"{format_measured(printed.get('mean'), printed.get('std'), digits):>20}"
            lines.append(line)
        if self.diverged_seeds:
            lines.append(f"left out, diverged: seed {', '.join(map(str, self.diverged_seeds))}")
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        return (
            f"TrainResult({self.dataset}, n = {self.width}, noise {self.noise}, "
            f"{len(self.seeds)} seeds: test accuracy {self.test_accuracy.mean:.3f}, "
            f"{self.pruning_ratio.mean:.1f} % pruned)"
        )


def train(
    dataset: str | Dataset,
    *,
    width: int,
    noise: str = "I",
    alpha: float = 1.75,
    sigma: float | None = None,
    learning_rate: float | None = None,
    steps: int | None = None,
    seeds: int | Sequence[int] = 3,
    root: str | Path | None = None,
    run_dir: str | Path | None = None,
) -> TrainResult:
    """Trains the paper's network with heavy-tailed SGD, prunes it, and measures both.

    `W2 relu(W1 x)`, no biases, cross-entropy, both layers trained by gradient descent; α-stable
    noise on W1, one vector for each hidden unit and step (paper, section 5).

    **Arguments:**

    - `dataset`: a name for `stablesde.datasets.load` (with `root`), or a `Dataset`.
    - `width`: hidden units n. `noise`: "I", "II", "III" or "none". `alpha`: in (0, 2].
    - `sigma`, `learning_rate`, `steps`: the paper's where it prints them (see
      `stablesde.training.preset`) if None.
    - `seeds`: how many seeds, from 0 on; or the seeds.
    - `run_dir`: a folder in which each seed keeps where it stands (see `fit`): killed at any time,
      the same call goes on from there and ends in the same numbers.

    **Returns:** a `TrainResult`. Seeds whose training diverges are named in a warning and in
    `diverged_seeds`, and left out of the rest.

    **Raises:** `ValueError` for settings out of range, or if every seed diverges;
    `FileNotFoundError` where the data cannot be had; `OSError` where `run_dir` cannot be written;
    `MemoryError` for a `width` that does not fit.
    """
    check_name(dataset)
    width, alpha = check_setting(width, noise, alpha)
    settings = preset(dataset if isinstance(dataset, str) else dataset.name, width, noise)
    given: dict[str, Any] = {"sigma": sigma, "learning_rate": learning_rate, "steps": steps}
    settings = dataclasses.replace(settings, **{k: v for k, v in given.items() if v is not None})
    chosen_seeds = choose_seeds(seeds)
    folder = None if run_dir is None else as_path("run_dir", run_dir)
    data = load(dataset, root) if isinstance(dataset, str) else dataset
    runs, diverged = _runs(data, width, noise, alpha, settings, chosen_seeds, folder)
    measured = {name: Measured(tuple(r[name] for r in runs)) for name in MEASURED}
    return TrainResult(
        dataset=data.name,
        width=width,
        noise=noise,
        alpha=None if noise == "none" else alpha,
        sigma=0.0 if noise == "none" else settings.sigma,
        learning_rate=settings.learning_rate,
        steps=settings.steps,
        steps_taken=tuple(int(r["steps_taken"]) for r in runs),
        seeds=tuple(s for s in chosen_seeds if s not in diverged),
        dtype=str(jnp.zeros(0).dtype),
        diverged_seeds=diverged,
        **measured,
    )


def _runs(
    data: Dataset,
    width: int,
    noise: str,
    alpha: float,
    settings: Preset,
    seeds: tuple[int, ...],
    run_dir: Path | None,
) -> tuple[list[dict[str, float]], tuple[int, ...]]:
    """What the seeds measure, without those that diverged, and which these are."""
    runs, failures = [], {}
    for seed in seeds:
        folder = None if run_dir is None else run_dir / f"seed-{seed:05d}"
        try:
            runs.append(_run(data, width, noise, alpha, settings, seed, folder))
        except DivergedError as error:
            failures[seed] = error
    if failures and not runs:
        raise next(iter(failures.values()))
    for failure in failures.values():
        warnings.warn(f"{failure} The other seeds are kept.", stacklevel=3)
    return runs, tuple(failures)


def fit(
    data: Dataset,
    width: int,
    noise: str,
    alpha: float,
    settings: Preset,
    seed: int,
    *,
    run_dir: str | Path | None = None,
    save_seconds: float = 30.0,
) -> tuple[Network, int]:
    """Trains one network.

    **Arguments:** as `train`, with the hyperparameters in `settings`. Everything random is a
    function of `seed`: initial weights, and by step the noise and the batches.

    - `run_dir`: a folder for this one training. Killed at any time, the same call goes on from
      what was saved last (every 100 steps, if `save_seconds` have passed) and ends in the
      same numbers; a finished one is read back.

    **Returns:** the network and the number of steps it took.

    **Raises:** `ValueError` for settings out of range, if training diverges, or if `run_dir` holds
    another training or a damaged one; `OSError` where it cannot be written; `MemoryError` for a
    `width` that does not fit.
    """
    width, alpha = check_setting(width, noise, alpha)
    seed = check_seed("seed", seed)
    check_data("data", data)
    if not isinstance(settings, Preset):
        raise ValueError(f"settings must be a paper.Preset, got {type(settings).__name__}.")
    if not (isinstance(save_seconds, float) and save_seconds == math.inf):
        save_seconds = as_number("save_seconds", save_seconds, 0)
    folder = None if run_dir is None else as_path("run_dir", run_dir)
    rows = min(len(data.x_train), settings.batch_size or len(data.x_train))
    require_memory(
        jnp.zeros(0).dtype.itemsize * width * (4.0 * (data.dim + data.num_classes) + 2.0 * rows),
        f"width={width}, inputs of length {data.dim}",
        "Take a smaller width.",
    )
    start, noise_key, batch_key = jax.random.split(jax.random.key(seed), 3)
    network = initialise(start, data.dim, width, data.num_classes)
    x, y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    batch = settings.batch_size
    batch = None if batch is None or batch >= len(x) else batch
    kind = "none" if settings.sigma == 0 else noise
    rule = Rule(settings.learning_rate, settings.sigma, noise_key, batch_key)
    carry = (network, optimizer(rule, kind, alpha).init(network))
    done, finished, saved = 0, False, None
    if folder is not None:
        saved = Checkpoint(
            folder, _configuration(data, width, noise, alpha, settings, seed), save_seconds
        )
        carry, done, finished = saved.read(carry)
    with progress(settings.steps, f"seed {seed}", "step", done) as bar:
        while not finished:
            count = min(_CHUNK, settings.steps - done)
            carry = train_chunk(
                *carry,
                x,
                y,
                jnp.asarray(done),
                rule,
                noise=kind,
                alpha=alpha,
                steps=count,
                batch_size=batch,
            )
            done += count
            _check_finite(carry[0], settings, seed, done)
            bar.update(count)
            finished = done >= settings.steps or _reached(carry[0], x, y, settings)
            if saved is not None:
                saved.write(carry, done, finished)
    return carry[0], done


def _configuration(
    data: Dataset, width: int, noise: str, alpha: float, settings: Preset, seed: int
) -> dict[str, Any]:
    """All that the weights depend on."""
    return {
        "version": __version__,
        "dataset": data.name,
        "data": fingerprint((data.x_train, data.y_train, data.num_classes)),
        "width": width,
        "noise": noise,
        "alpha": None if noise == "none" else float(alpha),
        "seed": seed,
        "dtype": str(jnp.zeros(0).dtype),
        **dataclasses.asdict(settings),
    }


def _check_finite(network: Network, settings: Preset, seed: int, done: int) -> None:
    if not all(bool(jnp.all(jnp.isfinite(w))) for w in network):
        raise DivergedError(
            f"training diverged (seed {seed}, within {done} steps): lower "
            f"learning_rate={settings.learning_rate} or sigma={settings.sigma}."
        )


def _reached(network: Network, x: Array, y: Array, settings: Preset) -> bool:
    target = settings.until_accuracy
    return target is not None and accuracy(network, x, y) >= target


def _run(
    data: Dataset,
    width: int,
    noise: str,
    alpha: float,
    settings: Preset,
    seed: int,
    run_dir: Path | None,
) -> dict[str, float]:
    """What one seed measures."""
    network, steps = fit(data, width, noise, alpha, settings, seed, run_dir=run_dir)
    return measured(network, data) | {"steps_taken": float(steps)}


def measured(network: Network, data: Dataset) -> dict[str, float]:
    """The columns of the paper's tables for one network."""
    small, ratio = pruned(network)
    train_set = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    test_set = jnp.asarray(data.x_test), jnp.asarray(data.y_test)
    return {
        "train_accuracy": accuracy(network, *train_set),
        "test_accuracy": accuracy(network, *test_set),
        "pruning_ratio": 100 * ratio,
        "train_accuracy_pruned": accuracy(small, *train_set),
        "test_accuracy_pruned": accuracy(small, *test_set),
    }


_LABELS = {
    "train_accuracy": "train accuracy",
    "test_accuracy": "test accuracy",
    "pruning_ratio": "pruning ratio (%)",
    "train_accuracy_pruned": "train accuracy, pruned",
    "test_accuracy_pruned": "test accuracy, pruned",
}


def format_measured(mean: float | None, std: float | None, digits: int) -> str:
    """Mean ± standard deviation, nothing for None."""
    if mean is None:
        return ""
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")
