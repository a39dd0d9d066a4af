"""The paper's network `W2 relu(W1 x)` without biases, and its compiled training steps.

Weights are stored inputs-first, `w1` (d, n) and `w2` (n, classes): units stand on the last axis of
`w1`, where the noise is drawn fastest.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from stablesde._arguments import as_real
from stablesde.compression import prunable
from stablesde.stable._bits import fold, key_words
from stablesde.training._transform import add_stable_noise

_STREAM_BATCH = 201
_EVALUATION_BATCH = 5000
_FEW_CLASSES = 4


class Network(NamedTuple):
    """Weights of the two layers: `w1` (d, n), `w2` (n, classes)."""

    w1: Float[Array, "d n"]
    w2: Float[Array, "n classes"]

    def __repr__(self) -> str:
        if not hasattr(self.w1, "shape"):  # a mask or a placeholder of the same structure
            return f"Network({self.w1!r}, {self.w2!r})"
        return f"Network(w1 {self.w1.shape}, w2 {self.w2.shape}, {self.w1.dtype})"

    def logits(self, x: Float[Array, "N d"]) -> Float[Array, "N classes"]:
        """Outputs for a batch of inputs."""
        return jax.nn.relu(x @ self.w1) @ self.w2


def check_network(network: Any) -> Network:
    """The network as arrays of one floating dtype.

    Raises `ValueError` unless it is a `Network` of finite weights (d, n) and (n, classes).
    """
    if not isinstance(network, Network):
        raise ValueError(f"network must be a training.Network, got {type(network).__name__}.")
    weights = [np.asarray(as_real(f"network: w{i}", w)) for i, w in enumerate(network, 1)]
    shapes = [w.shape for w in weights]
    if [len(s) for s in shapes] != [2, 2] or shapes[0][1] != shapes[1][0] or 0 in sum(shapes, ()):
        raise ValueError(
            "network: w1 must have shape (d, n) and w2 (n, classes), none of them empty, got "
            f"{shapes[0]} and {shapes[1]}."
        )
    if not all(np.all(np.isfinite(w)) for w in weights):
        raise ValueError("the weights of the network are not finite.")
    first, second = (jnp.asarray(w) for w in network)
    dtype = jnp.result_type(first, second, jnp.float32)
    return Network(first.astype(dtype), second.astype(dtype))


def initialise(key: PRNGKeyArray, dim: int, width: int, classes: int) -> Network:
    """Uniform in ±1/√fan_in, the default of the paper's PyTorch code."""
    first, second = jax.random.split(key)
    bound = 1 / math.sqrt(width)
    w2 = jax.random.uniform(second, (width, classes), minval=-bound, maxval=bound)
    return Network(first_layer(first, dim, width), w2)


def first_layer(key: PRNGKeyArray, dim: int, width: int) -> Float[Array, "d n"]:
    """The first layer of `initialise`: uniform in ±1/√d."""
    bound = 1 / math.sqrt(dim)
    return jax.random.uniform(key, (width, dim), minval=-bound, maxval=bound).T


def loss(network: Network, x: Float[Array, "N d"], y: Int[Array, " N"]) -> Float[Array, ""]:
    """Mean cross-entropy."""
    losses = optax.softmax_cross_entropy_with_integer_labels(network.logits(x), y)
    return jnp.mean(losses)


def gradient(network: Network, x: Float[Array, "N d"], y: Int[Array, " N"]) -> Network:
    """The gradient of `loss`, written out: a step takes a fifth less than with autodiff on a CPU.

    Autodiff multiplies the transposed hidden layer by the residuals, which takes six times as long
    as the transposed product, and recomputes the relu (measured at n = 2000, d = 140).
    """
    w1, w2 = network
    hidden = jax.nn.relu(x @ w1)
    classes = w2.shape[1]
    residual = jax.nn.softmax(hidden @ w2) - jax.nn.one_hot(y, classes, dtype=w2.dtype)
    residual = residual / x.shape[0]
    # The barrier keeps the compiler from folding the transposition into the product.
    second = jax.lax.optimization_barrier(residual.T @ hidden).T
    if classes <= _FEW_CLASSES:  # fuses with the mask
        back = sum(residual[:, c, None] * w2[None, :, c] for c in range(classes))
    else:
        back = residual @ w2.T
    first = x.T @ jnp.where(hidden > 0, back, 0)
    return Network(first, second)


