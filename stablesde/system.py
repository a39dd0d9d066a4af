"""The stochastic differential equation that everything else simulates, as one value."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde._arguments import as_parameter, as_real, is_concrete
from stablesde._fingerprint import fingerprint
from stablesde.model import MeanFieldModel
from stablesde.noise import LevyNoise
from stablesde.stable._domain import number_text
from stablesde.stable._sampling import float_dtype

Tree = TypeVar("Tree")
InitialLaw = None | float | Array | np.ndarray | Callable[[PRNGKeyArray], Array]
Sigma = float | Float[Array, ""] | Float[Array, " dim"] | Float[Array, "dim q"] | Callable[..., Any]
# What simulations can compute with in any precision.
LARGEST = float(np.finfo(np.float32).max)


def _as_sigma(sigma: Any) -> Any:
    if callable(sigma):
        return sigma
    if isinstance(sigma, (list, tuple)) or (is_concrete(sigma) and np.ndim(sigma)):
        values = np.asarray(as_real("sigma", sigma), float)
        if not np.all(np.abs(values) < LARGEST):
            raise ValueError(f"sigma must hold finite numbers, got {values!r}.")
        if values.ndim == 1 and np.any(values < 0):
            raise ValueError(f"sigma, scales of coordinates, must not be negative, got {values!r}.")
        if values.ndim not in (1, 2):
            raise ValueError(
                "sigma must be a number, an array (dim,) or (dim, q) of finite numbers, or a "
                f"function of (t, theta, m), got shape {values.shape}."
            )
        return jnp.asarray(values)
    return sigma if np.ndim(sigma) else as_parameter("sigma", sigma, 0.0)


def _as_init(init: Any) -> Any:
    """Lists become arrays: a list would be a tree of numbers."""
    if isinstance(init, (list, tuple)):
        return np.asarray(_init_values(init), jax.dtypes.canonicalize_dtype(float))
    return init


def _init_values(init: Any) -> Any:
    try:
        return as_real("init", init)
    except ValueError:
        raise ValueError(f"init must be None, a number, an array or a function: {init!r}") from None


def _as_dtype(dtype: Any) -> Any:
    return None if dtype is None else float_dtype(dtype)


class System(eqx.Module):
    """The McKean–Vlasov equation `dθ = b(t, θ, μ) dt + σ dL` with its start θ₀ (eq. 4).

    ```python
    noise = ssd.stable_noise("I", 1.5, 2)
    system = ssd.System(ssd.MeanReversion(2), noise, sigma=0.5)
    run = ssd.simulate(system, key, num_particles=1000, t1=1.0, num_steps=32)
    ```

    **Arguments:**

    - `model`, `noise`: the drift and the driving process, any `LevyNoise`.
    - `sigma`: the coefficient of the noise. A number ≥ 0, an array (dim,) of scales of coordinates
      or a matrix (dim, q), for a noise of dimension q: then the noise is additive. Or a function
      `sigma(t, theta, m)` of one particle, θ (dim,) and the mean statistic m, to one of these: then
      it is multiplicative, in Itô's sense (σ is taken before the jump), for the schemes "euler" and
      "tamed". An `equinox.Module` with `__call__` makes its numbers traced ones.
    - `init`: None for θ₀ ~ N(0, I); a number s for N(0, s² I); an array (dim,) or (n, dim) of
      values; or a function from a key to one θ₀ of shape (dim,).
    - `dtype`: what all runs of it compute in, float32 or float64; None: JAX's default when they
      run.

    It is a pytree: its numbers can be differentiated, mapped over and replaced
    (`equinox.tree_at`, `dataclasses.replace`). Compiled programs take all of them, Python floats as
    well, as arrays: other values compile nothing anew. What is no number with a fraction (integers,
    text, functions) is part of the program, and so is a field that is declared static.

    **Raises:** `ValueError` for a model or noise that is none, mismatched dimensions, a statistic,
    drift or `sigma` of the wrong shape, a negative or non-finite `sigma`, an `init` of another
    form, or a `dtype` that JAX does not have (float64 needs 64-bit mode). **Warns:** if doubles in
    `init` lose digits to JAX's default as it is when the system is made, which no one chose.
    """

    model: MeanFieldModel
    noise: LevyNoise
    sigma: Sigma = eqx.field(default=1.0, converter=_as_sigma)
    init: InitialLaw = eqx.field(default=None, converter=_as_init)
    dtype: Any = eqx.field(default=None, static=True, converter=_as_dtype)

    def __check_init__(self) -> None:
        if not isinstance(self.model, MeanFieldModel):
            raise ValueError(
                f"model must be a stablesde.MeanFieldModel, got {type(self.model).__name__}."
            )
        if not isinstance(self.noise, LevyNoise):
            raise ValueError(
                f"noise must be a stablesde.LevyNoise, got {type(self.noise).__name__}."
            )
        _check_initial(self.init, self.model.dim)
        self._warn_if_rounded()
        size = _checked_shapes(*_abstract(self.model))
        shape = _shape_of_sigma(self.sigma, self.model.dim, size)
        if len(shape) < 2 and self.noise.dim != self.model.dim:
            raise ValueError(
                f"the noise has dim={self.noise.dim} but the model's particles have "
                f"dim={self.model.dim}: build the noise with dim=model.dim, or give a matrix "
                f"sigma of shape ({self.model.dim}, {self.noise.dim})."
            )
        expected = (self.model.dim, self.noise.dim)[: len(shape)]
        if shape != expected:
            raise ValueError(
                f"sigma has shape {shape}; it must be one of [(), ({self.model.dim},),"
                f" ({self.model.dim}, {self.noise.dim})]."
            )

    def _warn_if_rounded(self) -> None:
        init, found = self.init, self.run_dtype
        if self.dtype is not None or not isinstance(init, np.ndarray) or init.dtype != np.float64:
            return
        with np.errstate(over="ignore", under="ignore"):
            rounded = init.astype(found)
        if not np.array_equal(init, rounded):
            warnings.warn(
                f"init holds doubles, and is rounded to {found}, JAX's default. Give the system "
                f"dtype=jnp.{found} if that is meant (or an init of it); for doubles, "
                "jax.config.update('jax_enable_x64', True) before the first computation.",
                stacklevel=5,
            )

    @property
    def run_dtype(self) -> jnp.dtype:
        """What runs compute in now: `dtype`, or JAX's default.

        **Raises:** `ValueError` for float64 outside of 64-bit mode.
        """
        return float_dtype(self.dtype)

    @property
    def dim(self) -> int:
        """p, the length of one particle θ."""
        return self.model.dim

    @property
    def additive(self) -> bool:
        """Whether the coefficient of the noise is the same at all times and for all particles."""
        return not callable(self.sigma)

    @property
    def statistic_size(self) -> int:
        """M, the length of the model's statistic."""
        return _checked_shapes(*_abstract(self.model))

    @property
    def lists_particles(self) -> bool:
        """Whether `init` gives a θ₀ for each particle, shape (n, dim), and not one law for all."""
        return self.init is not None and not callable(self.init) and np.ndim(self.init) == 2

    def __repr__(self) -> str:
        init = self.init
        if init is None:
            start = ""
        elif callable(init):
            start = f", init={name_of(init)}"
        else:
            start = f", init={number_text(init)}"
        sigma = name_of(self.sigma) if callable(self.sigma) else number_text(self.sigma)
        dtype = "" if self.dtype is None else f", dtype={self.dtype}"
        return f"System({self.model}, {self.noise}, sigma={sigma}{start}{dtype})"


