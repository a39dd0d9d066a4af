"""Accuracy of a network against the fraction of its units that is removed."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stablesde._arguments import as_number
from stablesde._records import JsonRecord
from stablesde.compression import row_sizes
from stablesde.datasets import Dataset
from stablesde.stable._domain import number_text
from stablesde.training._checks import check_data
from stablesde.training._network import Network, check_network

FRACTIONS = tuple(k / 100 for k in range(100))
# Numbers held at once: inputs of a batch times units, or times fractions and classes.
_BLOCK = 2**24


@dataclasses.dataclass(frozen=True)
class PruningCurve(JsonRecord):
    """A network with more and more of its units removed, those of smallest norm first.

    `fractions` asked for; `units_removed`, the nearest whole numbers; `train_accuracy` and
    `test_accuracy`, fractions; `error`, the removed units' share of the squared norm.
    """

    fractions: tuple[float, ...]
    units_removed: tuple[int, ...]
    train_accuracy: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    error: tuple[float, ...]

    def __repr__(self) -> str:
        first, last = (f"{number_text(100 * self.fractions[i])} %" for i in (0, -1))
        accuracies = (
            f"{number_text(self.test_accuracy[0])} to {number_text(self.test_accuracy[-1])}"
        )
        return (
            f"PruningCurve({len(self.fractions)} fractions from {first} to {last}: "
            f"test accuracy {accuracies})"
        )


def pruning_curve(
    network: Network, data: Dataset, fractions: Sequence[float] | None = None
) -> PruningCurve:
    """Accuracy against the fraction of hidden units removed, smallest incoming norm first.

    The hidden layer is evaluated once for all fractions.

    **Arguments:** `network`; `data`; `fractions` in [0, 1], by default 0, 0.01, …, 0.99.
    **Returns:** a `PruningCurve`.
    **Raises:** `ValueError` for fractions out of range, data of another shape, or weights that are
    not finite.
    """
    chosen = FRACTIONS if fractions is None else _checked(fractions)
    network = check_network(network)
    check_data("data", data)
    dim, width = network.w1.shape
    if data.dim != dim:
        raise ValueError(f"{data.name} has inputs of length {data.dim}, the network takes {dim}.")
    sizes = np.asarray(row_sizes(network.w1.T), float)
    order = np.argsort(sizes, kind="stable")
    ranks = np.empty(width, int)
    ranks[order] = np.arange(width)
    removed = np.array([round(f * width) for f in chosen])
    kept = jnp.asarray(ranks[None] >= removed[:, None])
    squares = np.square(sizes[order] / max(sizes.max(), np.finfo(float).tiny))
    shares = np.concatenate([[0.0], np.cumsum(squares)]) / max(squares.sum(), 1.0)
    train = _accuracies(network, kept, data.x_train, data.y_train)
    test = _accuracies(network, kept, data.x_test, data.y_test)
    return PruningCurve(
        chosen, tuple(removed.tolist()), train, test, tuple(shares[removed].tolist())
    )


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    try:
        chosen = tuple(as_number("fractions", f, 0, 1) for f in fractions)
    except (TypeError, ValueError):
        chosen = ()
    if not chosen:
        raise ValueError(f"fractions must be numbers in [0, 1], got {fractions!r}.")
    return chosen


def _accuracies(
    network: Network, kept: Bool[Array, "k n"], x: np.ndarray, y: np.ndarray
) -> tuple[float, ...]:
    """The fraction classified correctly with each set of units."""
    width, classes = network.w2.shape
    batch = max(1, _BLOCK // max(width, len(kept) * classes))
    total = np.zeros(len(kept), int)
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        total += np.asarray(_correct(network, kept, jnp.asarray(x[part]), jnp.asarray(y[part])))
    return tuple((total / len(x)).tolist())


@jax.jit
def _correct(
    network: Network, kept: Bool[Array, "k n"], x: Float[Array, "b d"], y: Int[Array, " b"]
) -> Int[Array, " k"]:
    hidden = jax.nn.relu(x @ network.w1)
    outputs = jnp.einsum("bn,knc->kbc", hidden, jnp.where(kept[:, :, None], network.w2, 0))
    return jnp.sum(jnp.argmax(outputs, -1) == y, -1)
