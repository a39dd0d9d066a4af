"""Heavy-tailed SGD: the noise it adds, training runs, and the paper's numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import available

import stablesde as ssd
from stablesde import paper
from stablesde.datasets import Dataset, teacher
from stablesde.training._transform import leaf_key

ZEROS = {"a": jnp.zeros((6, 4)), "b": jnp.zeros((5,))}


def noise_of(transform, steps=1, tree=ZEROS):
    """The updates of some steps with zero gradients."""
    state, out = transform.init(tree), []
    for _ in range(steps):
        updates, state = transform.update(tree, state, tree)
        out.append(updates)
    return out


@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_noise_is_the_increment_of_that_step(kind, key):
    sigma, alpha, eta = 0.3, 1.6, 0.01
    updates = noise_of(ssd.add_stable_noise(eta, sigma, alpha, kind, key), steps=3)
    for name, units, dim in [("a", 6, 4), ("b", 5, 1)]:
        noise = ssd.stable_noise(kind, alpha, dim)
        own = leaf_key(key, (jax.tree_util.DictKey(name),))
        for step in range(3):
            expected = sigma * noise.increment(own, step, eta, units)
            got = updates[step][name].reshape(units, dim)
            np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_unit_axis(key):
    """Flax stores (inputs, units), convolutions (out, in, h, w): the noise goes with the unit."""
    first = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "II", key), tree=jnp.zeros((6, 4)))[0]
    last = noise_of(
        ssd.add_stable_noise(0.1, 1.0, 1.5, "II", key, unit_axis=-1), tree=jnp.zeros((4, 6))
    )[0]
    np.testing.assert_array_equal(first, last.T)
    convolution = jnp.zeros((6, 3, 5, 5))
    filters = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "I", key), tree=convolution)[0]
    assert len(np.unique(filters)) == 6


def test_chunks_jit_and_resumption_change_nothing(key):
    transform = ssd.heavy_tailed_sgd(0.1, 0.5, 1.5, "III", key)
    loss = lambda p: jnp.sum(p["a"] ** 2) + jnp.sum(p["b"] ** 2)  # noqa: E731

    def run(carry, count):
        def step(carry, _):
            params, state = carry
            updates, state = transform.update(jax.grad(loss)(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, carry, None, length=count)[0]

    start = (ZEROS, transform.init(ZEROS))
    whole = run(start, 10)
    halves = jax.jit(run, static_argnums=1)(run(start, 4), 6)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(halves), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_alpha_two_has_variance_two_sigma_squared_eta(key):
    sigma, eta, n = 0.7, 0.01, 200_000
    updates = noise_of(ssd.add_stable_noise(eta, sigma, 2.0, "II", key), tree=jnp.zeros((n, 2)))[0]
    expected = 2 * sigma**2 * eta
    # Standard error of a variance: √(2/N) of it; 5.5 of them: false alarm below 1e-7.
    assert np.var(np.asarray(updates, float)) == pytest.approx(
        expected, rel=5.5 * np.sqrt(2 / (2 * n))
    )


def test_masks_chains_and_schedules(key):
    masked = ssd.heavy_tailed_sgd(0.1, 0.5, 1.5, "I", key, mask={"a": True, "b": False})
    update = noise_of(masked)[0]
    assert np.all(np.asarray(update["a"]) != 0)
    assert np.all(np.asarray(update["b"]) == 0)
    schedule = optax.exponential_decay(0.1, 1, 0.5)
    decayed = noise_of(ssd.add_stable_noise(schedule, 1.0, 1.25, "I", key), steps=3)
    constant = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.25, "I", key), steps=3)
    for k in range(3):
        ratio = np.asarray(decayed[k]["a"] / constant[k]["a"])
        np.testing.assert_allclose(ratio, 0.5 ** (k / 1.25), rtol=1e-5)
    chain = optax.chain(optax.adam(1e-2), ssd.add_stable_noise(1e-2, 0.1, 1.5, "II", key))
    assert np.isfinite(noise_of(chain)[0]["a"]).all()


def test_leaves_never_share_noise_whatever_masks_choose_them(key):
    """Not in one transform, nor in two of a chain with one key; σ may be a tree."""
    tree = {"a": jnp.zeros((6, 4)), "b": {"c": jnp.zeros((6, 4)), "d": jnp.zeros((6, 4))}}
    one = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "I", key), tree=tree)[0]
    levels = {"a": 1.0, "b": 3.0}
    two = optax.chain(
        *(
            ssd.add_stable_noise(0.1, level, 1.5, "I", key, mask={n: n == name for n in tree})
            for name, level in levels.items()
        )
    )
    for transform in (two, ssd.add_stable_noise(0.1, levels, 1.5, "I", key)):
        updates = noise_of(transform, tree=tree)[0]
        np.testing.assert_array_equal(updates["a"], one["a"])
        for leaf in ("c", "d"):
            np.testing.assert_allclose(updates["b"][leaf], 3 * one["b"][leaf], rtol=1e-6)
    assert len({float(leaf[0, 0]) for leaf in jax.tree.leaves(one)}) == 3


def test_hyperparameters_are_injected_scheduled_and_logged(key):
    """As of any optax transformation: numbers are hyperparameters, the rest is static."""
    schedule = optax.linear_schedule(0.0, 0.4, 4)
    optimizer = optax.inject_hyperparams(ssd.heavy_tailed_sgd, static_args=("key",))(
        0.1, schedule, 1.5, "I", key
    )
    state, update, levels = optimizer.init(ZEROS), jax.jit(optimizer.update), []
    for k in range(3):
        updates, state = update(ZEROS, state, ZEROS)
        expected = noise_of(ssd.heavy_tailed_sgd(0.1, schedule(k), 1.5, "I", key), steps=k + 1)[k]
        np.testing.assert_allclose(updates["a"], expected["a"], rtol=1e-5)
        levels.append(float(state.hyperparams["sigma"]))
    np.testing.assert_allclose(levels, [0.0, 0.1, 0.2], rtol=1e-6)


def test_a_mask_that_can_be_called_is_a_tree_of_booleans(key):
    model = eqx.nn.Linear(3, 4, key=key)
    params = eqx.filter(model, eqx.is_array)
    mask = jax.tree.map(lambda leaf: leaf.ndim == 2, params)
    given = dict(learning_rate=0.1, sigma=1.0, alpha=1.5, kind="I", key=key, mask=mask)
    injected = optax.inject_hyperparams(ssd.heavy_tailed_sgd, static_args=("mask", "key"))(**given)
    for transform in (ssd.add_stable_noise(**given), injected):
        updates = noise_of(transform, tree=jax.tree.map(jnp.zeros_like, params))[0]
        assert np.all(np.asarray(updates.weight) != 0)
        assert np.all(np.asarray(updates.bias) == 0)


def test_no_recompilation(key):
    transform = ssd.heavy_tailed_sgd(0.1, 0.5, 1.5, "I", key)
    traces = []

    @jax.jit
    def step(params, state):
        traces.append(1)
        updates, state = transform.update(params, state, params)
        return optax.apply_updates(params, updates), state

    params, state = ZEROS, transform.init(ZEROS)
    for _ in range(3):
        params, state = step(params, state)
    assert len(traces) == 1


def test_half_precision_keeps_its_type_and_sees_the_same_noise(key):
    full = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "I", key), tree=jnp.zeros((50, 4)))[0]
    half = noise_of(
        ssd.add_stable_noise(0.1, 1.0, 1.5, "I", key), tree=jnp.zeros((50, 4), jnp.bfloat16)
    )[0]
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, full.astype(jnp.bfloat16))


@pytest.mark.parametrize("kind", ["I", "III"])
def test_one_program_serves_a_sweep(kind, key):
    """σ, α and η may be traced; the numbers are those of the concrete ones."""
    traces = []

    @jax.jit
    def first_update(sigma, alpha, eta):
        traces.append(1)
        return noise_of(ssd.heavy_tailed_sgd(eta, sigma, alpha, kind, key))[0]["a"]

    for sigma, alpha, eta in [(0.3, 1.6, 0.1), (0.1, 1.9, 0.01)]:
        expected = noise_of(ssd.heavy_tailed_sgd(eta, sigma, alpha, kind, key))[0]["a"]
        np.testing.assert_allclose(first_update(sigma, alpha, eta), expected, rtol=2e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("classes", [2, 10])
def test_the_gradient_written_out_is_the_losses(classes, key):
    from stablesde.training._network import gradient, initialise, loss

    network = initialise(key, 7, 33, classes)
    x = jax.random.normal(key, (50, 7))
    y = jax.random.randint(key, (50,), 0, classes)
    expected = jax.grad(loss)(network, x, y)
    for ours, autodiff in zip(jax.jit(gradient)(network, x, y), expected, strict=True):
        np.testing.assert_allclose(ours, autodiff, rtol=1e-4, atol=1e-7)


def test_seeds_and_noise_levels_share_a_compiled_program():
    from stablesde.training._network import train_chunk

    train_chunk.clear_cache()
    paper.train("teacher", seeds=3, **SMALL)
    paper.train("teacher", seeds=1, **SMALL | dict(sigma=0.2, learning_rate=0.1))
    assert train_chunk._cache_size() == 1


def test_a_wider_network_sees_the_same_noise_on_its_first_units(key):
    narrow = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "II", key), tree=jnp.zeros((6, 4)))[0]
    wide = noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "II", key), tree=jnp.zeros((60, 4)))[0]
    np.testing.assert_array_equal(wide[:6], narrow)


def test_type_one_noise_does_not_reach_a_network_with_centred_inputs():
    """The same number on all weights of a unit times inputs that sum to 0: see docs/training.md."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 8))
    y = (x[:, 0] > 0).astype(np.int32)
    x = (x - x.mean(1, keepdims=True)).astype(np.float32)
    data = Dataset("centred", x[:40], y[:40], x[40:], y[40:], 2)
    plain, noisy = (
        paper.fit(data, 32, kind, 1.5, paper.Preset(0.05, 0.05, 50), 0)[0] for kind in ("none", "I")
    )
    assert float(jnp.max(jnp.abs(plain.w1 - noisy.w1))) > 0.1
    np.testing.assert_allclose(noisy.logits(x), plain.logits(x), atol=1e-4)


