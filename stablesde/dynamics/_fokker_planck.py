r"""The law of the limit in dimension one, without Monte Carlo.

The law ρ_t of `dθ = b(θ, m_t) dt + σ dL` solves the nonlinear fractional Fokker–Planck equation
$\partial_t\rho = -\partial_x(b(x, m_t)\rho) - \sigma^\alpha(-\Delta)^{\alpha/2}\rho$ with
$m_t = \int\varphi\,d\rho_t$. It is split into transport and noise (Strang
1968): masses move along the characteristics, with m read from the masses themselves, and the noise
of a step is the exact stable kernel of `_line_grid`. Everything is computed in float64, whatever
the mode of JAX, and in NumPy apart from the model's own functions.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stablesde._arguments import as_choice, as_count, as_number, by_name
from stablesde.dynamics._flow import LawFlow
from stablesde.dynamics._line_grid import LineGrid, deposit, kernel_rows, transition
from stablesde.dynamics._memory import require_memory
from stablesde.dynamics._system import check_run, check_stable, stable_part, velocity
from stablesde.model import FunctionModel, MeanFieldModel
from stablesde.noise import (
    EllipticalStable,
    IndependentStable,
    IsotropicStable,
    OneFactorStable,
    SpectralStable,
    StableNoise,
)
from stablesde.stable._domain import number_text
from stablesde.system import System

# Older versions of JAX have it in jax.experimental.
_enable_x64: Any = getattr(jax, "enable_x64", None)
if _enable_x64 is None:
    _enable_x64 = importlib.import_module("jax.experimental").enable_x64
SPACING = 0.04
# Noise of a smaller scale in a step moves nothing between nodes.
_LEAST_SCALE = 1e-100
# Squares of nodes must not overflow.
_MOST_REACH = 1e100
_LOG_MAX = math.log(np.finfo(float).max)
FEWEST_NODES = 65
Scheme = Literal["strang", "euler"]


class FokkerPlanck(eqx.Module):
    """The law flow of the limit in dimension one, from `fokker_planck`; float64 NumPy arrays.

    - `times` (K + 1,). `m` (K + 1, M): E φ(θ_t).
    - `error` (K + 1, M): estimated error of `m`. Its maximum is to be trusted; a single entry can
      be too small, where the errors of the two solutions compared happen to cancel.
    - `nodes` (N,). `density` (K + 1, N): of θ_t at the nodes; at the two ends, of all the mass that
      lies there or beyond. It is the density, and positive, where the grid resolves it: not while
      the law is narrower than a few nodes, as just after a point mass. `m` needs no such caution.
    - `mass` (K + 1,): the total, 1 up to rounding.
    - `system`, `t1`, `scheme`: of the run. `core`: of its grid. `alpha`; `sigma`: the scale of the
      scalar noise, the system's times that of its noise.
    """

    times: Float[np.ndarray, " K1"]
    m: Float[np.ndarray, "K1 M"]
    error: Float[np.ndarray, "K1 M"]
    nodes: Float[np.ndarray, " N"]
    density: Float[np.ndarray, "K1 N"]
    mass: Float[np.ndarray, " K1"]
    system: System
    alpha: float = eqx.field(static=True)
    sigma: float = eqx.field(static=True)
    t1: float = eqx.field(static=True)
    scheme: str = eqx.field(static=True)
    core: float = eqx.field(static=True)

    def expectation(self, f: Callable[[Array], Array]) -> Float[np.ndarray, "K1 ..."]:
        """E f(θ_t) at every time, by the quadrature that gives `m`.

        **Arguments:** `f`, a function of one θ of shape (1,), smooth where the grid resolves it
        (see `fokker_planck`), to a number or an array.

        **Returns:** float64, shape (K + 1, *shape of f).

        **Raises:** `ValueError` for what is no such function, is not finite on the grid, or grows
        so fast that its mean does not exist.
        """
        if not callable(f):
            raise ValueError(f"f must be a function of one θ of shape (1,), got {f!r}.")
        grid = LineGrid(self.core, float(self.nodes[-1]), self.nodes.size)
        with _enable_x64(True):
            try:
                shape = jax.eval_shape(f, jax.ShapeDtypeStruct((1,), float)).shape
            except Exception as error:
                raise ValueError(f"f fails for one θ of shape (1,): {error}") from error
            model = FunctionModel(1, lambda t, theta, m: theta, lambda theta: jnp.ravel(f(theta)))
            problem = _Problem(model, self.alpha, self.sigma, self.t1, None, self.scheme)
            _check_statistic(problem, grid)
            means = np.array(problem.mean(self.nodes, self.density * grid.widths))
            means[0] = problem.mean(*_initial(grid, self.system.init))  # points off the nodes
        return means.reshape(len(self.times), *shape)

    def law_flow(self) -> LawFlow:
        """As a `LawFlow` for `simulate_limit` and studies: no particles, no standard error."""
        m = jnp.asarray(self.m, float)
        return LawFlow(
            system=self.system,
            times=jnp.asarray(self.times, float),
            m=m,
            standard_error=jnp.zeros_like(m),
            step_size=jnp.asarray(self.t1 / (len(self.times) - 1), float),
            num_particles=0,
        )

    def __repr__(self) -> str:
        reach, error = number_text(self.nodes[-1], 1), number_text(self.error.max(), 2)
        return (
            f"FokkerPlanck({self.scheme}, alpha={self.alpha:g}, {len(self.times) - 1} steps to "
            f"{self.t1:g}, {self.nodes.size} nodes to ±{reach}, {self.m.shape[1]} statistics, "
            f"error {error})"
        )


class _Problem(NamedTuple):
    """What does not depend on grid and step; its methods run in 64-bit mode."""

    model: MeanFieldModel
    alpha: float
    sigma: float
    t1: float
    init: Any
    scheme: str

    def mean(self, y: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Mean statistic of the masses at the points y; of a stack of masses, a stack of means."""
        return np.asarray(_mean(self.model, jnp.asarray(y), jnp.asarray(mass)))

    def move(self, t: float, y: np.ndarray, mass: np.ndarray, h: float) -> np.ndarray:
        """Where the drift takes them between t and t + h."""
        arrays = jnp.asarray(t), jnp.asarray(y), jnp.asarray(mass), jnp.asarray(h)
        return _moved(y, np.asarray(_transport(self.model, *arrays, self.scheme)))


