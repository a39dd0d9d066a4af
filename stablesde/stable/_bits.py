"""Counter-based random words: Threefry-2x32 (Salmon, Moraes, Dror and Shaw 2011).

Every random number of the library is a pure function of (key, counter). JAX's own bit stream has
this property only along the leading axis, and throws away half of what each Threefry call gives;
calling the cipher with explicit counters gives 64 bits per call, and any sub-block of particles
without generating the rest. The rounds are unrolled so that XLA fuses them with what consumes them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Integer, Key, PRNGKeyArray, UInt32

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA

Words = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]
# One key for each replica, of either of JAX's kinds.
Keys = Key[Array, " replicas"] | UInt32[Array, "replicas 2"]


def threefry2x32(key: Words, counter: Words) -> Words:
    """Threefry-2x32 with 20 rounds; equals `jax.extend.random.threefry2x32_p` bit for bit."""
    k0, k1 = key
    schedule = (k0, k1, k0 ^ k1 ^ jnp.uint32(_PARITY))
    x0 = counter[0] + schedule[0]
    x1 = counter[1] + schedule[1]
    for group in range(5):
        for r in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << jnp.uint32(r)) | (x1 >> jnp.uint32(32 - r))
            x1 = x1 ^ x0
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = x1 + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    return x0, x1


def key_words(key: PRNGKeyArray | UInt32[Array, "2"]) -> Words:
    """The two words under which this library uses `key` (typed or legacy, any JAX generator).

    They are drawn from the key, not read out of it, so that a stream of ours never coincides
    with what `jax.random` yields under the same key.
    """
    try:
        words = jax.random.bits(key, (2,), jnp.uint32)
    except (TypeError, ValueError, AttributeError) as error:
        raise _no_key(key) from error
    return words[0], words[1]


def check_key(key: Any) -> None:
    """Raises `ValueError` for what is not one PRNG key, of either of JAX's kinds."""
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if key.ndim:
            raise _no_key(key)
        return
    try:
        jax.eval_shape(lambda k: jax.random.bits(k, (2,)), key)
    except (TypeError, ValueError, AttributeError) as error:
        raise _no_key(key) from error


def _no_key(key: Any) -> ValueError:
    return ValueError(
        f"key must be one JAX PRNG key, such as jax.random.key(0), got {key!r}{_reason(key)}."
    )


def _reason(key: Any) -> str:
    """Why an array of words is not a key of the default implementation, where that is the case."""
    implementation = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]
    words = getattr(key, "shape", None)
    raw = getattr(key, "dtype", None) == jnp.uint32 and words in ((2,), (4,))
    if not raw or words == jax.random.key_data(jax.random.key(0)).shape:
        return ""
    given = "threefry2x32" if words == (2,) else "rbg"
    return (
        f": without a type it is read as a key of the default implementation, "
        f"jax_default_prng_impl={implementation!r}, which has another number of words; say what it "
        f"is by jax.random.wrap_key_data(key, impl={given!r})"
    )


def fold(key: Words, a: int | Integer[Array, ""], b: int | Integer[Array, ""] = 0) -> Words:
    """A new key for the pair (a, b): independent streams for different pairs."""
    return threefry2x32(key, (jnp.asarray(a).astype(jnp.uint32), jnp.asarray(b).astype(jnp.uint32)))


def mix(word: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A bijective 32-bit scrambler (Murmur3's finaliser): spare low-order bits at little cost."""
    word = word ^ (word >> jnp.uint32(16))
    word = word * jnp.uint32(0x85EBCA6B)
    word = word ^ (word >> jnp.uint32(13))
    word = word * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> jnp.uint32(16))