SMALL = dict(width=64, noise="I", alpha=1.5, sigma=0.05, learning_rate=0.05, steps=30)


def test_seeds_are_independent_of_their_company():
    together = paper.train("teacher", seeds=3, **SMALL)
    alone = paper.train("teacher", seeds=[2], **SMALL)
    for name in ("train_accuracy", "test_accuracy", "pruning_ratio"):
        assert getattr(together, name).values[2] == getattr(alone, name).values[0]
    assert together.seeds == (0, 1, 2)
    assert alone.train_accuracy.std is None


def test_chunks_of_training_change_nothing(monkeypatch):
    whole = paper.train("teacher", seeds=1, **SMALL)
    monkeypatch.setattr("stablesde.paper._train._CHUNK", 7)
    assert paper.train("teacher", seeds=1, **SMALL) == whole


def test_minibatches_cover_an_epoch_and_are_addressed_by_step():
    from stablesde.training._network import _batch

    x, y = jnp.arange(100.0)[:, None], jnp.arange(100)
    key = jax.random.key(0)
    epoch = np.concatenate([_batch(x, y, k, 25, key)[1] for k in range(4)])
    assert sorted(epoch.tolist()) == list(range(100))
    following = np.concatenate([_batch(x, y, k, 25, key)[1] for k in range(4, 8)])
    assert np.any(epoch != following)
    np.testing.assert_array_equal(_batch(x, y, 6, 25, key)[1], following[50:75])


