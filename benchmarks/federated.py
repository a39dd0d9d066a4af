"""Federated averaging with pruned uploads: `python -m benchmarks.federated [--write FILE]`.

After Appendix E of the paper. K clients hold a part of the digits each. In a round every client
takes the server's network, makes some full-batch steps of its own (with heavy-tailed noise or
without), and uploads its units of largest norm alone. The server averages each unit over the
clients that sent it; a unit that nobody sent stays. Bytes count all uploads, as float32 weights of
the units sent and one bit for each unit to say which. Test accuracy is the server's.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._timing import markdown
from stablesde.datasets import Dataset, load
from stablesde.training import Network
from stablesde.training._network import Rule, accuracy, initialise, optimizer, pruned, train_chunk

N, CLIENTS, ROUNDS, STEPS, ALPHA, RATE = 500, 8, 15, 20, 1.75, 0.08
# σ by hand: about the largest that training bears.
NOISES = {
    "no noise": ("none", 0.0),
    "Type I": ("I", 0.005),
    "Type II": ("II", 0.005),
    "Type III": ("III", 0.02),
}
# Fractions of the units that are uploaded; None: what the pruning ratio leaves (error 0.1).
UPLOADED = (1.0, 0.5, 0.2, 0.1, None)


class Client(NamedTuple):
    """A client's data, keys, and the state of its optimizer."""

    x: jax.Array
    y: jax.Array
    rule: Rule
    state: Any


def clients(data: Dataset, kind: str, sigma: float, key: jax.Array, start: Network) -> list[Client]:
    """The data dealt out, and noise of its own for each client."""
    order = np.random.default_rng(0).permutation(len(data.x_train))
    size = len(order) // CLIENTS
    found = []
    for k in range(CLIENTS):
        rows = order[k * size : (k + 1) * size]
        own = jax.random.fold_in(key, k)
        rule = Rule(RATE, sigma, own, own)
        x, y = jnp.asarray(data.x_train[rows]), jnp.asarray(data.y_train[rows])
        found.append(Client(x, y, rule, optimizer(rule, kind, ALPHA).init(start)))
    return found


def kept_units(network: Network, uploaded: float | None) -> np.ndarray:
    """A mask: the units that a client sends."""
    if uploaded is None:
        return np.asarray(jnp.any(pruned(network)[0].w1 != 0, axis=0))
    norms = np.linalg.norm(np.asarray(network.w1), axis=0)
    keep = np.zeros(N, bool)
    keep[np.argsort(-norms)[: round(uploaded * N)]] = True
    return keep


def averaged(server: Network, sent: list[tuple[Network, np.ndarray]]) -> Network:
    """Each unit's mean over the clients that sent it."""
    count = np.sum([keep for _, keep in sent], axis=0)
    share = 1 / np.maximum(count, 1)
    w1 = sum(np.asarray(network.w1) * keep for network, keep in sent) * share
    w2 = sum(np.asarray(network.w2) * keep[:, None] for network, keep in sent) * share[:, None]
    none = count == 0
    return Network(
        jnp.asarray(np.where(none, server.w1, w1), jnp.float32),
        jnp.asarray(np.where(none[:, None], server.w2, w2), jnp.float32),
    )


def run(data: Dataset, name: str, uploaded: float | None, seed: int) -> tuple[float, float]:
    """Test accuracy of the server's network at the end, and megabytes uploaded."""
    kind, sigma = NOISES[name]
    start, noise = jax.random.split(jax.random.key(seed))
    server = initialise(start, data.dim, N, data.num_classes)
    everyone, total = clients(data, kind, sigma, noise, server), 0.0
    for turn in range(ROUNDS):
        sent = []
        for k, client in enumerate(everyone):
            network, state = train_chunk(
                jax.tree.map(jnp.copy, server), client.state, client.x, client.y,
                jnp.asarray(turn * STEPS), client.rule,
                noise=kind, alpha=ALPHA, steps=STEPS, batch_size=None,
            )  # fmt: skip
            everyone[k] = client._replace(state=state)
            keep = kept_units(network, uploaded)
            sent.append((network, keep))
            total += keep.sum() * (data.dim + data.num_classes) * 4 + N / 8
        server = averaged(server, sent)
    test = accuracy(server, jnp.asarray(data.x_test), jnp.asarray(data.y_test))
    return test, total / 1e6


def main() -> None:
    """Prints the table, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = load("digits")
    shares = ["by the error of 0.1" if u is None else f"{100 * u:g} % of the units"
              for u in UPLOADED]  # fmt: skip
    rows = [["uploads, 8 clients", *shares]]
    for name in NOISES:
        cells = []
        for uploaded in UPLOADED:
            runs = np.array([run(data, name, uploaded, seed) for seed in range(options.seeds)])
            cells.append(f"{runs[:, 0].mean():.3f}, {runs[:, 1].mean():.1f} MB")
        rows.append([name, *cells])
    text = markdown(rows) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
