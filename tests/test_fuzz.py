"""Wild arguments: every call ends in an error that says what to change, or in a result as promised.

Each entry point is called with each of its arguments replaced, one at a time, by everything that
does not belong there, and then with pairs of them. A number, size or array out of range must end in
a `ValueError` or `MemoryError` that names an argument, or in a result without NaN (infinite where
the number itself overflows). A value of a wrong type may end in any clear error of Python or JAX.
"""

import itertools
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import shells

import stablesde as ssd
from stablesde import paper, stable, theory, training
from stablesde.cli import main
from stablesde.dynamics import coupled_steps, functionals

pytestmark = pytest.mark.fuzz

KEY = jax.random.key(0)
NAN, INF = float("nan"), float("inf")


class Wrong:
    """A value of a wrong type: any clear error will do."""

    def __init__(self, value):
        self.value = value


TYPES = [Wrong(v) for v in (None, "a", [], {}, object(), 1j, lambda: None)]
NUMBERS = [NAN, INF, -INF, -1.0, 0.0, 1e-320, 3e38, 1e300, -0.0, 2.5, np.float64(NAN)]
NUMBERS += [jnp.asarray(INF), np.zeros(3), np.zeros(0), [1.0, 2.0], True, *TYPES]
COUNTS = [0, -1, 1, 2**32, 2**70, 1.5, NAN, INF, True, np.int64(3), [3], np.zeros(2)]
COUNTS += TYPES
SIZES = [(), (0,), (-1, 4), (4, 4), (8, 4), (2**40,), (1.5, 4), (NAN,), 3, np.arange(2), *TYPES]
ARRAYS = [np.array([NAN]), np.array([INF, 1.0]), np.zeros(0), np.zeros((0, 2)), np.zeros((2, 0))]
ARRAYS += [np.full((3, 2), x) for x in (-INF, 3e38)]
ARRAYS += [0.0, np.arange(6), np.zeros((2, 2, 2)), *TYPES]
# Of the law at NaN there is only NaN.
POINTS = [INF, 0.0, 3e38, np.zeros(0), np.zeros((0, 2)), np.full((3, 2), -INF), *TYPES]
CHOICES = ["", "IV", "euler ", 7, *TYPES]
KEYS = [0, np.zeros(2, np.int32), jax.random.split(KEY, 3), jnp.zeros(5, jnp.uint32), *TYPES]
FLAGS = [2, -1, 0.5, np.array([True, False]), *TYPES]


def noise(kind="I", alpha=1.5, dim=2):
    return ssd.stable_noise(kind, alpha, dim)


NETWORK = ssd.NetworkModel("tanh", "logistic", np.eye(2), np.arange(2))
SYSTEM = ssd.System(NETWORK, noise(), sigma=0.5)
INITS = [NAN, INF, -1.0, np.zeros(3), np.zeros((3, 2)), np.full(2, NAN), lambda key: jnp.zeros(5),
         lambda key: None, lambda: 0, *TYPES[1:]]  # fmt: skip
SYSTEMS = [NETWORK, noise(), *TYPES]
TREE = {"w": jnp.ones((4, 3)), "b": jnp.ones(4)}


def noisy_update(learning_rate, sigma, alpha, kind, key, mask, unit_axis):
    transform = ssd.add_stable_noise(learning_rate, sigma, alpha, kind, key, mask, unit_axis)
    return transform.update(TREE, transform.init(TREE))[0]


def built(model, noise, sigma, init):
    """A system, and a short run of it."""
    system = ssd.System(model, noise, sigma=sigma, init=init)
    return ssd.simulate(system, KEY, num_particles=5, t1=1.0, num_steps=2).final


def pruned(params, error, fraction):
    group = training.UnitGroup(("w", 0), [("b", 0)])
    return training.prune_tree(params, [group], error=error, fraction=fraction).masked


def bound(width, t1):
    """A bound may be infinite, but is never NaN."""
    constants = NETWORK.assumption_constants()
    return theory.chaos_bound(constants, width=width, t1=t1).paper


