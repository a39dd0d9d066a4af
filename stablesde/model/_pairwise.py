"""Particles that see each other in pairs, `(1/n) Σ_j K(θ^i, θ^j)`: all pairs, or random batches."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_count
from stablesde.model._base import MeanFieldModel
from stablesde.noise._base import as_dim
from stablesde.stable._varying import vary_with

# Partners whose forces are added in one expression: XLA vectorises it over all particles, and
# nothing of size n² is ever in memory.
_UNROLLED = 16
# Such groups that are summed before they are added to the total: rounding grows with the root of
# the number of additions, of which no sum has more than some hundred then.
_GROUPS = 32


def _tile(bytes_each: int) -> int:
    """Particles whose forces are added up at once: on a CPU few enough that XLA does not cut its
    loops for several threads, which are not vectorised then (measured: ten times slower)."""
    return max(2**18 // bytes_each, 256) if jax.default_backend() == "cpu" else 2**20


class PairwiseModel(MeanFieldModel):
    """A drift `b(t, θ^i, (1/n) Σ_j K(θ^i, θ^j))`, the sum over all n particles, j = i included.

    ```python
    def attraction(x, y):  # aggregation with a Gaussian kernel
        return (y - x) * jnp.exp(-jnp.sum((y - x) ** 2) / 2)

    flock = ssd.PairwiseModel(2, attraction)
    ```

    A step costs O(n²) kernels and O(n) memory; with `batch_size` = b it costs O(n b): each step
    draws a partition into batches of b particles, which see their own batch alone, weighted so that
    the mean force is right (the random batch method, Jin, Li and Liu 2020). The error of a run is
    of order √(h / (b - 1)) then.

    Where K(x, y) = Σ_k f_k(x) g_k(y) with few terms, a `MeanFieldModel` with the statistic g is the
    same system in O(n).

    **Arguments:**

    - `dim`: length p of θ.
    - `kernel`: θ^i and θ^j, each (p,), to K (q,).
    - `drift_function`: t, θ^i (p,) and the mean of K (q,) to the velocity (p,); None: that mean.
    - `batch_size`: b ≥ 2, which must divide the number of particles; None for all pairs.

    In the limit the mean is over the law of θ_t, which `ssd.law_flow` represents by the particles
    of one large system: its `m` at a time are their positions, and `simulate_limit` and
    `ssd.propagation_of_chaos` take them. The program grows with the number of widths of a study.

    **Raises:** `ValueError` for a `dim` below 1, functions that can't be called, or a `batch_size`
    below 2.
    """

    dim: int = eqx.field(static=True, converter=as_dim)
    kernel: Callable[[Array, Array], Array]
    drift_function: Callable[[Array, Array, Array], Array] | None = None
    batch_size: int | None = eqx.field(static=True, default=None)
    key: PRNGKeyArray | None = None  # of the partition of one step

    def __init__(
        self,
        dim: int,
        kernel: Callable[[Array, Array], Array],
        drift_function: Callable[[Array, Array, Array], Array] | None = None,
        *,
        batch_size: int | None = None,
    ) -> None:
        if not callable(kernel):
            raise ValueError("kernel must be a function of two particles.")
        if drift_function is not None and not callable(drift_function):
            raise ValueError("drift_function must be a function of (t, theta, force), or None.")
        self.dim, self.kernel, self.drift_function = dim, kernel, drift_function
        self.batch_size = None if batch_size is None else as_count("batch_size", batch_size, 2)
        self.key = None

    def __repr__(self) -> str:
        name = getattr(self.kernel, "__name__", type(self.kernel).__name__)
        batches = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        return f"PairwiseModel(dim={self.dim}, {name}{batches})"

    @property
    def is_random(self) -> bool:
        """Whether steps draw batches."""
        return self.batch_size is not None

    def at_step(self, key: PRNGKeyArray) -> "PairwiseModel":
        """The model with the partition of one step."""
        return eqx.tree_at(lambda model: model.key, self, key, is_leaf=lambda x: x is None)

    def statistic(self, theta: Float[Array, " p"]) -> Float[Array, " M"]:
        """Nothing: M = 0."""
        return jnp.zeros((0,), theta.dtype)

    def drift(self, theta: Float[Array, " p"], m: Float[Array, " M"]) -> Float[Array, " p"]:
        """The velocity at t = 0."""
        return self.drift_at(jnp.zeros((), theta.dtype), theta, m)

    def drift_at(
        self, t: Float[Array, ""], theta: Float[Array, " p"], m: Float[Array, " M"]
    ) -> Float[Array, " p"]:
        """The velocity among particles at `m`, (p, N) flattened; as if alone if it is empty."""
        others = m.reshape(self.dim, -1) if m.shape[0] else theta[:, None]
        return self.velocity(t, theta[:, None], self.mean_force(theta[:, None], others))[:, 0]

    def velocity(
        self, t: Float[Array, ""], theta: Float[Array, "p n"], force: Float[Array, "q n"]
    ) -> Float[Array, "p n"]:
        """The drift of particles, given as columns, on which these mean forces act."""
        if self.drift_function is None:
            return force
        each = jax.vmap(self.drift_function, in_axes=(None, 1, 1), out_axes=1)
        return each(t, theta, force)

    def mean_force(
        self, theta: Float[Array, "p n"], others: Float[Array, "p N"]
    ) -> Float[Array, "q n"]:
        """(1/N) Σ_j K(θ^i, y^j) of particles and others, given as columns: all pairs.

        Raises `ValueError` for a kernel that does not give one array of shape (q,).
        """
        n = theta.shape[1]
        value = jax.eval_shape(self.kernel, theta[:, 0], theta[:, 0])
        size: tuple[int, ...] = getattr(value, "shape", ())
        if len(size) != 1:
            raise ValueError(f"kernel must return one array of shape (q,), got {size}.")
        tile = _tile((self.dim + 2 * size[0]) * theta.dtype.itemsize)
        if n <= tile:
            return self._mean_force(theta, others, size)
        tiles = -(-n // tile)
        tile = -(-n // tiles)
        padded = jnp.pad(theta, ((0, 0), (0, tiles * tile - n)), mode="edge")
        rows = jnp.moveaxis(padded.reshape(self.dim, tiles, tile), 1, 0)
        force = jax.lax.map(lambda rows: self._mean_force(rows, others, size), rows)
        return jnp.moveaxis(force, 0, 1).reshape(*size, -1)[:, :n]

    def _mean_force(
        self, theta: Float[Array, "p n"], others: Float[Array, "p N"], size: tuple[int, ...]
    ) -> Float[Array, "q n"]:
        """`mean_force` of a tile of particles."""
        count = others.shape[1]
        on_all = jax.vmap(self.kernel, in_axes=(1, None), out_axes=1)

        def group(total: Array, y: Float[Array, "few p"]) -> tuple[Array, None]:
            few = on_all(theta, y[0])
            for j in range(1, y.shape[0]):
                few = few + on_all(theta, y[j])
            return total + few, None

        def stretch(total: Array, y: Float[Array, "groups few p"]) -> tuple[Array, None]:
            return total + jax.lax.scan(jax.checkpoint(group), zero, y)[0], None

        zero = vary_with(jnp.zeros((*size, theta.shape[1]), theta.dtype), (theta, others))
        total, done = zero, 0
        for body, shape in (
            (stretch, (_GROUPS, _UNROLLED)),
            (group, (_UNROLLED,)),
            (group, (1,)),
        ):
            width = math.prod(shape)
            parts = (count - done) // width
            if parts:
                y = others[:, done : done + parts * width].T.reshape(parts, *shape, self.dim)
                total = jax.lax.scan(jax.checkpoint(body), total, y)[0]
                done += parts * width
        return total / count

    def batch_force(self, theta: Float[Array, "p n"]) -> Float[Array, "q n"]:
        """An estimate of the mean force among n particles from the partition of this step.

        `K(θ, θ) / n + (1 - 1/n) · mean of K over the b - 1 others of the batch`, whose mean over
        partitions is (1/n) Σ_j K(θ^i, θ^j). Raises `ValueError` unless `batch_size` divides n.
        """
        n, b = theta.shape[1], self.batch_size
        assert b is not None
        assert self.key is not None
        if n % b:
            raise ValueError(f"batch_size={b} must divide the number of particles, {n}.")
        order = jnp.argsort(jax.random.bits(self.key, (n,)))
        sorted_ = theta[:, order].reshape(self.dim, n // b, b)
        pairs = jax.vmap(jax.vmap(self.kernel, (1, 1), 1), (1, 1), 1)

        def turn(total: Array, shift: Array) -> tuple[Array, None]:
            return total + pairs(sorted_, jnp.roll(sorted_, shift, 2)), None

        alone = pairs(sorted_, sorted_)
        shifts = jnp.arange(1, b)
        total = jax.lax.scan(jax.checkpoint(turn), jnp.zeros_like(alone), shifts)[0]
        force = alone / n + (1 - 1 / n) * total / (b - 1)
        return force.reshape(-1, n)[:, jnp.argsort(order)]


__all__ = ["PairwiseModel"]