class HeldSystem(eqx.Module):
    """A system inside a result: arrays are its leaves, all else belongs to its structure.

    So a result that carries its system may leave `jax.jit` and `jax.vmap` like any tree of arrays.
    """

    arrays: System
    rest: System = eqx.field(static=True)

    def __init__(self, system: System) -> None:
        self.arrays, self.rest = eqx.partition(system, eqx.is_array)

    @property
    def whole(self) -> System:
        """The system."""
        return eqx.combine(self.arrays, self.rest)


def traced(system: Tree) -> Tree:
    """The system with its Python floats as arrays: a compiled program serves all values of them."""
    return jax.tree.map(lambda x: np.asarray(x) if isinstance(x, float) else x, system)


def in_dtype(system: System, dtype: jnp.dtype) -> System:
    """The system with all of its floating numbers in one dtype."""

    def convert(x: Any) -> Any:
        return jnp.asarray(x, dtype) if eqx.is_inexact_array(x) or isinstance(x, float) else x

    return jax.tree.map(convert, system)


def sigma_setting(system: System) -> Any:
    """σ as a run directory is bound to it: a number, a list, or a function's name and print."""
    sigma = system.sigma
    if not callable(sigma):
        return np.asarray(sigma, float).tolist()
    sizes = (), (system.dim,), (system.statistic_size,)

    def coefficient(key: PRNGKeyArray) -> Array:
        return jnp.asarray(sigma(*(jax.random.normal(key, size) for size in sizes)))

    return f"{name_of(sigma)} {fingerprint(coefficient)}"


def check_is_system(system: object) -> None:
    """Raises `ValueError` for what is no `System`."""
    if not isinstance(system, System):
        raise ValueError(
            f"system must be a stablesde.System, got {type(system).__name__}: build one with "
            "ssd.System(model, noise, sigma=1.0, init=None, dtype=None)."
        )