# The function, and the valid value of each argument with what is wild in its place.
ENTRY_POINTS = {
    "stable.sample": (
        stable.sample,
        dict(key=(KEY, KEYS), alpha=(1.5, NUMBERS), beta=(0.3, NUMBERS), shape=((4,), SIZES),
             loc=(0.0, NUMBERS), scale=(1.0, NUMBERS), parametrization=("S0", CHOICES)),
    ),
    "stable.pdf": (
        stable.pdf,
        dict(x=(np.array([0.0, 3.0]), POINTS), alpha=(1.5, NUMBERS), beta=(0.0, TYPES),
             loc=(0.0, NUMBERS), scale=(1.0, NUMBERS)),
    ),
    "stable.cdf": (
        stable.cdf,
        dict(x=(np.array([0.0, 3.0]), POINTS), alpha=(1.5, NUMBERS), loc=(0.0, NUMBERS),
             scale=(1.0, NUMBERS)),
    ),
    "stable.ppf": (
        stable.ppf,
        dict(q=(np.array([0.2, 0.5]), TYPES), alpha=(1.5, NUMBERS),
             scale=(1.0, NUMBERS)),
    ),
    "stable.tail_index": (
        lambda x, method: stable.tail_index(x, method).estimate,
        dict(x=(np.linspace(-3, 5, 60) ** 3, ARRAYS), method=("quantile", CHOICES)),
    ),
    "noise.increment": (
        lambda kind, alpha, dim, key, step, dt, num_particles: noise(kind, alpha, dim).increment(
            key, step, dt, num_particles
        ),
        dict(kind=("III", CHOICES), alpha=(1.5, NUMBERS), dim=(2, COUNTS), key=(KEY, KEYS),
             step=(3, COUNTS), dt=(0.1, NUMBERS), num_particles=(4, COUNTS)),
    ),
    "TemperedStable": (
        lambda alpha, dim, tempering: ssd.TemperedStable(alpha, dim, tempering).sample(KEY, (4,)),
        dict(alpha=(1.5, NUMBERS), dim=(2, COUNTS), tempering=(1.0, TYPES)),
    ),
    "SkewedStable": (
        lambda alpha, dim, beta: ssd.SkewedStable(alpha, dim, beta).sample(KEY, (4,)),
        dict(alpha=(1.5, NUMBERS), dim=(2, COUNTS), beta=(np.ones(2), ARRAYS)),
    ),
    "VarianceGamma": (
        lambda dim, nu, skew: ssd.VarianceGamma(dim, nu, skew).sample(KEY, (4,)),
        dict(dim=(2, COUNTS), nu=(0.5, NUMBERS), skew=(np.ones(2), ARRAYS)),
    ),
    "CompoundPoisson": (
        lambda rate, dim, jump: ssd.CompoundPoisson(rate, dim, jump).sample(KEY, (4,)),
        dict(rate=(0.5, TYPES), dim=(2, COUNTS), jump=(0.5, NUMBERS)),
    ),
    "functionals": (
        lambda **arguments: functionals(
            **arguments, integral=lambda t, theta: theta
        ).integral,
        dict(system=(SYSTEM, SYSTEMS), key=(KEY, KEYS), num_particles=(5, COUNTS),
             t1=(1.0, NUMBERS), num_steps=(4, COUNTS), scheme=("tamed", CHOICES),
             block_size=(None, COUNTS)),
    ),
    "System": (
        built,
        dict(model=(NETWORK, SYSTEMS), noise=(noise(), SYSTEMS), sigma=(0.5, NUMBERS),
             init=(None, INITS)),
    ),
    "simulate": (
        lambda **arguments: ssd.simulate(**arguments).final,
        dict(system=(SYSTEM, SYSTEMS), key=(KEY, KEYS), num_particles=(5, COUNTS),
             t1=(1.0, NUMBERS), num_steps=(4, COUNTS), save_every=(2, COUNTS),
             scheme=("euler", CHOICES), block_size=(None, COUNTS),),
    ),
    "law_flow": (
        lambda **arguments: ssd.law_flow(**arguments).m,
        dict(system=(SYSTEM, SYSTEMS), key=(KEY, KEYS), num_particles=(32, COUNTS),
             t1=(1.0, NUMBERS), num_steps=(2, COUNTS), batches=(2, COUNTS),
             antithetic=(False, FLAGS), richardson=(False, FLAGS)),
    ),
    "coupled_steps": (
        lambda **arguments: coupled_steps(**arguments).sup,
        dict(system=(SYSTEM, SYSTEMS), keys=(jax.random.split(KEY, 2), KEYS),
             widths=((2, 4), SIZES), num_steps=((2,), SIZES), fine_steps=(4, COUNTS),
             t1=(1.0, NUMBERS), batch=(None, COUNTS)),
    ),
    "propagation_of_chaos": (
        lambda **arguments: ssd.propagation_of_chaos(**arguments).errors["sup"],
        dict(system=(SYSTEM, SYSTEMS), key=(KEY, KEYS), widths=((2, 4), SIZES),
             num_steps=(2, COUNTS), t1=(1.0, NUMBERS), replicas=(2, COUNTS), batch=(2, COUNTS),
             law_particles=(64, COUNTS)),
    ),
    "compression_error": (
        ssd.compression_error,
        dict(theta=(np.arange(8.0).reshape(4, 2), ARRAYS), kappa=(0.5, NUMBERS)),
    ),
    "pruning_ratio": (
        lambda theta, error, squared: ssd.pruning_ratio(theta, error, squared=squared),
        dict(theta=(np.arange(8.0).reshape(4, 2), ARRAYS), error=(0.1, NUMBERS),
             squared=(True, FLAGS)),
    ),
    "prune_tree": (
        pruned,
        dict(params=(TREE, [{"w": np.full((4, 3), NAN), "b": np.ones(4)}, {"w": np.ones((4, 3))},
                            {"w": np.ones((4, 3)), "b": np.ones(3)}, *TYPES]),
             error=(0.1, NUMBERS), fraction=(None, NUMBERS)),
    ),
    "add_stable_noise": (
        noisy_update,
        dict(learning_rate=(0.1, [*NUMBERS, lambda step: NAN, lambda step: jnp.ones(2)]),
             sigma=(0.5, NUMBERS), alpha=(1.5, NUMBERS), kind=("II", CHOICES), key=(KEY, KEYS),
             mask=(None, [{"w": True}, {"w": 1, "b": 0}, [True], lambda tree: None, *TYPES[1:]]),
             unit_axis=(0, [5, -9, 1.5, *TYPES[1:]])),
    ),
    "paper.fit": (
        lambda **arguments: paper.train(shells(), **arguments).pruning_ratio.values,
        dict(width=(8, COUNTS), noise=("I", CHOICES), alpha=(1.5, NUMBERS), sigma=(0.1, NUMBERS),
             learning_rate=(0.1, NUMBERS), steps=(2, COUNTS), seeds=(1, COUNTS)),
    ),
    "theory.chaos_bound": (
        bound,
        dict(width=(10, COUNTS), t1=(1.0, NUMBERS)),
    ),
    "theory.compression_law": (
        lambda kind, alpha, dim, kappa: theory.compression_law(
            noise(kind, alpha, dim), kappa
        ).quantile(0.5, 100),
        dict(kind=("I", CHOICES), alpha=(1.5, NUMBERS), dim=(1, COUNTS), kappa=(0.1, NUMBERS)),
    ),
}  # fmt: skip
PAIRS = 60  # pairs of wild arguments for each entry point, spread evenly over all there are
# Errors of the innermost layers that no user can make sense of.
INTERNAL = re.compile(r"INTERNAL|RESOURCE_EXHAUSTED|dot_general|Traceback|XlaRuntimeError")


