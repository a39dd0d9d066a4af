"""Fixed laws by rejection, as functions of counters: the number of the attempt is a counter, too.

Each particle keeps its first accepted attempt, whatever the others do, so numbers do not depend on
who else is drawn. The loop ends when the last particle has its number; it is one loop of a program,
of any length. NaN counts as accepted: a traced parameter out of range ends in NaN, not in a hang.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt32

from stablesde.noise._base import slots
from stablesde.stable import _elementary as el
from stablesde.stable._bits import Words, mix
from stablesde.stable._sampling import log_positive_from_words, safe_exp, symmetric_from_words
from stablesde.stable._varying import vary_with

# Steps that need more rounds than that would never end: they give NaN.
_MOST = 1e6
# The first slot of attempts; slots below are for what is drawn once.
ATTEMPTS = 2**31
# Pieces of a tempered subordinator are so short that an attempt fails with probability ≤ 1 - e^-¼.
_PIECES = 4

# (j, so far) ↦ what a particle has after attempt j, and whether it is done.
Attempt = Callable[[Array, Array], tuple[Array, Bool[Array, "1 n"]]]


def until_done(
    attempt: Attempt, start: Array, index: UInt32[Array, " n"], stream: Words
) -> Float[Array, "..."]:
    """`attempt(j, x)` repeated for j = 0, 1, … until every particle is done, from x = `start`."""

    def body(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        j, x, done = carry
        new, now = attempt(j, x)
        return j + 1, jnp.where(done, x, new), done | now

    done = jnp.zeros((1, index.shape[0]), bool)
    carry = vary_with((jnp.zeros((), jnp.uint32), start, done), (index, stream))
    return jax.lax.while_loop(lambda c: ~jnp.all(c[2]), body, carry)[1]


def attempt_words(stream: Words, index: UInt32[Array, " n"], j: Array) -> Words:
    """The random words (1, n) of attempt j."""
    return slots(stream, index, j + jnp.uint32(ATTEMPTS), 1)


def spare_exponential(words: Words, dtype: jnp.dtype) -> Float[Array, "1 n"]:
    """A standard exponential from words that have been used: scrambled, and so independent."""
    a, b = words
    both = mix(a + mix(b))
    return el.exponential(both, 30, mix(both ^ b), dtype)


def log_gamma(
    stream: Words, index: UInt32[Array, " n"], shape: Array, dtype: jnp.dtype
) -> Float[Array, "1 n"]:
    """log G, G of the gamma law with this shape (> 0) and scale 1. Uses slot 0 and attempts.

    Marsaglia and Tsang (2000) at shape + 2, where 98 % of the attempts are accepted, and
    G_a = G_{a+1} U^(1/a) twice. With d = a - 1/3, t = x / (3 √d), they accept d (1 + t)³ if
    log U < 3 d (log(1+t) - t + t²/2 - t³/3): in this form nothing cancels for large shapes.
    """
    (shape,) = _fixed(dtype, shape)
    d = shape + 2 - 1 / 3
    reach = 1 / (3 * jnp.sqrt(d))

    def attempt(j: Array, _: Array) -> tuple[Array, Array]:
        words = attempt_words(stream, index, j)
        t = reach * symmetric_from_words(words, 2, dtype, 0.5**0.5)
        inside = jnp.where(t > -1, t, 0)
        rejected = (t <= -1) | (spare_exponential(words, dtype) <= -3 * d * _remainder(inside))
        return jnp.log(d) + 3 * jnp.log1p(inside), ~rejected

    boosted = until_done(attempt, jnp.zeros((1, index.shape[0]), dtype), index, stream)
    a, b = slots(stream, index, 0, 1)
    first, second = el.exponential(a, 30, mix(b), dtype), el.exponential(b, 30, mix(a), dtype)
    return boosted - first / shape - second / (shape + 1)


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
    so that the step is cut into pieces, and each particle adds up as many accepted ones.
    """
    beta, rate, dt = _fixed(dtype, beta, rate, dt)
    pieces = _countable(jnp.maximum(jnp.ceil(_PIECES * dt * rate**beta), 1))
    log_size = jnp.log(dt / pieces) / beta

    def attempt(j: Array, so_far: Array) -> tuple[Array, Array]:
        words = attempt_words(stream, index, j)
        piece = safe_exp(log_positive_from_words(words, beta, dtype) + log_size)
        rejected = spare_exponential(words, dtype) <= rate * piece
        total, count = so_far
        total = jnp.where(rejected, total, total + piece)
        count = jnp.where(rejected, count, count + 1)
        return jnp.stack([total, count]), ~(count < pieces)

    return until_done(attempt, jnp.zeros((2, 1, index.shape[0]), dtype), index, stream)[0]


def poisson_sum(
    stream: Words,
    index: UInt32[Array, " n"],
    mean: Array,
    jump: Callable[[Array], Array],
    start: Array,
    dtype: jnp.dtype,
) -> Float[Array, "d n"]:
    """The sum of jump(0), …, jump(N - 1), N Poisson with this mean. Uses attempts.

    N counts exponential waiting times until they pass `mean`: exact, in about N + 1 rounds.
    """
    mean = _countable(*_fixed(dtype, mean))

    def attempt(j: Array, so_far: Array) -> tuple[Array, Array]:
        words = attempt_words(stream, index, j)
        time = so_far[:1] + el.exponential(words[0], 30, words[1], dtype)
        arrived = time <= mean
        total = jnp.where(arrived, so_far[1:] + jump(j), so_far[1:])
        return jnp.concatenate([time, total]), ~arrived

    waited = jnp.zeros((1, index.shape[0]), dtype)
    total = until_done(attempt, jnp.concatenate([waited, start]), index, stream)[1:]
    return jnp.where(jnp.isnan(mean), mean, total)