class Rule(NamedTuple):
    """The numbers of the update rule that one compiled program serves: a sweep compiles once."""

    learning_rate: float | Float[Array, ""]
    sigma: float | Float[Array, ""]
    noise_key: PRNGKeyArray
    batch_key: PRNGKeyArray


def optimizer(rule: Rule, noise: str, alpha: float) -> optax.GradientTransformation:
    """SGD with noise of type `noise` on the first layer, plain SGD for "none"."""
    step = optax.sgd(rule.learning_rate)
    if noise == "none":
        return step
    noisy = add_stable_noise(
        rule.learning_rate, rule.sigma, alpha, noise, rule.noise_key, unit_axis=-1
    )

    def init(params: Any) -> Any:
        return step.init(params), noisy.init(params.w1)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        updates, plain = step.update(updates, state[0], params)
        w1, count = noisy.update(updates.w1, state[1])
        return updates._replace(w1=w1), (plain, count)

    return optax.GradientTransformation(init, update)


@functools.partial(
    jax.jit,
    static_argnames=("noise", "alpha", "steps", "batch_size"),
    donate_argnames=("network", "state"),
)
def train_chunk(
    network: Network,
    state: optax.OptState,
    x: Float[Array, "N d"],
    y: Int[Array, " N"],
    first: Int[Array, ""],
    rule: Rule,
    *,
    noise: str,
    alpha: float,
    steps: int,
    batch_size: int | None,
) -> tuple[Network, optax.OptState]:
    """Steps `first`, …, `first + steps - 1` of training. `network` and `state` are used up.

    Seeds run one after the other through the same compiled program: on CPUs, batched matrix
    products (`vmap` over seeds) took 1.4 to 2.5 times longer.
    """
    chain = optimizer(rule, noise, alpha)

    def step(carry: tuple[Network, Any], k: Array) -> tuple[tuple[Network, Any], None]:
        network, state = carry
        rows = (x, y) if batch_size is None else _batch(x, y, k, batch_size, rule.batch_key)
        updates, state = chain.update(gradient(network, *rows), state, network)
        return (optax.apply_updates(network, updates), state), None

    carry, _ = jax.lax.scan(step, (network, state), first + jnp.arange(steps))
    return carry


def _batch(
    x: Float[Array, "N d"], y: Int[Array, " N"], step: Array, batch_size: int, key: PRNGKeyArray
) -> tuple[Float[Array, "batch d"], Int[Array, " batch"]]:
    """Batch `step`: consecutive slices of a new permutation in each epoch, by step alone.

    Rows that do not fill a batch are left out of their epoch.
    """
    per_epoch = x.shape[0] // batch_size
    words = fold(key_words(key), step // per_epoch, _STREAM_BATCH)
    epoch_key = jax.random.wrap_key_data(jnp.stack(words), impl="threefry2x32")
    order = jax.random.permutation(epoch_key, x.shape[0])
    rows = jax.lax.dynamic_slice(order, ((step % per_epoch) * batch_size,), (batch_size,))
    return x[rows], y[rows]


@jax.jit
def _count_correct(network: Network, x: Array, y: Array) -> Array:
    return jnp.sum(jnp.argmax(network.logits(x), -1) == y)


def accuracy(network: Network, x: Float[Array, "N d"], y: Int[Array, " N"]) -> float:
    """Fraction of inputs classified correctly, evaluated in batches."""
    starts = range(0, len(x), _EVALUATION_BATCH)
    cuts = [slice(s, s + _EVALUATION_BATCH) for s in starts]
    return sum(int(_count_correct(network, x[c], y[c])) for c in cuts) / len(x)


def pruned(network: Network, error: float = 0.1) -> tuple[Network, float]:
    """The network without its smallest columns within `error` of the squared norm, and their share.

    See `stablesde.pruning_ratio`.
    """
    removed = prunable(network.w1.T, error)
    small = Network(jnp.where(removed, 0, network.w1), network.w2)
    return small, float(np.mean(np.asarray(removed)))
