"""What has a dtype, or a system of one, gives arrays of it, whatever JAX's default is.

A user's model may compute with doubles, in constants of its own, where 64-bit mode is on.
"""

import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stablesde as ssd
from stablesde import dynamics, stable, theory
from stablesde.diffrax_path import StablePath

KEY = jax.random.key(0)
GRID = {"t1": 1.0, "num_steps": 4}
# (64-bit mode, dtype asked for, dtype given)
MODES = [(False, "float32"), (True, "float32"), (True, "float64"), (True, None)]


class Pulled(ssd.MeanFieldModel):
    """A user's model with an array of doubles for a field, and constants without a dtype."""

    matrix: jax.Array
    rate: float = 1.0
    dim: int = 2

    def statistic(self, theta):
        return jnp.tanh(self.matrix @ theta) * np.float64(0.5)

    def drift(self, theta, m):
        return jnp.asarray([0.1, 0.2]) * m.sum() - self.rate * theta + np.linspace(0.0, 1.0, 2)


def models():
    rng = np.random.default_rng(0)
    yield "mean reversion", ssd.MeanReversion(2)
    yield "decay", ssd.WeightDecay(ssd.MeanReversion(2, np.float64(0.5)), 0.1)
    yield "network", ssd.NetworkModel("tanh", "logistic", rng.normal(size=(4, 2)), np.arange(4) % 2)
    yield "class", Pulled(np.eye(2))
    constants = np.linspace(0.0, 1.0, 2)
    yield (
        "functions",
        ssd.FunctionModel(2, lambda t, th, m: m * constants - th * t, lambda th: th * constants),
    )


def system(dtype, model="class"):
    init = np.zeros(2) if model == "class" else None
    return ssd.System(dict(models())[model], ssd.IsotropicStable(1.5, 2), init=init, dtype=dtype)


def flow(model, dtype):
    return ssd.law_flow(system(dtype, model), KEY, num_particles=64, **GRID)


def recorded(model, dtype, folder):
    run = dynamics.record(
        system(dtype, model), KEY, run_dir=folder, num_particles=8, save_every=2, **GRID
    )
    return list(run)


SIMULATIONS = {
    "simulate": lambda model, dtype, _: [
        ssd.simulate(system(dtype, model), KEY, num_particles=8, **GRID),
        ssd.simulate(
            system(dtype, model), KEY, num_particles=8, save_every=1, scheme="heun",
            times=np.linspace(0, 1, 3),
        ),
    ],
    "simulate_limit": lambda model, dtype, _: ssd.simulate_limit(
        flow(model, dtype), KEY, num_particles=8
    ),
    "law_flow": lambda model, dtype, _: flow(model, dtype),
    "picard_flow": lambda model, dtype, _: dynamics.picard_flow(
        system(dtype, model), KEY, num_particles=64, iterations=3, tolerance=10.0, **GRID
    ),
    "record": recorded,
    "coupled_steps": lambda model, dtype, _: dynamics.coupled_steps(
        system(dtype, model), jax.random.split(KEY, 2), widths=(3, 5), num_steps=(2,), fine_steps=4,
        t1=1.0,
    ),
    "coupled_limit": lambda model, dtype, _: dynamics.coupled_limit(
        flow(model, dtype), jax.random.split(KEY, 2), widths=(3, 5)
    ),
    "functionals": lambda model, dtype, _: dynamics.functionals(
        system(dtype, model), KEY, num_particles=8, integral=lambda t, theta: jnp.sum(theta),
        inside=lambda t, theta: jnp.all(jnp.abs(theta) < 9e9), **GRID
    ).final,
}  # fmt: skip
WIDTHS = (4, 8, 16, 32)
# Studies return doubles, computed with numbers of the dtype, which their record names.
STUDIES = {
    "strong_error": lambda dtype: ssd.strong_error(
        system(dtype), KEY, widths=WIDTHS, num_steps=(2, 4), fine_steps=8, t1=1.0,
        replicas=4, predict=4,
    ),
    "propagation_of_chaos": lambda dtype: ssd.propagation_of_chaos(
        system(dtype), KEY, widths=WIDTHS, replicas=4, predict=4, **GRID
    ),
    "weak_error": lambda dtype: ssd.weak_error(
        system(dtype), KEY, function=lambda theta: jnp.tanh(theta[0]), against="step", widths=(4,),
        num_steps=(2, 4), t1=1.0, replicas=4,
    ),
    "tail_study": lambda dtype: ssd.tail_study(
        system(dtype), KEY, num_columns=1000, law_particles=64, **GRID
    ),
    "compressibility": lambda dtype: ssd.compressibility(
        system(dtype), KEY, widths=WIDTHS, kappas=(0.3, 0.5), replicas=4, law_particles=512,
        **GRID,
    ),
    "iid_compressibility": lambda dtype: ssd.iid_compressibility(
        ssd.IsotropicStable(1.5, 2), KEY, widths=WIDTHS, kappas=(0.3, 0.5), replicas=4, dtype=dtype
    ),
    "compression_probability": lambda dtype: ssd.compression_probability(
        system(dtype), KEY, widths=WIDTHS, kappas=(0.5,), epsilons=(0.5,), t1=1.0, replicas=8,
    ),
    "independence": lambda dtype: ssd.independence(
        system(dtype), KEY, widths=WIDTHS, replicas=8, law_particles=512, **GRID
    ),
    "predict_chaos": lambda dtype: theory.predict_chaos(
        system(dtype), KEY, widths=WIDTHS, replicas=4, copies=8, **GRID
    ),
    "predict_strong_error": lambda dtype: theory.predict_strong_error(
        system(dtype), KEY, widths=WIDTHS, num_steps=(2,), t1=1.0, fine_steps=4, replicas=4
    ),
}  # fmt: skip
STREAM = (jnp.uint32(1), jnp.uint32(2))
NOISES = {
    "I": ssd.OneFactorStable, "II": ssd.IndependentStable, "III": ssd.IsotropicStable,
    "elliptical": lambda alpha, dim: ssd.EllipticalStable(alpha, np.eye(dim)),
    "spectral": lambda alpha, dim: ssd.SpectralStable(alpha, np.eye(dim), np.ones(dim)),
}  # fmt: skip
DRAWS = {
    "sample": lambda dtype: stable.sample(KEY, np.float64(1.5), 0.5, (3,), dtype, loc=1.0),
    "sample_positive": lambda dtype: stable.sample_positive(KEY, 0.5, (3,), dtype),
    "StablePath": lambda dtype: StablePath(
        ssd.IsotropicStable(1.5, 2), KEY, num_particles=3, dtype=dtype, **GRID
    ).evaluate(0.0, 0.25),
}
# In double precision on the host, whatever the system computes in; or a pilot of a study above.
DOUBLES = {"fokker_planck", "design"}
METHODS = ("columns", "increment", "increments", "increment_scale", "sample", "grid")


