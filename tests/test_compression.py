"""Pruning against brute force in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde.compression import _kept_rows, kept_rows

THETA = np.random.default_rng(0).standard_t(1.3, size=(37, 4))


def brute_force_keep(theta, count):
    order = np.argsort(np.linalg.norm(theta, axis=1))
    kept = theta.copy()
    kept[order[: len(theta) - count]] = 0
    return kept


@pytest.mark.parametrize("kappa", [0.05, 0.1, 1 / 3, 0.5, 1.0])
def test_prune_and_error(kappa, dtype):
    kept = brute_force_keep(THETA, int(np.floor(kappa * 37 + 1e-9)))
    theta = jnp.asarray(THETA, dtype)
    np.testing.assert_allclose(ssd.prune(theta, kappa), kept.astype(dtype))
    error = np.linalg.norm(kept - THETA) / np.linalg.norm(THETA)
    np.testing.assert_allclose(ssd.compression_error(theta, kappa), error, rtol=1e-5, atol=1e-7)


def test_many_kappas_from_one_sort_and_under_transformations():
    kappas = jnp.array([0.1, 0.5, 0.9])
    each = [ssd.compression_error(THETA, float(k)) for k in kappas]
    np.testing.assert_allclose(ssd.compression_error(THETA, kappas), each)
    batch = jnp.stack([THETA, 2 * THETA])
    mapped = jax.jit(jax.vmap(ssd.compression_error, in_axes=(0, None)))(batch, kappas)
    np.testing.assert_allclose(mapped[0], mapped[1], rtol=1e-6)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("error", [0.0, 0.01, 0.1, 0.5])
def test_pruning_ratio(error, squared):
    squares = np.sort(np.sum(THETA**2, 1))
    share = np.cumsum(squares) / squares.sum()
    allowed = np.sum((share if squared else np.sqrt(share)) <= error)
    with jax.enable_x64(True):
        ratio = ssd.pruning_ratio(jnp.asarray(THETA), error, squared=squared)
        np.testing.assert_allclose(ratio, allowed / 37)
        mask = np.asarray(ssd.prunable(jnp.asarray(THETA), error, squared=squared))
    assert mask.sum() == allowed
    norms = np.linalg.norm(THETA, axis=1)
    if allowed > 0:
        assert norms[mask].max() <= norms[~mask].min()


def test_huge_entries_do_not_overflow():
    theta = jnp.asarray(THETA * 1e30, jnp.float32)
    np.testing.assert_allclose(
        ssd.compression_error(theta, 0.3), ssd.compression_error(THETA, 0.3), rtol=1e-5
    )
    assert float(ssd.pruning_ratio(theta)) == pytest.approx(float(ssd.pruning_ratio(THETA)))


def test_rows_of_every_size_rank_by_their_norms():
    """Sizes 1e-36 to 1e38 in float32, whose squares under- or overflow."""
    sizes = np.array([1e-30, 3e-30, 1e-36, 1.0, 3e38, 2e38, 1e30])
    theta = sizes[:, None] * np.array([[0.6, -0.8, 1.0]])
    single = jnp.asarray(theta, jnp.float32)
    order = np.argsort(sizes)
    for kept in range(1, 7):
        rows = np.flatnonzero(np.asarray(ssd.prune(single, kept / 7)).any(1))
        assert set(rows) == set(order[-kept:])
        exact = np.sqrt(np.sum((sizes[order[:-kept]] / 3e38) ** 2) / np.sum((sizes / 3e38) ** 2))
        # Below 1e-38 the error itself is no normal float32.
        np.testing.assert_allclose(
            ssd.compression_error(single, kept / 7), exact, rtol=1e-5, atol=1.2e-38
        )
    tiny = jnp.asarray(THETA * 1e-30, jnp.float32)
    np.testing.assert_allclose(
        ssd.compression_error(tiny, 0.3), ssd.compression_error(THETA, 0.3), rtol=1e-5
    )
    # Not a single row is zero, so none can go without any error.
    assert float(ssd.pruning_ratio(single, 0.0)) == 0
    np.testing.assert_array_equal(ssd.prunable(single, 1e-9), sizes < 1e35)


def test_gradients_are_finite_beside_rows_of_zeros():
    theta = jnp.asarray(THETA, jnp.float32).at[:3].set(0)
    assert np.isfinite(jax.grad(lambda t: ssd.compression_error(t, 0.3))(theta)).all()


@pytest.mark.parametrize("n", [1, 3, 10, 37, 100, 1999, 10**6])
def test_one_rule_for_the_number_of_kept_rows(n):
    """⌊jn/100⌋ in integers: κ = j/100 in double and single precision, and traced."""
    exact = [j * n // 100 for j in range(1, 101)]
    kappas = np.arange(1, 101) / 100
    assert [kept_rows(n, float(k)) for k in kappas] == exact
    single = jnp.asarray(kappas, jnp.float32)
    assert _kept_rows(n, single).tolist() == exact
    assert jax.jit(lambda k: _kept_rows(n, k))(single).tolist() == exact


@pytest.mark.parametrize("kappa", [0.1, 0.3, 0.7])
def test_error_and_pruned_matrix_agree(kappa):
    """κn is an integer but for rounding: both keep exactly κn of the ten rows."""
    theta = jnp.asarray(THETA[:10], jnp.float32)
    kept = ssd.prune(theta, kappa)
    assert np.asarray(kept).any(1).sum() == round(10 * kappa)
    error = np.linalg.norm(theta - kept) / np.linalg.norm(theta)
    np.testing.assert_allclose(ssd.compression_error(theta, kappa), error, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(ssd.compression_error)(theta, kappa), error, rtol=1e-5)


def test_zero_theta():
    assert float(ssd.compression_error(jnp.zeros((5, 2)), 0.2)) == 0
    assert float(ssd.pruning_ratio(jnp.zeros((5, 2)))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ssd.prune(THETA, 0.0), "kappa"),
        (lambda: ssd.prune(THETA, 1.5), "kappa"),
        (lambda: ssd.prune(THETA[0], 0.5), "shape"),
        (lambda: ssd.compression_error(THETA, -0.1), "kappa"),
        (lambda: ssd.compression_error(np.full((3, 2), np.nan), 0.5), "finite"),
        (lambda: ssd.pruning_ratio(THETA, 1.0), "error"),
        (lambda: ssd.pruning_ratio(np.zeros((0, 2))), "shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