@by_name
def fokker_planck(
    system: System,
    *,
    t1: float,
    num_steps: int,
    scheme: Scheme = "strang",
    num_nodes: int | None = None,
    core: float = 1.0,
    reach: float | None = None,
) -> FokkerPlanck:
    r"""Solves the McKean–Vlasov limit in dimension one by its fractional Fokker–Planck equation.

    A deterministic `law_flow`. The types of noise are the same in dimension one. The error of m is
    of order `num_steps`⁻² (none for "euler", which has a target of its own) and `num_nodes`⁻⁷ or
    better for statistics and drifts that are smooth on the scale max(core, |θ|), as all that
    saturate; `num_nodes`⁻² at kinks (ReLU). What lies beyond ±reach, a probability of order
    (σ t1^{1/α} / reach)^α, is kept at ±reach: this costs at most that probability times the bound
    of φ, and far less if φ saturates. α ≤ 1 is as good, but then E φ(θ_t) exists for φ that grow
    more slowly than |θ|^α only. Statistics that oscillate for ever (cos θ) are not resolved
    beyond core/dξ: the error, reported, is of the size of the probability out there.

    **Arguments:**

    - `system`: with `dim == 1`. Its `init` is no function; an array (1,) is a point mass, (n, 1)
      the empirical law of n points.
    - `t1`: end time. `num_steps`: number of steps K; `m` is returned at their K + 1 times.
    - `scheme`: "strang" for the limit in continuous time; "euler" for the law of the Euler scheme
      with `num_steps` steps, which is what `law_flow` estimates.
    - `num_nodes`: number of nodes, made odd; by default such that the spacing is about
      0.04 max(core, |x|).
    - `core`: the grid is uniform for |x| below it and geometric beyond. Take the shortest length
      on which φ and b vary, or leave it if that is about 1.
    - `reach`: end of the grid; by default where the tail falls to about 1e-10, at most 1e30.

    **Returns:** a `FokkerPlanck`. Its `error` is the distance to a second solution with 3/4 of the
    nodes and, for "strang", half the step (times 4/3, Richardson); and what φ changes over the
    last stretch of the grid, times the mass at its ends.

    **Raises:** `ValueError` for a system of another dimension, numbers that are not finite, too
    few nodes, a statistic that is not integrable, and drifts that move a node by more than its own
    size in one step: too few steps, or a drift that grows faster than linearly.
    `MemoryError` if the matrix of the nodes will not fit.
    """
    _check(system, t1, num_steps, scheme)
    noise, sigma = stable_part(system)
    init, t1, alpha = system.init, float(t1), float(noise.alpha)
    sigma = sigma * _scalar_scale(noise)
    grid, rough = _grids(alpha, sigma, t1, init, num_nodes, core, reach)
    with _enable_x64(True):
        problem = _Problem(_doubled(system.model), alpha, sigma, t1, init, scheme)
        _check_statistic(problem, grid)
        m, mass = _solve(problem, grid, num_steps)
        refine = 2 if scheme == "strang" else 1
        check, _ = _solve(problem, rough, refine * num_steps)
        error = np.abs(m - check[::refine]) * (4 / 3 if scheme == "strang" else 1)
        error += np.abs(_end_part(problem, grid, mass))
    return FokkerPlanck(
        times=np.linspace(0, t1, num_steps + 1),
        m=m,
        error=error,
        nodes=grid.nodes,
        density=mass / grid.widths,
        mass=mass.sum(1),
        system=system,
        alpha=alpha,
        sigma=sigma,
        t1=t1,
        scheme=scheme,
        core=grid.core,
    )