def check(result, dtype):
    """Every floating array of the result has the dtype."""
    expected = jax.dtypes.canonicalize_dtype(float if dtype is None else dtype)
    leaves = [x for x in jax.tree.leaves(result) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert leaves
    assert {str(x.dtype) for x in leaves} == {str(expected)}
    assert all(np.isfinite(x).all() for x in leaves)


def arrays(result):
    """A flow holds its system, whose numbers are the user's."""
    if isinstance(result, ssd.LawFlow):
        return result.times, result.m, result.standard_error, result.step_size
    return arrays(result.flow) if hasattr(result, "flow") else result


modes = pytest.mark.parametrize(("x64", "dtype"), MODES, ids=lambda v: str(v))


@modes
@pytest.mark.parametrize(
    ("function", "model"),
    [("simulate", name) for name, _ in models() if name != "class"]
    + [(function, "class") for function in SIMULATIONS],
)
def test_simulations(function, model, x64, dtype, tmp_path):
    with jax.enable_x64(x64):
        check(arrays(SIMULATIONS[function](model, dtype, tmp_path)), dtype)


@modes
@pytest.mark.parametrize("function", DRAWS)
def test_draws(function, x64, dtype):
    with jax.enable_x64(x64):
        check(DRAWS[function](dtype), dtype)


@modes
@pytest.mark.parametrize("kind", NOISES)
def test_noises(kind, x64, dtype):
    with jax.enable_x64(x64):
        noise = NOISES[kind](np.float64(1.5), 2)
        check(noise.sample(KEY, (3,), dtype), dtype)
        check(noise.increment(KEY, 0, 0.1, 3, dtype=dtype), dtype)
        if dtype is not None:
            index = jnp.arange(3, dtype=jnp.uint32)
            check(noise.columns(STREAM, index, 1.0, jnp.dtype(dtype)), dtype)
            check(noise.increment_scale(0.1, jnp.dtype(dtype)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "noise",
    [
        ssd.SkewedStable(1.5, 2, 0.5),
        ssd.Brownian(2),
        ssd.TemperedStable(1.5, 2),
        ssd.VarianceGamma(2),
        ssd.NormalInverseGaussian(2),
        ssd.LinearImage(np.eye(2), ssd.Brownian(2)),
    ],
    ids=lambda noise: type(noise).__name__,
)
def test_other_noises(noise, dtype):
    with jax.enable_x64(True):
        index = jnp.arange(3, dtype=jnp.uint32)
        check(noise.increments(STREAM, index, 0.1, 1.0, jnp.dtype(dtype)), dtype)
        check(noise.increment(KEY, 0, 0.1, 3, dtype=dtype), dtype)


@pytest.mark.parametrize(("x64", "dtype"), [(True, "float32")])  # others: test_studies.py
@pytest.mark.parametrize("function", STUDIES)
def test_studies(function, x64, dtype):
    with jax.enable_x64(x64):
        study = STUDIES[function](dtype)
    if hasattr(study, "config"):
        assert study.config["dtype"] == dtype


def test_nothing_is_left_out():
    known = {*SIMULATIONS, *STUDIES, *DRAWS}
    for room in ("", "diffrax_path", "dynamics", "model", "noise", "stable", "studies", "theory"):
        module = importlib.import_module(f"stablesde.{room}" if room else "stablesde")
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            takes = {"dtype", "system", "flow"}
            if inspect.isroutine(value) and takes & set(inspect.signature(value).parameters):
                assert name in known | DOUBLES
            for method in vars(value) if isinstance(value, type) else ():
                function = getattr(value, method)
                if inspect.isfunction(function) and not method.startswith("_"):
                    takes = "dtype" in inspect.signature(function).parameters
                    assert not takes or method in METHODS, (name, method)