def check_num_initial(system: System, num_particles: int) -> None:
    """Raises `ValueError` if `init` lists another number of particles than `num_particles`."""
    init: Any = system.init
    if system.lists_particles and init.shape[0] != num_particles:
        raise ValueError(
            f"init has shape {init.shape}; it must be one of [(), ({system.dim},), "
            f"({num_particles}, {system.dim})] or a function."
        )


def check_initial_law(system: System, what: str) -> None:
    """Raises `ValueError` if `init` lists particles, which then are not exchangeable."""
    if system.lists_particles:
        raise ValueError(
            f"{what} needs an initial law: init of shape (n, dim) is not one, as its particles are "
            "not exchangeable."
        )


def _check_initial(init: InitialLaw, dim: int) -> None:
    """Raises `ValueError` unless `init` has one of the forms that `System` documents."""
    if init is None:
        return
    if callable(init):
        try:
            value = jax.eval_shape(init, jax.random.key(0))
        except Exception as error:
            raise ValueError(f"init(key) fails for a PRNG key: {error}") from error
        shape = getattr(value, "shape", None)
        if shape != (dim,):
            raise ValueError(f"init(key) must return one θ₀ of shape ({dim},), got {shape}.")
        return
    values = _init_values(init)
    shape = np.shape(values)
    if shape not in ((), (dim,)) and (len(shape) != 2 or shape[1] != dim or shape[0] == 0):
        raise ValueError(
            f"init has shape {shape}; it must be (), ({dim},), (num_particles, {dim}) or a "
            "function."
        )
    if is_concrete(init) and not np.all(np.abs(np.asarray(values, float)) < LARGEST):
        raise ValueError("init must be finite.")


def name_of(function: Any) -> str:
    """What a function is called."""
    return getattr(function, "__name__", type(function).__name__)


def _shape_of_sigma(sigma: Any, dim: int, size: int) -> tuple[int, ...]:
    """The shape of the coefficient. Raises `ValueError` for a function that gives no array."""
    if not callable(sigma):
        return np.shape(sigma)
    dtype = jax.dtypes.canonicalize_dtype(float)
    t, theta, m = (jax.ShapeDtypeStruct(s, dtype) for s in ((), (dim,), (size,)))
    try:
        value = eqx.filter_eval_shape(lambda f, *a: jnp.asarray(f(*a)), sigma, t, theta, m)
    except Exception as error:
        raise ValueError(
            f"sigma(t, theta, m) fails for a theta of shape ({dim},) and an m of shape "
            f"({size},): {error}"
        ) from error
    return value.shape


def _abstract(model: MeanFieldModel) -> tuple[Any, tuple[Any, ...], Any]:
    """The model without its numbers: what decides the shapes, and can be looked up."""
    leaves, structure = jax.tree.flatten(traced(model))
    shapes = [
        jax.ShapeDtypeStruct(x.shape, jax.dtypes.canonicalize_dtype(x.dtype))
        if eqx.is_array(x)
        else x
        for x in leaves
    ]
    return structure, tuple(shapes), jax.dtypes.canonicalize_dtype(float)


# Tracing a model costs milliseconds, more than many a simulation.
@functools.lru_cache(maxsize=256)
def _checked_shapes(structure: Any, leaves: tuple[Any, ...], dtype: Any) -> int:
    """M. Raises `ValueError` if the statistic or drift of one particle have the wrong shapes."""
    model = jax.tree.unflatten(structure, leaves)
    theta = jax.ShapeDtypeStruct((model.dim,), dtype)
    phi = _shape_of("model.statistic(theta)", lambda model, a: model.statistic(a), model, theta)
    if getattr(phi, "ndim", None) != 1:
        raise ValueError(
            "model.statistic must return one array of shape (M,) for a particle of shape "
            f"({model.dim},), got {_shape(phi)}."
        )
    time = jax.ShapeDtypeStruct((), dtype)
    drift = lambda model, *a: model.drift_at(*a)  # noqa: E731
    speed = _shape_of("the drift of (t, theta, m)", drift, model, time, theta, phi)
    if getattr(speed, "shape", None) != (model.dim,):
        raise ValueError(
            f"model.drift must return the velocity of one particle, shape ({model.dim},), "
            f"got {_shape(speed)}."
        )
    return phi.shape[0]


def _shape_of(what: str, function: Any, *arguments: Any) -> Any:
    """What a user's function gives. Raises `ValueError` for a function of other arguments."""
    try:
        return eqx.filter_eval_shape(function, *arguments)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"{what} cannot be called so: {error}") from error


def _shape(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"shape {shape}" if shape is not None else type(value).__name__


__all__ = [
    "LARGEST",
    "HeldSystem",
    "InitialLaw",
    "System",
    "check_initial_law",
    "check_is_system",
    "check_num_initial",
    "in_dtype",
    "name_of",
    "sigma_setting",
    "traced",
]