def _check(system: System, t1: float, num_steps: int, scheme: str) -> None:
    check_stable(system, "fokker_planck")
    if system.dim != 1:
        raise ValueError(
            f"fokker_planck needs a system with dim=1, got dim={system.dim}: use law_flow instead."
        )
    check_run(system, t1=t1)
    as_count("num_steps", num_steps)
    if callable(system.init):
        raise ValueError(
            "fokker_planck cannot use a sampler as init: give None, a number, an array (1,), or "
            "an array (n, 1) of values."
        )
    as_choice("scheme", scheme, ("strang", "euler"))


def _scalar_scale(noise: StableNoise) -> float:
    """c in E exp(iωX) = exp(-|cω|^α), which every symmetric stable law on the line has."""
    if isinstance(noise, (OneFactorStable, IndependentStable, IsotropicStable)):
        return 1.0
    if isinstance(noise, EllipticalStable):
        return float(noise.root[0, 0])
    alpha = float(noise.alpha)
    if isinstance(noise, SpectralStable):
        sizes = np.abs(np.asarray(noise.directions, float)[:, 0])
        return float(np.sum(np.asarray(noise.weights, float) * sizes**alpha) ** (1 / alpha))
    at_one = np.asarray(noise.characteristic_function(jnp.ones(1)), complex)
    return float((-np.log(at_one.real)) ** (1 / alpha))