def wild_calls(arguments):
    """The arguments of all calls with one wild value, and of some with two."""
    singles = [(name, v) for name, (_, wild) in arguments.items() for v in wild]
    pairs = [p for p in itertools.combinations(singles, 2) if p[0][0] != p[1][0]]
    for changes in [*([s] for s in singles), *pairs[:: max(1, len(pairs) // PAIRS)]]:
        valid = {name: value for name, (value, _) in arguments.items()}
        plain = {name: v.value if isinstance(v, Wrong) else v for name, v in changes}
        yield valid | plain, any(isinstance(v, Wrong) for _, v in changes)


def fault(function, call, wrong_type):
    """What is wrong with the outcome of a call; None if nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = jax.block_until_ready(function(**call))
    except (ValueError, MemoryError) as error:
        names = set(re.findall(r"\w+", str(error)))
        if INTERNAL.search(str(error)):
            return f"internal: {error}"
        if wrong_type or names & {*call, *(n.rstrip("s") for n in call), "groups"}:
            return None
        return f"names no argument: {error}"
    except TypeError as error:
        return None if wrong_type and str(error) else f"TypeError: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    if any(np.any(np.isnan(leaf)) for leaf in leaves):
        return f"not a number: {result}"
    return None


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_wild_arguments(name, record_property):
    function, arguments = ENTRY_POINTS[name]
    valid = {argument: value for argument, (value, _) in arguments.items()}
    assert fault(function, valid, wrong_type=False) is None
    faults, count = [], 0
    for call, wrong_type in wild_calls(arguments):
        count += 1
        if (told := fault(function, call, wrong_type)) is not None:
            changed = {k: v for k, v in call.items() if v is not valid[k]}
            faults.append(f"{changed}: {told}"[:300])
    record_property("fuzz_cases", count)
    assert not faults, f"{len(faults)} of {count} calls\n" + "\n".join(faults)


BAD_TEXTS = [
    "",
    " ",
    "x",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "0x10",
    "½",
    "None",
    "[1]",
    "💥",
    "é",
]
BAD_COUNTS = [*BAD_TEXTS, "0", "1.5", "1e3", "9" * 30]
BAD_PATHS = ["/dev/null/x", "/proc/nowhere/x", "a" * 300]
# A command with valid options, and what is bad for each of them (or of those that it lacks).
COMMANDS = {
    "train": (
        {"--dataset": "digits", "--width": "8", "--steps": "2", "--seeds": "1"},
        {"--dataset": BAD_TEXTS, "--width": BAD_COUNTS, "--steps": BAD_COUNTS,
         "--seeds": BAD_COUNTS, "--noise": BAD_TEXTS, "--alpha": [*BAD_TEXTS, "0", "2.1"],
         "--sigma": BAD_TEXTS, "--out": BAD_PATHS},
    ),
    "check": (
        {"--seed": "0"},
        {"--seed": [*BAD_TEXTS, "1.5", "4294967296"], "--out": BAD_PATHS},
    ),
    "table": ({}, {"": [*BAD_COUNTS, "99"], "--seeds": BAD_COUNTS}),
}  # fmt: skip


def bad_commands():
    for command, (valid, options) in COMMANDS.items():
        for option, texts in options.items():
            for text in texts:
                arguments = valid | {option: text}
                flat = [part for pair in arguments.items() for part in pair if part or pair[0]]
                yield [command, *flat]


def test_a_command_with_a_bad_option_ends_in_one_clear_line(tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    commands, faults = list(bad_commands()), []
    for arguments in commands:
        done = CliRunner().invoke(main, arguments)
        lines = done.stderr.strip().splitlines()
        usage = any(line.startswith("Error: ") for line in lines[-1:])
        one = len(lines) == 1 and lines[0].startswith("stablesde: ")
        if done.exit_code != 2 or not (usage or one) or "Traceback" in done.output:
            faults.append(
                f"{arguments}: {done.exit_code}, {done.output[-200:]}, {done.exception!r}"
            )
    record_property("fuzz_cases", len(commands))
    assert not faults, "\n".join(faults)
    assert not list(tmp_path.iterdir())
