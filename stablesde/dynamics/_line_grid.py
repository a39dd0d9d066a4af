"""A graded grid of the line, masses on it, and the exact step of stable noise between its nodes.

The nodes are x = core·sinh(ξ), ξ uniform: as fine as core·dξ near zero, in geometric progression
far out, so that reaching the probability scale of a heavy tail costs a logarithm. A law is carried
as one mass per node, and everything acts on it by duality: a mass that lands at y is shared among
the eight nodes around y as the interpolant I at y weighs them (Lagrange, degree 7 in ξ). Integrals
of functions that are smooth in ξ are then right to eighth order, whatever the law (a point mass
included), and the total is kept because the weights sum to 1.

Noise of scale s takes node x_j to node i with weight `P_ji = E (I e_i)(x_j + sZ)`, e_i the unit
vector. This is the exact stable kernel under the interpolant, by Gauss quadrature: no time step
enters, and s may be far below or far above the spacing.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy

from stablesde.stable import logpdf, sf

OFFSETS = np.arange(-3, 5)
ORDER = len(OFFSETS)
# Cells up to so far from the source's are integrated by panels that shrink towards the source.
NEAR = 8
_DENOMINATORS = np.array([np.prod([k - m for m in OFFSETS if m != k]) for k in OFFSETS], float)


class LineGrid(NamedTuple):
    """Nodes core·sinh(ξ) of [-reach, reach], an odd number of them, 0 in the middle."""

    core: float
    reach: float
    size: int

    @property
    def spacing(self) -> float:
        """dξ."""
        return 2 * float(np.arcsinh(self.reach / self.core)) / (self.size - 1)

    @property
    def nodes(self) -> np.ndarray:
        half = self.size // 2
        return self.core * np.sinh(self.spacing * np.arange(-half, half + 1))

    @property
    def widths(self) -> np.ndarray:
        """Mass at a node over density there: dx/dξ dξ."""
        return np.hypot(self.nodes, self.core) * self.spacing

    def position(self, x: np.ndarray) -> np.ndarray:
        """Where x lies, in units of nodes; beyond the ends, the ends."""
        inside = np.arcsinh(x / self.core) / self.spacing + self.size // 2
        return np.clip(inside, 0, self.size - 1)


def stencil(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights, shape (..., 8), of the interpolant at `position` in [0, size - 1].

    In the three cells at each end it is linear: a one-sided formula of degree 7 is unstable.
    """
    cell = np.clip(np.floor(position), 0, size - 2).astype(np.int64)
    fraction = position - cell
    distances = fraction[..., None] - OFFSETS
    weights = np.empty_like(distances)
    before = np.ones_like(fraction)
    for k in range(ORDER):
        weights[..., k] = before
        before = before * distances[..., k]
    after = np.ones_like(fraction)
    for k in reversed(range(ORDER)):
        weights[..., k] *= after
        after = after * distances[..., k]
    weights /= _DENOMINATORS
    edge = (cell < 3) | (cell > size - 5)
    linear = np.maximum(1 - np.abs(distances), 0)
    weights = np.where(edge[..., None], linear, weights)
    return np.clip(cell[..., None] + OFFSETS, 0, size - 1), weights