def _grids(
    alpha: float,
    sigma: float,
    t1: float,
    init: Any,
    num_nodes: int | None,
    core: float,
    reach: float | None,
) -> tuple[LineGrid, LineGrid]:
    """The grid, and the one with 3/4 of its nodes for the error."""
    start = 1.0 if init is None else float(np.max(np.abs(np.asarray(init, float))))
    core = as_number("core", core, 0, ends="(]")
    scale = sigma * math.exp(min(math.log(t1) / alpha, _LOG_MAX))
    spread = max(core, start, scale)
    if reach is None:
        reach = min(spread * 10 ** min(10 / alpha, 30), 1e30)
    reach = as_number("reach", reach, 0, _MOST_REACH, ends="(]")
    if reach < 10 * spread:
        raise ValueError(
            f"reach={reach:g} is too short: the law has scale {spread:g}; leave reach out, or take "
            "at least ten times as much."
        )
    if num_nodes is None:
        num_nodes = int(2 * math.asinh(reach / core) / SPACING) + 1
    half = as_count("num_nodes", num_nodes, FEWEST_NODES) // 2
    # Three matrices of the nodes: the kernel, its two parts while it is made.
    require_memory(24.0 * (2 * half + 1) ** 2, f"num_nodes={num_nodes}", "Lower num_nodes.")
    return LineGrid(core, reach, 2 * half + 1), LineGrid(core, reach, 2 * (half * 3 // 4) + 1)


def _doubled(model: MeanFieldModel) -> MeanFieldModel:
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, model)


@eqx.filter_jit
def _mean(model: MeanFieldModel, y: Array, mass: Array) -> Float[Array, " M"]:
    return mass @ jax.vmap(model.statistic)(y[:, None])


@eqx.filter_jit
def _transport(
    model: MeanFieldModel, t: Array, y: Array, mass: Array, h: Array, scheme: str
) -> Array:
    """One Euler step, or one Runge–Kutta step of order 4, far more accurate than the splitting."""

    def speed(t: Array, y: Array) -> Array:
        return velocity(model, t, y[None, :], _mean(model, y, mass))[0]

    k1 = speed(t, y)
    if scheme == "euler":
        return y + h * k1
    k2 = speed(t + h / 2, y + h / 2 * k1)
    k3 = speed(t + h / 2, y + h / 2 * k2)
    k4 = speed(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _moved(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after`, if it can be the flow of a drift of linear growth over a short time."""
    way = np.abs(after - before)
    # |y - x| ≤ h (|b(0)| + ℓ|x|) with hℓ ≤ 1: the way of the middle, and one's own size.
    allowed = np.abs(before) + np.max(way[np.abs(before) <= 1 + np.min(np.abs(before))]) + 1
    bad = ~(way <= allowed)
    if np.any(bad):
        where = before[np.argmin(np.where(bad, np.abs(before), np.inf))]
        raise ValueError(
            f"the drift moves a particle at {where:.3g} by more than its own size in one step (or "
            "to a value that is not finite): take more steps; if that does not help, the drift "
            "grows faster than linearly and has no global flow."
        )
    return after


def _check_statistic(problem: _Problem, grid: LineGrid) -> None:
    """Raises if φ is not finite, or grows so fast that E φ(θ_t) does not exist."""
    x, alpha = grid.nodes, problem.alpha
    half = grid.size // 2
    for side in (1, -1):
        far, middle = half + side * half, half + side * (half // 2)
        value, earlier = (np.abs(problem.mean(x[[i]], np.ones(1))) for i in (far, middle))
        if not np.all(np.isfinite(value)):
            raise ValueError(f"the statistic is not finite at {x[far]:.3g}: give a smaller reach.")
        growth = np.log(np.maximum(value, 1e-300) / np.maximum(earlier, 1e-300))
        growth = np.where(value > 1e-3, growth / math.log(x[far] / x[middle]), 0)
        if alpha < 2 and np.any(growth > alpha - 1e-3):
            raise ValueError(
                f"a statistic grows like |θ|^{np.max(growth):.2g}; its mean under a law with tail "
                f"index alpha={alpha:g} does not exist."
            )


def _end_part(problem: _Problem, grid: LineGrid, mass: np.ndarray) -> np.ndarray:
    """What holding at ±X the mass P beyond costs m, shape (K + 1, M).

    Where φ grows like |x|^γ it is P φ(X) γ/(α - γ); γ and φ(X) are read from the last e-fold.
    """
    x, alpha, total = grid.nodes, problem.alpha, np.zeros(())
    for end in (0, -1):
        last, before = (problem.mean(x[[end]] / f, np.ones(1)) for f in (1, math.e))
        ratio = np.abs(last) / np.maximum(np.abs(before), 1e-300)
        growth = np.clip(np.log(np.clip(ratio, 1 + 1e-9, 1e9)), 1e-9, alpha - 1e-3)
        change = (last - before) * growth / (-np.expm1(-growth) * (alpha - growth))
        total = total + mass[:, [end]] * change
    return total


def _initial(grid: LineGrid, init: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points and masses of the initial law: the nodes, or `init` itself if it is an array."""
    if init is None or (np.ndim(init) == 0 and float(init) != 0):
        scale = 1.0 if init is None else abs(float(init))
        if scale > 4 * grid.core * grid.spacing:
            # The trapezoidal rule in ξ, spectrally accurate for a density this wide; positive.
            mass = grid.widths * np.exp(-((grid.nodes / scale) ** 2) / 2)
            return grid.nodes, mass / mass.sum()
        mass = kernel_rows(grid, 2.0, scale / math.sqrt(2), np.zeros(1))[0]
        return grid.nodes, mass
    points = np.asarray(init, float).reshape(-1)
    return points, np.full(points.size, 1 / points.size)


class _Noise(NamedTuple):
    """Transport ends at points y; the noise then takes their masses to the nodes."""

    grid: LineGrid
    alpha: float
    scale: float
    kernel: np.ndarray

    def __call__(self, y: np.ndarray, mass: np.ndarray) -> np.ndarray:
        # A few points, those of an initial law, need not be shared among nodes first: near a point
        # mass that would be the largest error.
        if self.scale > 0 and y.size < self.grid.size:
            return mass @ kernel_rows(self.grid, self.alpha, self.scale, y)
        return deposit(self.grid, y, mass) @ self.kernel


def _solve(
    problem: _Problem, grid: LineGrid, num_steps: int
) -> tuple[Float[np.ndarray, "K1 M"], Float[np.ndarray, "K1 N"]]:
    """m and the masses at the nodes, at every time of the grid."""
    h = problem.t1 / num_steps
    scale = problem.sigma * h ** (1 / problem.alpha)
    scale = scale if scale > _LEAST_SCALE else 0.0
    noise = _Noise(grid, problem.alpha, scale, transition(grid, problem.alpha, scale))
    y, mass = _initial(grid, problem.init)
    nearest = np.rint(grid.position(y)).astype(np.int64)
    masses, means = [np.bincount(nearest, mass, grid.size)], [problem.mean(y, mass)]
    half = problem.scheme == "strang"
    for k in range(num_steps):
        mass = noise(problem.move(k * h, y, mass, h / 2 if half else h), mass)
        # The half steps of transport between two noises share no interpolation: the masses stay
        # at the points y that they have reached.
        y = problem.move((k + 0.5) * h, grid.nodes, mass, h / 2) if half else grid.nodes
        means.append(problem.mean(y, mass))
        masses.append(deposit(grid, y, mass) if half else mass)
    return np.array(means), np.array(masses)
