"""Estimators are compiled for a few sizes; what fills a sample up changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablesde.stable import _estimate as estimate
from stablesde.stable import _fit, fit, goodness_of_fit, sample, tail_index
from stablesde.stable._padding import mean, padded, padded_size, quantiles, total, weights


def test_sizes():
    sizes = sorted({padded_size(n) for n in range(1, 5000)})
    assert sizes == [64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144]
    for n in (1, 64, 65, 1536, 1537, 2_000_000):
        assert n <= padded_size(n) <= max(64, 1.5 * n)


@pytest.mark.parametrize("n", [20, 64, 777])
def test_sums_and_quantiles(n, dtype):
    x = np.random.default_rng(n).standard_cauchy(n).astype(dtype)
    data, count = padded(x)
    data = jnp.asarray(data)
    near = {"rtol": 50 * np.finfo(dtype).eps, "atol": 50 * np.finfo(dtype).eps}
    np.testing.assert_allclose(mean(jnp.tanh(data), count), np.tanh(x).mean(), **near)
    np.testing.assert_allclose(total(jnp.tanh(data), count), np.tanh(x).sum(), **near)
    assert float(weights(data, count).sum()) == n
    levels = [0.0, 0.05, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(quantiles(data, count, levels), np.quantile(x, levels), rtol=1e-5)


def test_whole_and_filled_samples_agree():
    """A traced sample is not filled up."""
    x = 2 + sample(jax.random.key(0), 1.5, shape=(500,))
    for function in (lambda x: fit(x, 0), goodness_of_fit):
        for a, b in zip(*map(jax.tree.leaves, (function(x), jax.jit(function)(x))), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def test_one_program_for_many_sizes():
    x = np.asarray(sample(jax.random.key(0), 1.5, shape=(500,)))
    fit(x, 0)
    tail_index(x, "quantile")
    programs = _fit._fit_general, estimate._by_law
    before = [p._cache_size() for p in programs]
    for n in (390, 400, 512 - 20):
        fit(x[:n], 0)
        tail_index(x[:n], "quantile")
    assert [p._cache_size() for p in programs] == before