def test_a_diverging_seed_does_not_lose_the_others(monkeypatch):
    from stablesde.paper import _train

    whole = paper.train("teacher", seeds=3, **SMALL)
    start = _train.initialise

    def broken(key, *sizes):
        network = start(key, *sizes)
        bad = jax.random.split(jax.random.key(1), 3)[0]
        return network._replace(w1=network.w1 * jnp.where(jnp.all(key == bad), jnp.inf, 1))

    monkeypatch.setattr(_train, "initialise", broken)
    with pytest.warns(UserWarning, match=r"diverged \(seed 1, .* other seeds are kept"):
        result = paper.train("teacher", seeds=3, **SMALL)
    assert result.seeds == (0, 2)
    assert result.diverged_seeds == (1,)
    assert result.test_accuracy.values == (
        whole.test_accuracy.values[0],
        whole.test_accuracy.values[2],
    )
    assert result.to_dict()["diverged_seeds"] == [1]
    assert "2 seeds" in str(result)
    assert "left out, diverged: seed 1" in str(result)
    assert "left out" not in str(whole)
    with pytest.raises(ValueError, match=r"diverged \(seed 1"):
        paper.train("teacher", seeds=[1], **SMALL)


def test_stopping_at_an_accuracy():
    preset = paper.Preset(0.05, 0.0, 5000, batch_size=32, until_accuracy=0.9)
    network, steps = paper.fit(teacher(num_train=256), 128, "none", 1.5, preset, 0)
    assert steps < 5000
    assert network.w1.shape == (2, 128)


