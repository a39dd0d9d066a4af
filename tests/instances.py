"""One instance of every public class, with arrays large enough that no repr may print them."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from helpers import shells

import stablesde as ssd
from stablesde import dynamics, model, paper, stable, studies, training
from stablesde.diffrax_path import StablePath
from stablesde.model._losses import loss
from stablesde.studies._budget import ErrorSource
from stablesde.studies._constants import Ratio
from stablesde.studies._design import StudyDesign
from stablesde.studies._independence import PairDependence
from stablesde.theory._predictions import Prediction

KEY = jax.random.key(0)
GRID = {"t1": 1.0, "num_steps": 4}
CONFIG = {"replicas": 64, "key": [0, 0], "alpha": 1.7}


@functools.cache
def public_instances(folder: Path | None = None):
    """By class name; those that need files where a folder is given."""
    noise = ssd.stable_noise("III", 1.7, 2)
    rng = np.random.default_rng(1)
    network = ssd.NetworkModel("tanh", "logistic", rng.normal(size=(300, 2)), np.arange(300) % 2)
    made = [*_noises(), *_models(network), *_stable(), *_theory(network)]
    made += [*_simulations(network, noise), *_studies(network, noise), *_training(shells())]
    if folder is not None:
        settings = {"num_particles": 20, "save_every": 2, **GRID}
        made.append(dynamics.record(ssd.System(network, noise), KEY, run_dir=folder, **settings))
    return {type(v).__name__: v for v in made}


def _noises():
    yield ssd.OneFactorStable(1.7, 2)
    yield ssd.IndependentStable(1.7, 2)
    yield ssd.IsotropicStable(1.7, 2)
    yield ssd.EllipticalStable(1.7, jnp.eye(30))
    yield ssd.SpectralStable(1.7, jnp.eye(30), jnp.ones(30))
    yield ssd.SkewedStable(1.7, 2, 0.5)
    yield ssd.Brownian(2)
    yield ssd.TemperedStable(1.7, 2)
    yield ssd.CompoundPoisson(1.0, 2)
    yield ssd.VarianceGamma(30, skew=jnp.ones(30))
    yield ssd.NormalInverseGaussian(30, skew=jnp.ones(30))
    yield ssd.SumNoise(ssd.Brownian(2), ssd.IsotropicStable(1.7, 2))
    yield ssd.LinearImage(jnp.eye(30), ssd.Brownian(30))


def _models(network):
    yield network
    yield network.assumption_constants()
    yield model.DriftBounds(2.0, 1.0, 1.0, 1.0, 1.0)
    yield ssd.FunctionModel(2, lambda t, theta, m: -theta, jnp.tanh)
    yield ssd.MeanReversion(2)
    yield ssd.KineticModel(network)
    yield model.RidgeUnit("tanh", 2, 1)
    yield model.WeightedUnit(model.RidgeUnit("tanh", 2, 1))
    yield ssd.PairwiseModel(2, lambda x, y: y - x)
    yield ssd.WeightDecay(network, 0.1)
    yield loss("logistic")


def _stable():
    x = stable.sample(KEY, 1.7, shape=(200,))
    yield stable.tail_index(x)
    yield stable.fit(x, 0)
    yield stable.fit(x)
    yield stable.goodness_of_fit(x)
    yield stable.bootstrap_test(x, KEY, replicas=19)


def _theory(network):
    yield ssd.theory.lemma_b1(1.5, 1000)
    yield ssd.theory.compression_law(ssd.stable_noise("I", 1.7, 1), 0.1)
    yield Prediction(np.ones((9, 4, 3)), np.ones((9, 4, 3)))
    yield ssd.theory.chaos_bound(network.assumption_constants(), width=100, t1=1.0)


def _simulations(network, noise):
    settings = {"num_particles": 64, **GRID}
    flow = ssd.law_flow(ssd.System(network, noise), KEY, **settings)
    yield from (flow, ssd.System(network, noise))
    yield ssd.simulate(ssd.System(network, noise), KEY, save_every=2, **settings)
    yield dynamics.functionals(ssd.System(network, noise), KEY, **settings)
    yield dynamics.picard_flow(ssd.System(network, noise), KEY, **settings)
    yield ssd.fokker_planck(
        ssd.System(ssd.MeanReversion(1), ssd.OneFactorStable(1.7, 1)), num_nodes=101, **GRID
    )
    keys = jax.random.split(KEY, 9)
    yield dynamics.coupled_limit(flow, keys, widths=(4, 8))
    yield StablePath(noise, KEY, **settings)


def _studies(network, noise):
    rng = np.random.default_rng(2)
    widths = (4, 8, 16, 32)
    axis = studies.Axis("width", tuple(map(float, widths)), -0.5)
    source = ErrorSource("law flow", "64 particles against 32", 0.1, np.linspace(1, 1.1, 4))
    sup = np.asarray(widths) ** -0.5 * rng.lognormal(size=(64, 4))
    study = studies.RateStudy(
        "propagation_of_chaos", CONFIG, (axis,), {"sup": sup, "mean": sup / 2}, "sup", "trimmed",
        "width", bounds={"paper": np.full(4, 9.0)}, sources=(source,),
    )  # fmt: skip
    yield from (axis, study, study.slope())
    yield StudyDesign(
        ssd.propagation_of_chaos, ssd.System(network, noise), KEY, {"replicas": 640, "t1": 1.0},
        0.02, 0.019, {"law flow": 0.001}, 12.0, study,
    )  # fmt: skip
    means = rng.uniform(-1, 1, (64, 4, 8))
    pairs = means[..., None] * means[..., None, :]
    yield studies.IndependenceStudy(CONFIG, widths, means, pairs)
    yield Ratio(1.0234567, 0.9345678, 1.1234567, 0.95)
    yield PairDependence(0.0123456789, -0.00123456789, 0.023456789, 0.01, 64)
    top = np.sort(rng.pareto(1.7, 400) + 1)[::-1]
    yield studies.TailStudy(CONFIG, top, 10_000, 1.7, 0.3, 100, 1.712345, 1.512345, 1.912345)
    grid = (4, 2, 1)
    yield studies.ProbabilityStudy(
        CONFIG, widths, (4,) * 4, (0.1, 0.5), (0.1,), rng.uniform(size=(64, 4, 2)), np.zeros(grid),
        np.zeros(grid, int), (64,) * 4, (True,) * 4,
    )  # fmt: skip


def _training(data):
    yield data
    network = training.Network(jnp.ones((8, 40)), jnp.ones((40, 2)))
    yield network
    yield training.pruning_curve(network, data)
    group = training.UnitGroup(("hidden", 0), (("out", 0),))
    yield group
    yield training.UnitAxis("hidden", 0)
    tree = {"hidden": jnp.arange(800.0).reshape(80, 10), "out": jnp.ones((80, 2))}
    yield training.prune_tree(tree, [group])
    yield paper.preset("ecg5000", 2000, "I")
    table = paper.paper_table(1, "no-such-folder")
    yield table
    measured = paper.Measured((0.912345678, 0.923456789, 0.9345678901))
    yield measured
    accuracies = dict.fromkeys(
        ("train_accuracy", "test_accuracy", "train_accuracy_pruned", "test_accuracy_pruned"),
        measured,
    )
    rule = {"dataset": "ecg5000", "width": 2000, "noise": "I", "alpha": 1.75, "sigma": 0.1}
    rule |= {"learning_rate": 3e-4, "steps": 600, "seeds": (0, 1, 2), "dtype": "float32"}
    ratio = paper.Measured((31.2345678, 42.3456789, 28.9012345))
    yield paper.TrainResult(**rule, **accuracies, pruning_ratio=ratio, steps_taken=(600,) * 3)
    law = paper.PredictedRatio(2000, "I", 1.75, 0.1, tuple(np.linspace(20, 40, 400).tolist()))
    yield law
    others = dict.fromkeys(("limit_ratio", "noise_ratio", "drift", "distance"), ratio)
    yield paper.MeanFieldResult(
        **rule, **accuracies, **others, unit="tanh", pruning_ratio=ratio, predicted=law,
        predicted_noise=law, drift_bound=1.0, flow_error=0.01,
    )  # fmt: skip
