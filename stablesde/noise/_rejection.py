"""Fixed laws by rejection, as functions of counters: the number of the attempt is a counter, too.

Each particle keeps its first accepted attempt, whatever the others do, so numbers do not depend on
who else is drawn. Rounds end when the last particle has its number; they are loops of a program,
of any length. NaN counts as accepted: a traced parameter out of range ends in NaN, not in a hang.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from stablesde.noise._base import slots
from stablesde.stable import _elementary as el
from stablesde.stable._bits import Words, fold, mix
from stablesde.stable._sampling import positive_from_words, symmetric_from_words
from stablesde.stable._varying import vary_with

# Steps that need more rounds than that would never end: they give NaN.
_MOST = 1e6
# The first slot of attempts; slots below are for what is drawn once.
ATTEMPTS = 2**31
# Pieces of a tempered subordinator are so short that an attempt fails with probability ≤ 1 - e^-¼.
_PIECES = 4
_STREAM_PIECE = 203
# Rounds go over all particles until at most one group of particles in FEW has an open one; those
# groups are then gathered. A group of 4 costs less to find than a particle, and few are gathered
# in vain.
_GROUP, _FEW = 4, 8

# (j, x, particles) ↦ what these particles have after attempt j.
Attempt = Callable[[Array, Array, Array], Array]


def until_done(
    attempt: Attempt, start: Float[Array, "d n"], index: UInt32[Array, " n"], stream: Words
) -> Float[Array, "d n"]:
    """`attempt(j, x, index)` for j = 0, 1, … from x = `start`, until no particle is open.

    One is open while x[0] < 0: that the state tells it, and no array beside it, spares XLA the
    computation of the whole attempt for each of the two.
    """
    n = index.shape[0]
    groups = -(-n // _GROUP)
    room = -(-groups // _FEW)

    def rounds(
        carry: tuple[Array, Array], index: Array, more: Callable[[Array], Array]
    ) -> tuple[Array, Array]:
        def body(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            j, x = carry
            return j + 1, jnp.where(x[:1] < 0, attempt(j, x, index), x)

        return jax.lax.while_loop(lambda carry: more(carry[1]), body, carry)

    def waiting(x: Array) -> Array:  # particles k, k + groups, … are group k
        padded = jnp.pad(x[0], (0, _GROUP * groups - n))
        return jnp.any(padded.reshape(_GROUP, groups) < 0, 0)

    carry = vary_with((jnp.zeros((), jnp.uint32), start), (index, stream))
    j, x = rounds(carry, index, lambda x: jnp.sum(waiting(x)) > room)
    chosen = jnp.nonzero(waiting(x), size=room, fill_value=0)[0]
    # What is gathered twice, or is not open, has the same numbers each time.
    lanes = jnp.minimum(chosen[None] + groups * jnp.arange(_GROUP)[:, None], n - 1).reshape(-1)
    few = rounds((j, x[:, lanes]), index[lanes], lambda x: jnp.any(x[0] < 0))[1]
    return x.at[:, lanes].set(few)


def _accepted(
    draw: Callable[[Words], Array], index: UInt32[Array, " n"], stream: Words, dtype: jnp.dtype
) -> Float[Array, "1 n"]:
    """The first of `draw`(words of attempt 0, 1, …) that is not negative."""
    return until_done(
        lambda j, _, index: draw(attempt_words(stream, index, j)),
        jnp.full((1, index.shape[0]), -1, dtype),
        index,
        stream,
    )


def attempt_words(stream: Words, index: UInt32[Array, " n"], j: Array) -> Words:
    """The random words (1, n) of attempt j."""
    return slots(stream, index, j + jnp.uint32(ATTEMPTS), 1)


def spare_uniform(words: Words, dtype: jnp.dtype) -> Float[Array, "1 n"]:
    """A uniform number from words that have been used: scrambled, and so independent."""
    a, b = words
    both = mix(a + mix(b))
    return 2 * el.half_uniform(both, 31, mix(both ^ b), dtype)


def gamma(
    stream: Words, index: UInt32[Array, " n"], shape: Array, dtype: jnp.dtype
) -> Float[Array, "1 n"]:
    """Numbers of the gamma law with this shape (> 0) and scale 1. Uses slot 0 and attempts.

    Marsaglia and Tsang (2000) at shape + 2, where 98 % of the attempts are accepted, and
    G_a = G_{a+1} U^(1/a) twice. With d = a - 1/3, t = x / (3 √d), they accept d (1 + t)³ if
    log U < 3 d (log(1+t) - t + t²/2 - t³/3): in this form nothing cancels for large shapes.
    """
    (shape,) = _fixed(dtype, shape)
    d = shape + 2 - 1 / 3
    reach = 1 / (3 * jnp.sqrt(d))

    def draw(words: Words) -> Array:
        t = reach * symmetric_from_words(words, 2, dtype, 0.5**0.5)
        inside = jnp.where(t > -1, t, 0)
        rejected = spare_uniform(words, dtype) >= jnp.exp(3 * d * _remainder(inside))
        root = 1 + inside
        return jnp.where((t <= -1) | rejected, -1, d * root * root * root)

    boosted = _accepted(draw, index, stream, dtype)
    a, b = slots(stream, index, 0, 1)
    first, second = el.exponential(a, 30, mix(b), dtype), el.exponential(b, 30, mix(a), dtype)
    return boosted * jnp.exp(-first / shape - second / (shape + 1))


def _fixed(dtype: jnp.dtype, *values: Array) -> tuple[Array, ...]:
    """Parameters that are not differentiated (what is accepted jumps with them), and computed with
    when the program runs, never by the compiler, which rounds differently."""
    arrays = tuple(jax.lax.stop_gradient(jnp.asarray(v, dtype)) for v in values)
    return tuple(jax.lax.optimization_barrier(arrays))


def _countable(rounds: Array) -> Array:
    """The number of rounds, NaN where there are too many."""
    return jnp.where(rounds > _MOST, jnp.nan, rounds)


def _remainder(t: Array) -> Array:
    """log(1 + t) - t + t²/2 - t³/3."""
    series = 1 / 4 - t * (1 / 5 - t * (1 / 6 - t * (1 / 7 - t * (1 / 8 - t * (1 / 9 - t / 10)))))
    direct = jnp.log1p(t) - t * (1 - t * (1 / 2 - t / 3))
    return jnp.where(jnp.abs(t) < 0.15, -(t**4) * series, direct)


def tempered_positive(
    stream: Words,
    index: UInt32[Array, " n"],
    beta: Array,
    rate: Array,
    dt: Array,
    dtype: jnp.dtype,
) -> Float[Array, "1 n"]:
    """T with `E exp(-sT) = exp(-dt ((s + rate)^β - rate^β))`, β in (0, 1]. Uses attempts.

    A positive β-stable number over dt is accepted with probability exp(-rate S), which makes
    the tempered law exactly; over a long step the mean acceptance exp(-dt rate^β) would be small,
    so that the step is cut into pieces, which are added up.
    """
    beta, rate, dt = _fixed(dtype, beta, rate, dt)
    pieces = _countable(jnp.maximum(jnp.ceil(_PIECES * dt * rate**beta), 1))
    log_size = jnp.log(dt / pieces) / beta

    def draw(words: Words) -> Array:
        piece = positive_from_words(words, beta, dtype, log_size)
        rejected = spare_uniform(words, dtype) >= jnp.exp(-rate * piece)
        return jnp.where(rejected, -1, piece)

    def add(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        k, total = carry
        own = fold(stream, k, _STREAM_PIECE)
        return k + 1, total + _accepted(draw, index, own, dtype)

    start = (jnp.zeros((), jnp.uint32), jnp.zeros((1, index.shape[0]), dtype))
    carry = vary_with(start, (index, stream, pieces))
    total = jax.lax.while_loop(lambda carry: carry[0].astype(dtype) < pieces, add, carry)[1]
    return jnp.where(jnp.isnan(pieces), pieces, total)


def poisson_sum(
    stream: Words,
    index: UInt32[Array, " n"],
    mean: Array,
    jump: Callable[[Array, Array], Array],
    start: Array,
    dtype: jnp.dtype,
) -> Float[Array, "d n"]:
    """`start` + jump(0, index) + … + jump(N - 1, index), N Poisson with this mean. Uses attempts.

    N counts exponential waiting times until they pass `mean`: exact, in about N rounds.
    """
    mean = _countable(*_fixed(dtype, mean))

    def wait(j: Array, index: Array) -> Array:
        words = attempt_words(stream, index, j)
        return el.exponential(words[0], 30, words[1], dtype)

    def attempt(j: Array, so_far: Array, index: Array) -> Array:
        total = so_far[1:] + jump(j, index)
        return jnp.concatenate([so_far[:1] + wait(j + 1, index), total])

    ahead = wait(jnp.zeros((), jnp.uint32), index) - mean  # of the end, below 0: a jump is due
    total = until_done(attempt, jnp.concatenate([ahead, start]), index, stream)[1:]
    return jnp.where(jnp.isnan(mean), mean, total)
