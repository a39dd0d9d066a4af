"""Few programs, and JAX's strict modes: every public function of `stable`, and the noises."""

import contextlib

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde import stable

X = np.random.default_rng(0).standard_cauchy(200)
Q = np.linspace(0.01, 0.99, 20)
KEYS = jax.random.key(1), jax.random.key(2)
PUBLIC_CLASSES = {"LawFit", "TailIndex"}


def _noises(alpha):
    directions = [[1.0, 0.5], [0.2, -1.0]]
    return [ssd.stable_noise(kind, alpha, 2) for kind in ("I", "II", "III")] + [
        ssd.EllipticalStable(alpha, np.eye(2)),
        ssd.SpectralStable(alpha, directions, [1.0, alpha]),
    ]


# Each call at two sets of numbers: 0 and 1.
CALLS = {
    "sample": lambda i: stable.sample(
        KEYS[i], 1.3 + 0.2 * i, shape=(40,), loc=0.5 * i, scale=1.0 + i
    ),
    "sample, skewed": lambda i: stable.sample(KEYS[i], 1.0 + 0.2 * i, 0.5 - i, (40,), loc=i),
    "sample_positive": lambda i: stable.sample_positive(KEYS[i], 0.4 + 0.1 * i, 40, scale=1 + i),
    "pdf": lambda i: stable.pdf(X, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "logpdf": lambda i: stable.logpdf(X, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "cdf": lambda i: stable.cdf(X, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "sf": lambda i: stable.sf(X, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "ppf": lambda i: stable.ppf(Q, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "isf": lambda i: stable.isf(Q, 1.5 + 0.1 * i, loc=0.1 * i, scale=1.0 + i),
    "positive_pdf": lambda i: stable.positive_pdf(abs(X), 0.5 + 0.1 * i, scale=1.0 + i),
    "positive_logpdf": lambda i: stable.positive_logpdf(abs(X), 0.5 + 0.1 * i, scale=1.0 + i),
    "positive_cdf": lambda i: stable.positive_cdf(abs(X), 0.5 + 0.1 * i, scale=1.0 + i),
    "positive_sf": lambda i: stable.positive_sf(abs(X), 0.5 + 0.1 * i, scale=1.0 + i),
    "tail_constant": lambda i: stable.tail_constant(1.5 + 0.1 * i),
    "absolute_moment": lambda i: stable.absolute_moment(1.5, 0.5 + 0.1 * i),
    "characteristic_function": lambda i: stable.characteristic_function(X, 1.5 + 0.1 * i, 0.5 * i),
    "expected_maximum": lambda i: stable.expected_maximum(1.5 + 0.1 * i, 100 + i),
    "bootstrap_test": lambda i: stable.bootstrap_test(X + i, KEYS[i], replicas=19),
    "goodness_of_fit": lambda i: stable.goodness_of_fit(X + i),
    "tail_index": lambda i: stable.tail_index(X * (1 + i), level=0.9 + 0.05 * i),
    "block_tail_index": lambda i: stable.block_tail_index(X * (1 + i)),
    "fit": lambda i: stable.fit(np.concatenate([X * (1 + i), X[: 10 * i]])),
    "fit, symmetric": lambda i: stable.fit(X * (1 + i), 0, level=0.9 + 0.05 * i),
    "pdf, skewed": lambda i: stable.pdf(X, 1.5 + 0.1 * i, 0.3 * (1 + i), loc=0.1 * i),
    "logpdf, skewed": lambda i: stable.logpdf(X, 0.9 + 0.1 * i, 0.3, parametrization="S0"),
    "cdf, skewed": lambda i: stable.cdf(X, 1.5 + 0.1 * i, 1.0 - 0.5 * i, scale=1.0 + i),
    "isf, skewed": lambda i: stable.isf(Q, 1.5 + 0.1 * i, 0.1 + 0.5 * i, scale=1.0 + i),
}
CALLS |= {
    f"tail_index, {method}": lambda i, m=method: stable.tail_index(X + i, m, level=0.9 + 0.05 * i)
    for method in ("log-moment", "quantile", "ecf", "mle")
}
for _k in range(5):
    _name = type(_noises(1.5)[_k]).__name__
    CALLS[f"{_name}.sample"] = lambda i, k=_k: _noises(1.5 + 0.1 * i)[k].sample(KEYS[i], (7,))
    CALLS[f"{_name}.increment"] = lambda i, k=_k: _noises(1.5 + 0.1 * i)[k].increment(
        KEYS[i], i, 0.1 + i, 7, first_particle=i
    )


@contextlib.contextmanager
def counted():
    """A list that grows by one for each program compiled."""
    programs = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            programs.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield programs
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", CALLS)
def test_one_program_for_all_numbers(name):
    _noises(1.5)  # the square roots of a matrix, and such
    with counted() as first:
        jax.block_until_ready(CALLS[name](0))
    assert len(first) <= 3
    with counted() as second:
        jax.block_until_ready(CALLS[name](1))
    assert not second


def test_every_public_function_is_called():
    functions = set(stable.__all__) - PUBLIC_CLASSES
    assert functions <= set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_nan_on_the_way(name):
    with jax.debug_nans(True):
        jax.block_until_ready(CALLS[name](0))


@pytest.mark.parametrize("x64", [False, True])
def test_strict_promotion(x64):
    """Tracing is enough: these modes act there."""
    column = np.array([[1.4], [1.6]], np.float32)
    with (
        jax.enable_x64(x64),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        for call in CALLS.values():
            jax.eval_shape(lambda c=call: c(0))
        x = X.astype(np.float32)
        for function in (stable.pdf, stable.logpdf, stable.cdf, stable.sf, stable.ppf, stable.isf):
            shape = jax.eval_shape(lambda a, f=function: f(x, a, loc=a, scale=a), column).shape
            assert shape == (2, 200)
        for function in (stable.positive_pdf, stable.positive_sf):
            shape = jax.eval_shape(lambda a, f=function: f(x, a / 2), column).shape
            assert shape == (2, 200)
        draw = jax.eval_shape(lambda a: stable.sample(KEYS[0], a, loc=x, shape=(3, 2, 200)), column)
        assert draw.shape == (3, 2, 200)
        for noise in _noises(np.float32(1.5)):
            assert noise.sample(KEYS[0], 3, jnp.float32).dtype == jnp.float32
            assert noise.increment(KEYS[0], 0, 0.1, 3, dtype=jnp.float32).dtype == jnp.float32