def test_training_on_digits_works_and_noise_prunes():
    plain = paper.train("digits", width=256, noise="none", seeds=1)
    noisy = paper.train("digits", width=256, noise="I", alpha=1.5, sigma=0.05, seeds=1)
    assert plain.test_accuracy.mean > 0.85
    assert noisy.pruning_ratio.mean > plain.pruning_ratio.mean + 5
    text = str(noisy)
    assert "no such run" in text
    assert "pruning ratio" in text
    assert set(noisy.to_dict()["pruning_ratio"]) >= {"mean", "std", "values"}


def test_paper_rows_and_presets():
    row = paper.paper_row("ecg5000", "I", 2000, 1.75)
    assert row["table"] == "1"
    assert row["pruning_ratio"] == {"mean": 48.07, "std": 7.036}
    assert paper.paper_row("ecg5000", "none", 2000, 1.0)["pruning_ratio"]["mean"] == 11.45
    assert paper.paper_row("ecg5000", "I", 1234, 1.75) is None
    assert paper.preset("ecg5000", 2000, "I") == paper.Preset(3e-4, 0.5, 600)
    assert paper.preset("ecg5000", 2000, "II").sigma == 0.15
    between = paper.preset("ecg5000", 4000, "I")
    assert between.learning_rate == pytest.approx(1.5e-4)
    assert between.steps == 1200
    assert paper.preset("cifar10", 5000, "I").sigma == 1e-5
    with pytest.raises(ValueError, match="width"):
        paper.preset("mnist", 0, "I")


@pytest.mark.slow
def test_pruning_ratios_of_the_paper():
    setting = dict(width=2000, seeds=1, root=available("ecg5000"))
    result = paper.train("ecg5000", noise="none", **setting)
    assert result.pruning_ratio.mean == pytest.approx(11.45, abs=0.3)
    assert result.test_accuracy.mean == pytest.approx(0.957, abs=0.01)
    assert "Table 1" in str(result)
    noisy = paper.train("ecg5000", noise="I", alpha=1.75, sigma=0.15, **setting)
    # Nearly all of the paper's spread over seeds: its mean ± 3 of its standard deviations.
    assert noisy.pruning_ratio.mean == pytest.approx(48.07, abs=3 * 7.036)
    # The series sum to 0, so the noise does not reach the output; rounding may flip one of 4500.
    assert noisy.test_accuracy.mean == pytest.approx(result.test_accuracy.mean, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(width=0), "width"),
        (dict(noise="IV"), "noise must be one of"),
        (dict(alpha=0.0), "alpha"),
        (dict(alpha=2.5), "alpha"),
        (dict(sigma=-1.0), "sigma"),
        (dict(sigma=float("nan")), "sigma"),
        (dict(learning_rate=0.0), "learning_rate"),
        (dict(steps=0), "steps"),
        (dict(seeds=0), "seeds"),
        (dict(dataset="imagenet"), "unknown data set"),
        (dict(seeds=[]), "empty"),
        (dict(seeds=[-1]), "seeds must lie"),
        (dict(seeds=[2**32]), "seeds must lie"),
        (dict(seeds=range(10**9)), "at most"),
        (dict(alpha=float("nan")), "alpha"),
        (dict(learning_rate=1e30), "diverged"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        paper.train(**dict(dataset="teacher", seeds=1, **SMALL) | change)


def test_bad_transforms(key):
    with pytest.raises(ValueError, match="sigma"):
        ssd.add_stable_noise(0.1, -1.0, 1.5, "I", key)
    with pytest.raises(ValueError, match="kind"):
        ssd.add_stable_noise(0.1, 1.0, 1.5, "0", key)
    with pytest.raises(ValueError, match="learning_rate"):
        ssd.heavy_tailed_sgd(-0.1, 1.0, 1.5, "I", key)
    with pytest.raises(ValueError, match="no axis"):
        noise_of(ssd.add_stable_noise(0.1, 1.0, 1.5, "I", key), tree=jnp.zeros(()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(steps=0), "steps"),
        (dict(batch_size=0), "batch_size"),
        (dict(until_accuracy=95), "until_accuracy"),
        (dict(sigma=-1.0), "sigma"),
        (dict(learning_rate=float("inf")), "learning_rate"),
    ],
)
def test_bad_presets(change, message):
    with pytest.raises(ValueError, match=message):
        paper.Preset(**dict(learning_rate=0.1, sigma=0.1, steps=10) | change)


def test_a_users_data_set():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    mine = Dataset("mine", x[:30], y[:30], x[30:], y[30:], 2)
    assert paper.train(mine, seeds=1, **SMALL).dataset == "mine"
