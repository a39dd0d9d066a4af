"""Arguments have the same names, the same order and the same defaults everywhere."""

import importlib
import inspect

import pytest

ROOMS = (
    "", "datasets", "diffrax_path", "dynamics", "model", "noise", "paper", "plotting",
    "stable", "studies", "theory", "training",
)  # fmt: skip
# Names that other libraries and the paper use, and what they are called here.
OTHER_NAMES = {
    "T": "t1", "t": "t1", "t_end": "t1", "horizon": "t1", "dt": "step_size", "step": "step_size",
    "h": "step_size", "eta": "step_size", "lr": "learning_rate", "n_steps": "num_steps",
    "n_particles": "num_particles", "particles_count": "num_particles", "n_classes": "num_classes",
    "classes": "num_classes", "rng": "key", "random_state": "key", "prng_key": "key",
    "confidence": "level", "folder": "run_dir", "directory": "run_dir", "outdir": "run_dir",
    "x0": "init", "theta0": "init", "replica_batch": "batch", "method_name": "method",
    "n_replicas": "replicas",
}  # fmt: skip
# What reads a directory (run_dir is what a computation writes to and resumes from).
READERS = {"dynamics.Recording"}
ORDER = ("model", "noise", "system", "flow", "key", "keys")
# Optional arguments that may be given by position: the order of scipy.stats and of jax.random, one
# output path, one choice of a statistic.
POSITIONAL = {"alpha", "beta", "shape", "dtype", "path", "p", "method", "holder", "frequencies",
              "fractions", "root", "delta", "first_particle", "num_train", "num_test", "error",
              "columns", "mask", "unit_axis"}  # fmt: skip
# The same argument with another default, and why.
EXCEPTIONS = {
    # where they are not given, they are estimated
    ("loc", "stable.goodness_of_fit"),
    ("scale", "stable.goodness_of_fit"),
    ("beta", "stable.fit"),
    # of a splitting of the law's equation, not of a path
    ("scheme", "dynamics.fokker_planck"),
    # training: the paper's preset
    ("sigma", "paper.train"), ("sigma", "paper.train_mean_field"),
    ("sigma", "paper.paper_table"),
}  # fmt: skip
SHARED = ("sigma", "scheme", "block_size", "mesh", "dtype", "level",
          "run_dir", "save_every", "particles", "beta", "loc", "scale", "path", "root")  # fmt: skip


def functions():
    """Every public function once, by the room that defines it."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"stablesde.{room}" if room else "stablesde")
        for value in (getattr(module, name) for name in module.__all__):
            if inspect.isroutine(inspect.unwrap(value)) and not isinstance(value, type):
                home = value.__module__.split(".")[1]
                found[f"{home}.{value.__name__}"] = inspect.signature(value)
    return [pytest.param(name, signature, id=name) for name, signature in found.items()]


@pytest.mark.parametrize(("name", "signature"), functions())
def test_names(name, signature):
    if name not in READERS:
        for parameter in signature.parameters:
            assert parameter not in OTHER_NAMES, f"call it {OTHER_NAMES[parameter]}"


@pytest.mark.parametrize(("name", "signature"), functions())
def test_order(name, signature):
    positional = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    common = [p.name for p in positional if p.name in ORDER]
    assert common == sorted(common, key=ORDER.index)
    for parameter in positional:
        if parameter.default is not parameter.empty:
            assert parameter.name in POSITIONAL, f"{parameter.name} should be keyword-only"


@pytest.mark.parametrize("argument", SHARED)
def test_defaults(argument):
    found = {}
    for name, signature in (p.values for p in functions()):
        parameter = signature.parameters.get(argument)
        if parameter is None or (argument, name) in EXCEPTIONS:
            continue
        if parameter.default is not parameter.empty:
            found.setdefault(repr(parameter.default), []).append(name)
    assert len(found) == 1, found
