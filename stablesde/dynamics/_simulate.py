"""The particle system, its law flow, and independent copies of the McKean–Vlasov limit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from stablesde.dynamics._system import (
    Driver,
    InitialLaw,
    check_run,
    drift,
    mean_statistic,
    particle_index,
    particle_sharding,
)
from stablesde.model import MeanFieldModel
from stablesde.noise import StableNoise
from stablesde.stable._bits import fold, key_words
from stablesde.stable._sampling import float_dtype

# The law flow draws everything under its own key: a limit estimated from the very particles that
# it is then compared with would be biased towards them.
STREAM_LAW = 101


class Trajectory(eqx.Module):
    """A simulated system at the saved times, split as `θ = θ₀ + σL + D`.

    - `times` (S,); `initial` (n, dim): θ₀.
    - `levy` (S, n, dim): σ L_t. `displacement` (S, n, dim): D_t, the integrated drift.

    Compare coupled trajectories through `displacement`: their θ₀ and L are identical. Under `vmap`
    every array gets leading axes, and so do `theta` and `final`.
    """

    times: Float[Array, " S"]
    initial: Float[Array, "n dim"]
    levy: Float[Array, "S n dim"]
    displacement: Float[Array, "S n dim"]

    @property
    def theta(self) -> Float[Array, "S n dim"]:
        """θ_t at the saved times."""
        return self.initial[..., None, :, :] + self.levy + self.displacement

    @property
    def final(self) -> Float[Array, "n dim"]:
        """θ at the last saved time."""
        return self.initial + self.levy[..., -1, :, :] + self.displacement[..., -1, :, :]

    def __repr__(self) -> str:
        *batch, saved, n, dim = self.levy.shape
        runs = f"{'x'.join(map(str, batch))} runs, " if batch else ""
        return (
            f"Trajectory({runs}{n} particles in dimension {dim}, {saved} saved times, "
            f"{self.levy.dtype})"
        )


class LawFlow(eqx.Module):
    """The mean statistic m_t of the limit on the grid `times`, estimated from particles.

    - `times` (K + 1,); `m` (K + 1, M).
    - `standard_error` (K + 1, M): of each entry of m (the statistic's spread over √N).
    - `num_particles`: N.
    """

    times: Float[Array, " K1"]
    m: Float[Array, "K1 M"]
    standard_error: Float[Array, "K1 M"]
    num_particles: int = eqx.field(static=True)

    def __repr__(self) -> str:
        return (
            f"LawFlow({self.m.shape[-2] - 1} steps, {self.m.shape[-1]} statistics, "
            f"{self.num_particles} particles)"
        )


def simulate(
    model: MeanFieldModel,
    noise: StableNoise,
    key: PRNGKeyArray,
    *,
    num_particles: int,
    t1: float,
    num_steps: int,
    sigma: float | Array = 1.0,
    init: InitialLaw = None,
    save_every: int | None = None,
    block_size: int | None = None,
    mesh: Mesh | None = None,
    dtype: jnp.dtype | None = None,
) -> Trajectory:
    """Simulates n particles `dθ^i = b(θ^i, μ^n) dt + σ dL^i` with the Euler scheme (eq. 2–4).

    `θ_{k+1} = θ_k + η b(θ_k, μ_k) + σ η^(1/α) X_k`, η = t1 / num_steps.

    **Arguments:**

    - `model`, `noise`: the drift and the driving process, of the same `dim`.
    - `key`: a JAX PRNG key. Initial values and increments are functions of (key, particle, step).
    - `num_particles`: n. `t1`: end time. `num_steps`: number of steps.
    - `sigma`: scale of the noise, ≥ 0.
    - `init`: None for θ₀ ~ N(0, I); a number s for N(0, s² I); an array (dim,) or (n, dim) of
      values; or a function from a key to one θ₀ of shape (dim,).
    - `save_every`: save θ₀ and every so many steps (must divide `num_steps`); None: the end only.
    - `block_size`: particles per block in which the drift is evaluated, to bound memory at
      O(n dim + block_size M); None: all at once. Must divide `num_particles`.
    - `mesh`: a `jax.sharding.Mesh` over whose devices the particles are spread.
    - `dtype`: float32 or float64 (JAX's default if None).

    **Returns:** a `Trajectory`. Reverse-mode differentiable in `sigma`, `init`, `noise.alpha` and
    the arrays of `model`.

    **Raises:** `ValueError` for mismatched dimensions, counts below 1, negative or non-finite
    `sigma` or `t1`, or sizes that do not divide each other as said above.
    """
    return _checked_run(
        model, noise, key, None, t1, num_steps, num_particles, sigma, init, save_every,
        block_size, mesh, dtype,
    )  # fmt: skip


def simulate_limit(
    model: MeanFieldModel,
    noise: StableNoise,
    key: PRNGKeyArray,
    flow: LawFlow,
    *,
    num_particles: int,
    sigma: float | Array = 1.0,
    init: InitialLaw = None,
    save_every: int | None = None,
    block_size: int | None = None,
    mesh: Mesh | None = None,
    dtype: jnp.dtype | None = None,
) -> Trajectory:
    """Simulates independent copies of the limit `dθ = b(θ, law(θ)) dt + σ dL` (eq. 5).

    Under the same key they have the same initial values and the same noise as the particles of
    `simulate` with `num_steps` as in `flow`: particle i and copy i are coupled.

    **Arguments:** as `simulate`, with `flow` from `law_flow` in place of `t1` and `num_steps`.
    `sigma` and `init` must be those of the flow.

    **Returns:** a `Trajectory`. **Raises:** `ValueError` as `simulate`.
    """
    expected = jax.eval_shape(model.statistic, jnp.zeros(model.dim)).shape
    if flow.m.shape[1:] != expected:
        raise ValueError(
            f"the flow has {flow.m.shape[1]} statistics, the model's statistic has shape "
            f"{expected}: estimate the flow with the same model."
        )
    return _checked_run(
        model, noise, key, flow.m, flow.times[-1], flow.m.shape[0] - 1, num_particles, sigma, init,
        save_every, block_size, mesh, dtype,
    )  # fmt: skip


def law_flow(
    model: MeanFieldModel,
    noise: StableNoise,
    key: PRNGKeyArray,
    *,
    t1: float,
    num_steps: int,
    sigma: float | Array = 1.0,
    num_particles: int = 100_000,
    init: InitialLaw = None,
    dtype: jnp.dtype | None = None,
) -> LawFlow:
    """Estimates the law flow m_t = E φ(θ_t) of the limit from a large particle system.

    Its particles draw from streams of their own: they are independent of what `simulate` and
    `simulate_limit` draw under the same key. The error of m is O(num_particles^-1/2) and is
    returned with it; in a study it must be far below the effect that is measured.

    **Arguments:** as `simulate`. **Returns:** a `LawFlow`. **Raises:** `ValueError` as `simulate`.
    """
    check_run(
        model,
        noise,
        t1=t1,
        sigma=sigma,
        init=init,
        num_particles=num_particles,
        num_steps=num_steps,
    )
    times, m, spread = _flow(
        model,
        noise,
        key_words(key),
        jnp.asarray(t1, float),
        jnp.asarray(sigma, float),
        init,
        int(num_particles),
        int(num_steps),
        float_dtype(dtype),
    )
    return LawFlow(times, m, spread / num_particles**0.5, int(num_particles))


def _checked_run(
    model: MeanFieldModel,
    noise: StableNoise,
    key: PRNGKeyArray,
    flow: Float[Array, "K1 M"] | None,
    t1: float | Array,
    num_steps: int,
    num_particles: int,
    sigma: float | Array,
    init: InitialLaw,
    save_every: int | None,
    block_size: int | None,
    mesh: Mesh | None,
    dtype: jnp.dtype | None,
) -> Trajectory:
    """Checks the settings, and runs the system, or copies of the limit if `flow` is given."""
    check_run(
        model,
        noise,
        t1=t1,
        sigma=sigma,
        init=init,
        num_particles=num_particles,
        num_steps=num_steps,
        save_every=save_every,
        block_size=block_size,
    )
    _check_division(num_steps, save_every, num_particles, block_size, mesh)
    return _run(
        model,
        noise,
        key_words(key),
        flow,
        jnp.asarray(t1, float),
        jnp.asarray(sigma, float),
        init,
        int(num_particles),
        int(num_steps),
        int(save_every or num_steps),
        save_every is not None,
        int(num_particles if block_size is None else block_size),
        mesh,
        float_dtype(dtype),
    )


def _check_division(
    num_steps: int, save_every: int | None, n: int, block_size: int | None, mesh: Mesh | None
) -> None:
    if save_every is not None and num_steps % save_every:
        raise ValueError(f"save_every={save_every} must divide num_steps={num_steps}.")
    if block_size is not None and n % block_size:
        raise ValueError(f"block_size={block_size} must divide num_particles={n}.")
    if mesh is not None and n % mesh.size:
        raise ValueError(f"num_particles={n} must be a multiple of the mesh's {mesh.size} devices.")
    if mesh is not None and block_size is not None:
        raise ValueError("give either mesh or block_size, not both.")


def _blockwise_mean(model: MeanFieldModel, theta: Float[Array, "B dim b"]) -> Float[Array, " M"]:
    if theta.shape[0] == 1:
        return mean_statistic(model, theta[0])
    zero = jnp.zeros_like(jax.eval_shape(model.statistic, theta[0, :, 0]), dtype=theta.dtype)
    total, _ = jax.lax.scan(lambda s, block: (s + mean_statistic(model, block), None), zero, theta)
    return total / theta.shape[0]


def _over_blocks(f, *arrays):  # type: ignore[no-untyped-def]
    if arrays[0].shape[0] == 1:
        return f(*(a[0] for a in arrays))[None]
    return jax.lax.map(lambda args: f(*args), arrays)


@eqx.filter_jit
def _run(  # type: ignore[no-untyped-def]
    model, noise, words, flow, t1, sigma, init, n, num_steps, every, save_start, block, mesh, dtype
):
    driver = Driver(noise, words, sigma.astype(dtype), dtype)
    spread = particle_sharding(mesh)
    index = particle_index(n).reshape(-1, block)
    dt = (t1 / num_steps).astype(dtype)
    theta0 = driver.initial(init, particle_index(n))
    theta0 = spread(theta0.reshape(noise.dim, -1, block).transpose(1, 0, 2))
    zero = jnp.zeros_like(theta0)

    def step(carry, k):  # type: ignore[no-untyped-def]
        levy, displacement = carry
        theta = theta0 + levy + displacement
        m = _blockwise_mean(model, theta) if flow is None else flow[k].astype(dtype)
        velocity = _over_blocks(lambda th: drift(model, th, m), theta)
        jump = _over_blocks(lambda i: driver.increment(k, dt, i), index)
        return (spread(levy + jump), spread(displacement + dt * velocity)), None

    def stretch(carry, first):  # type: ignore[no-untyped-def]
        carry, _ = jax.lax.scan(step, carry, first + jnp.arange(every))
        return carry, carry

    starts = jnp.arange(0, num_steps, every)
    (_, _), (levy, displacement) = jax.lax.scan(stretch, (zero, zero), starts)
    times = (starts + every) * dt
    if save_start:
        times = jnp.concatenate([jnp.zeros(1, times.dtype), times])
        levy, displacement = (jnp.concatenate([zero[None], a]) for a in (levy, displacement))

    def public(a):  # type: ignore[no-untyped-def]
        return jnp.moveaxis(a, -2, -1).reshape(*a.shape[:-3], n, noise.dim)

    return Trajectory(times, public(theta0), public(levy), public(displacement))


@eqx.filter_jit
def _flow(model, noise, words, t1, sigma, init, n, num_steps, dtype):  # type: ignore[no-untyped-def]
    driver = Driver(noise, fold(words, 0, STREAM_LAW), sigma.astype(dtype), dtype)
    index = particle_index(n)
    dt = (t1 / num_steps).astype(dtype)

    def step(theta, k):  # type: ignore[no-untyped-def]
        values = jax.vmap(model.statistic, in_axes=1, out_axes=1)(theta)
        m, spread = jnp.mean(values, -1), jnp.std(values, -1)
        theta = theta + dt * drift(model, theta, m) + driver.increment(k, dt, index)
        return theta, (m, spread)

    theta = driver.initial(init, index)
    _, (m, spread) = jax.lax.scan(step, theta, jnp.arange(num_steps + 1))
    return jnp.arange(num_steps + 1) * dt, m, spread
