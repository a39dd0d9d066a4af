"""Predicted pruning ratios, and training in mean-field scaling beside its limit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import shells

import stablesde as ssd
from stablesde import paper
from stablesde.cli import main
from stablesde.training._network import first_layer

RULE = dict(sigma=0.1, learning_rate=0.05, steps=20, dim=8)
FIELD = dict(width=64, noise="I", alpha=1.75, sigma=0.2, steps=20, learning_rate=0.05, seeds=2)


def test_predicted_ratio_is_that_of_start_plus_all_noise():
    # Step by step, as training adds it, against one draw of the sum.
    width, networks = 100, 400
    law = ssd.stable_noise("II", 1.6, 8)

    @jax.jit
    @jax.vmap
    def by_steps(seed):
        key = jax.random.key(seed)
        added = sum(law.increment(key, k, 0.05, width) for k in range(20))
        return ssd.pruning_ratio(first_layer(jax.random.fold_in(key, 1), 8, width).T + 0.1 * added)

    ours = np.sort(100 * np.asarray(by_steps(jnp.arange(networks))))
    theirs = paper.predicted_ratio(width, "II", 1.6, networks=networks, **RULE)
    # Two-sample Kolmogorov-Smirnov: false alarm 2 exp(-2 D² m), m = 200: below 1e-6 at 0.195.
    grid = np.concatenate([ours, theirs.samples])
    cdf = [np.searchsorted(np.sort(s), grid, side="right") / networks
           for s in (ours, theirs.samples)]  # fmt: skip
    assert np.max(np.abs(cdf[0] - cdf[1])) < 0.195
    assert theirs.noise_scale == pytest.approx(0.1 * (0.05 * 20) ** (1 / 1.6))


def test_without_noise_it_is_the_ratio_of_the_start():
    # The squared norm of a uniform column is nearly the same for all: a little over 10 %.
    found = paper.predicted_ratio(2000, "none", 1.75, networks=5, **RULE | {"dim": 140})
    assert 11.2 < min(found.samples) <= max(found.samples) < 11.7
    assert found.alpha is None
    assert found.noise_scale == 0


def test_predicted_ratio_repeats_and_describes_itself():
    first = paper.predicted_ratio(50, "III", 1.5, networks=7, **RULE)
    again = paper.predicted_ratio(50, "III", 1.5, networks=7, **RULE)
    assert first == again
    assert len(first.samples) == 7
    assert first.quantile(0) == min(first.samples)
    assert first.to_dict()["mean"] == first.mean
    assert "7 networks" in repr(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width"),
        ({"noise": "IV"}, "kind"),
        ({"alpha": 2.5}, "alpha"),
        ({"sigma": -1}, "sigma"),
        ({"networks": 0}, "networks"),
        ({"learning_rate": 0}, "learning_rate"),
    ],
)
def test_predicted_ratio_refuses(change, message):
    settings = dict(width=10, noise="I", alpha=1.5, **RULE) | change
    with pytest.raises(ValueError, match=message):
        paper.predicted_ratio(**settings)


def test_tables_show_the_prediction(tmp_path):
    small = dict(width=32, steps=20, learning_rate=0.05, data=shells())
    table = paper.paper_table(1, tmp_path, only=["none", "1.75"], predict=3, **small)
    assert [len(row.predicted.samples) for row in table.rows] == [3, 3]
    text = str(table)
    assert "start alone" in text
    assert "noise alone" in text
    # A row that trains to an accuracy does not know its steps before it has a cell.
    assert paper.paper_table(15, tmp_path, predict=3).rows[0].predicted is None


def test_mean_field_network_is_the_particle_system():
    data = shells()
    result = paper.train_mean_field(data, predictions=2, **FIELD)
    model = ssd.NetworkModel("tanh", "logistic", data.x_train, data.y_train)
    run = ssd.simulate(
        ssd.System(
            model,
            ssd.stable_noise("I", 1.75, 8),
            sigma=0.2,
            init=lambda k: first_layer(k, 8, 1)[:, 0],
        ),
        jax.random.key(0),
        num_particles=64,
        t1=1.0,
        num_steps=20,
    )
    assert result.pruning_ratio.values[0] == pytest.approx(100 * ssd.pruning_ratio(run.final))
    f = jnp.tanh(data.x_train @ run.final.T).mean(1)
    accuracy = np.mean((np.asarray(f) > 0) == (data.y_train == 1))
    assert result.train_accuracy.values[0] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.slow
def test_trained_network_and_coupled_limit_agree_better_when_wider():
    data = shells()
    narrow, wide = (
        paper.train_mean_field(data, predictions=2, **FIELD | {"width": n, "seeds": 4})
        for n in (32, 2048)
    )
    # Eightfold by theory's n^(-1/2).
    assert np.median(wide.distance.values) < np.median(narrow.distance.values) / 2
    assert max(wide.drift.values) <= wide.drift_bound
    assert "fresh networks of the limit" in str(wide)


def test_default_noise_ends_like_the_presets():
    data = shells()
    result = paper.train_mean_field(data, predictions=2, **FIELD | {"sigma": None})
    like = paper.preset("ecg5000", 64, "I")
    theirs = like.sigma * (like.learning_rate * like.steps) ** (1 / 1.75)
    assert result.predicted_noise.noise_scale == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": "none"}, "noise must be"),
        ({"predictions": 1}, "predictions"),
        ({"unit": "step"}, "unit must be"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"dataset": shells(classes=3)}, "classes"),
        ({"dataset": "imagenet"}, "unknown data set"),
    ],
)
def test_mean_field_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        paper.train_mean_field(**{"dataset": shells()} | FIELD | change)


def test_command_line():
    settings = dict(scaling="mean-field", dataset="teacher", width=32, seeds=1, steps=5)
    rates = {"learning-rate": 0.1, "sigma": 0.1}
    options = [f"--{k}={v}" for k, v in (settings | rates).items()]
    done = CliRunner().invoke(main, ["train", *options, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["limit_ratio"]["values"]
