"""One instance of every public class, with arrays large enough that no repr may print them."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import shells

import stablesde as ssd
from stablesde import _sizes, check, dynamics, model, stable, studies, training
from stablesde.diffrax_path import StablePath
from stablesde.model._losses import loss
from stablesde.training import _prediction

KEY = jax.random.key(0)
SETTINGS = {"t1": 1.0, "num_steps": 4}


def _network():
    rng = np.random.default_rng(1)
    return ssd.NetworkModel("tanh", "logistic", rng.normal(size=(300, 2)), np.arange(300) % 2)


def _rates(network, noise):
    return ssd.propagation_of_chaos(
        network, noise, KEY, widths=(2, 4, 8, 16), replicas=8, law_particles=64, **SETTINGS
    )


def _design(rates, network, noise):
    return studies.StudyDesign(
        ssd.propagation_of_chaos, network, noise, KEY, {"replicas": 640, "t1": 1.0}, 0.02, 0.019,
        {"law flow": 0.001}, 12.0, rates,
    )  # fmt: skip


def _mean_field_result(data):
    return training.train_mean_field(
        data, width=16, alpha=1.7, sigma=0.1, steps=4, seeds=2, predictions=2
    )


def _table_row():
    row = training.paper_table(1, "nowhere").rows[1]
    measured = {k: training.Measured((0.9, 0.91)) for k in row.printed}
    return training.TableRow(row.label, row.setting, row.printed, ours=measured, seeds=(0, 1))


@functools.cache
def public_instances():
    """By class name, an instance of every public class that can be made; made once."""
    noise = ssd.stable_noise("III", 1.7, 2)
    network = _network()
    law = {"num_particles": 64, **SETTINGS}
    flow = ssd.law_flow(network, noise, KEY, **law)
    data = shells()
    x = stable.sample(KEY, 1.7, shape=(2000,))
    rates = _rates(network, noise)
    weights = training.Network(jnp.ones((8, 40)), jnp.ones((40, 2)))
    result = training.train(data, width=16, alpha=1.7, steps=4, seeds=2)
    predicted = _prediction.PredictedRatio(2000, "I", 1.75, 0.1, tuple(np.linspace(20, 40, 400)))
    theta = jax.random.normal(KEY, (8, 4, 2))
    ridge = network.unit
    made = [
        noise,
        ssd.OneFactorStable(1.7, 2),
        ssd.IndependentStable(1.7, 2),
        ssd.EllipticalStable(1.7, jnp.eye(30)),
        ssd.SpectralStable(1.7, jnp.eye(30), jnp.ones(30)),
        network,
        ssd.FunctionModel(1, lambda t, theta, m: -theta, jnp.tanh),
        ssd.MeanReversion(2),
        ssd.WeightDecay(network, 0.1),
        ridge,
        model.UserUnit(lambda theta, x: x @ theta, 2, 1),
        loss("logistic"),
        network.assumption_constants(),
        ssd.simulate(network, noise, KEY, **law),
        flow,
        dynamics.picard_flow(network, noise, KEY, **law),
        ssd.fokker_planck(ssd.MeanReversion(1), 1.7, **SETTINGS),
        dynamics.coupled_limit(network, noise, jax.random.split(KEY, 9), flow, widths=(4, 8)),
        StablePath(ssd.stable_noise("I", 1.7, 2), KEY, **law),
        stable.tail_index(x),
        stable.fit_symmetric(x),
        stable.goodness_of_fit(x),
        ssd.theory.lemma_b1(1.5, 1000),
        ssd.theory.compression_law(noise, 0.1),
        ssd.theory.chaos_bound(network.assumption_constants(), width=100, t1=1.0),
        rates,
        rates.axes[0],
        rates.sources[0],
        rates.slope(),
        rates.tail_diagnosis()[0],
        _design(rates, network, noise),
        ssd.independence(network, noise, KEY, widths=(2, 4, 8, 16), replicas=8, **SETTINGS),
        studies.pair_dependence(theta),
        ssd.tail_study(network, noise, KEY, num_columns=1000, law_particles=64, **SETTINGS),
        ssd.compression_probability(
            network, noise, KEY, widths=(4, 8), kappas=(0.5,), epsilons=(0.1,), replicas=8,
            **SETTINGS,
        ),
        data,
        weights,
        training.preset("ecg5000", 2000, "I"),
        training.paper_table(1, "nowhere").rows[0].setting,
        training.paper_table(1, "nowhere"),
        _table_row(),
        result,
        result.test_accuracy,
        _mean_field_result(data),
        predicted,
        training.pruning_curve(weights, data),
        training.UnitAxis("hidden", 0),
        training.UnitGroup(("hidden", 0), [("out", 0)]),
        training.prune_tree({"hidden": jnp.arange(800.0).reshape(80, 10)}, [(("hidden", 0))]
                            and [training.UnitGroup(("hidden", 0))]),
        ssd.add_stable_noise(0.1, 1.7, "I", KEY, 0.1).init({"w": jnp.ones((3, 3))}),
    ]  # fmt: skip
    return {type(v).__name__: v for v in made}