def deposit(grid: LineGrid, x: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Masses at the points x, shared among the nodes around them: shape (size,)."""
    index, weights = stencil(grid.position(x), grid.size)
    return np.bincount(index.ravel(), (mass[:, None] * weights).ravel(), grid.size)


class _Density:
    """The stable density, by a cubic spline of its logarithm on a grid like the above.

    The library's density costs microseconds a point, and a kernel needs millions of points.
    """

    def __init__(self, alpha: float, largest: float) -> None:
        self.alpha = alpha
        # The width of the peak, sqrt(f(0)/|f''(0)|): for small α it is far below 1.
        self.peak = float(
            np.exp((scipy.special.gammaln(1 / alpha) - scipy.special.gammaln(3 / alpha)) / 2)
        )
        if alpha == 2:
            return
        knots = np.arange(0, np.arcsinh(largest / self.peak) + 0.01, 0.0025)
        t = _padded(self.peak * np.sinh(knots))
        table = np.asarray(logpdf(jnp.asarray(t), alpha), np.float64)[: knots.size]
        self.spline = scipy.interpolate.CubicSpline(knots, table, bc_type=((1, 0.0), "not-a-knot"))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        if self.alpha == 2:
            return np.exp(-z * z / 4) / np.sqrt(4 * np.pi)
        return np.exp(self.spline(np.arcsinh(np.abs(z) / self.peak)))


def _gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights of [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (nodes + 1) / 2, weights / 2


def transition(grid: LineGrid, alpha: float, scale: float) -> np.ndarray:
    """P (size, size): row j shares the law of x_j + scale·Z among the nodes; rows sum to 1.

    Call it in 64-bit mode. Rows are computed for x_j ≥ 0 and mirrored.
    """
    if scale == 0:
        return np.eye(grid.size)
    upper = kernel_rows(grid, alpha, scale, grid.nodes[grid.size // 2 :])
    return np.concatenate([upper[:0:-1, ::-1], upper])


def kernel_rows(grid: LineGrid, alpha: float, scale: float, source: np.ndarray) -> np.ndarray:
    """The law of y + scale·Z, scale > 0, shared among the nodes, for each y in `source`.

    What jumps beyond the grid is put at its ends.
    """
    density = _Density(alpha, 2 * grid.reach / scale)
    rows = _far_part(grid, source, density, scale)
    for start in range(0, source.size, 64):
        block = slice(start, start + 64)
        rows[block] += _near_part(grid, source[block], density, scale)
    x = grid.nodes
    gaps = np.concatenate([source - x[0], x[-1] - source]) / scale
    beyond = np.asarray(sf(jnp.asarray(_padded(gaps)), alpha), np.float64)[: gaps.size]
    rows[:, 0] += beyond[: source.size]
    rows[:, -1] += beyond[source.size :]
    # The quadrature loses less than 1e-11; what it loses is given back.
    return rows / rows.sum(1, keepdims=True)


def _far_part(grid: LineGrid, source: np.ndarray, density: _Density, scale: float) -> np.ndarray:
    """The share of the cells more than `NEAR` away from the source's, by five Gauss nodes each."""
    nodes, weights = _gauss(5)
    cells = np.arange(grid.size - 1)
    position = (cells[:, None] + nodes).ravel()
    y = grid.core * np.sinh((position - grid.size // 2) * grid.spacing)
    measure = np.tile(weights, cells.size) * np.hypot(y, grid.core) * (grid.spacing / scale)
    index, share = stencil(position, grid.size)
    pointer = np.arange(0, index.size + 1, ORDER)
    spread = scipy.sparse.csr_array((share.ravel(), index.ravel(), pointer), (y.size, grid.size))
    home = _cell(grid, source)
    out = np.empty((source.size, grid.size))
    for start in range(0, source.size, 64):
        block = slice(start, start + 64)
        kernel = density((y - source[block, None]) / scale) * measure
        kernel[np.abs(np.floor(position) - home[block, None]) <= NEAR] = 0
        out[block] = kernel @ spread
    return out


def _near_part(grid: LineGrid, source: np.ndarray, density: _Density, scale: float) -> np.ndarray:
    """The share of the other cells, where the kernel varies fast, by panels that end at nodes.

    In the source's cell, on either side of it, and in the next cell, the panels shrink towards it.
    """
    home = _cell(grid, source)
    total = np.zeros(source.size * grid.size)
    row = (np.arange(source.size) * grid.size)[:, None, None]
    graded = _shrinking(density.peak * scale / 4, float(np.max(grid.widths[home + 1])))
    plain = _gauss(12)
    for side in (-1, 1):
        start = np.zeros(source.size)
        for cell in range(NEAR + 1):
            end = np.clip(home + (side > 0) + side * cell, 0, grid.size - 1)
            stop = np.abs(grid.nodes[end] - source)
            nodes, weights = graded if cell < 2 else plain
            width = (stop - start)[:, None]
            offset = start[:, None] + width * nodes
            share = density(offset / scale) * (width / scale * weights)
            index, weight = stencil(grid.position(source[:, None] + side * offset), grid.size)
            values = share[..., None] * weight
            total += np.bincount((row + index).ravel(), values.ravel(), total.size)
            start = stop
    return total.reshape(source.size, grid.size)


def _cell(grid: LineGrid, source: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(grid.position(source)), 0, grid.size - 2).astype(np.int64)


def _shrinking(smallest: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss nodes, weights on [0, 2^-n], …, [1/4, 1/2], [1/2, 1], width/2^n below `smallest`."""
    levels = max(int(np.ceil(np.log2(width / smallest))), 1)
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-levels, 1)])
    nodes, weights = _gauss(10)
    lengths = np.diff(edges)[:, None]
    return (edges[:-1, None] + lengths * nodes).ravel(), (lengths * weights).ravel()


def _padded(values: np.ndarray) -> np.ndarray:
    """`values` with ones up to a multiple of 16384, so that few shapes are compiled."""
    return np.concatenate([values, np.ones(-values.size % 16384)])
