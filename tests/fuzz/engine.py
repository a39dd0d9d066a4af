"""The fuzz engine: wild arguments, and what a call with them may end in.

`@fuzz(cases, name=Arg, …)` turns a test into so many calls. Of the arguments of a call none, one
or two are wild, the others valid, so that every check of a function is reached. `check` makes the
call and fails unless it ends in a result, or in an error that the docstring announces and whose
message, raised by the library itself, names an argument.

`STABLESDE_FUZZ=10` searches with random seeds and ten times the declared cases (CONTRIBUTING.md).
"""

import inspect
import os
import re
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import stablesde

ROOT = Path(stablesde.__file__).parent
FACTOR = float(os.environ.get("STABLESDE_FUZZ") or 0)
SHARE = 0.3  # of the cases that a test declares: what CI has time for, well above the bar
SECONDS = 60  # a call that takes longer hangs
# How messages of JAX, NumPy and Python begin that a user cannot make sense of.
INTERNAL = re.compile(
    r"(Cannot interpret|Error interpreting|Value .* is not a valid JAX|INTERNAL|INVALID_ARGUMENT|"
    r"RESOURCE_EXHAUSTED|dot_general|Incompatible shapes|unsupported operand|could not convert|"
    r"operands could not|.* requires ndarray or scalar|Shapes must be|<|Traceback)"
)
cases = 0  # calls checked by the test that is running; tests/fuzz/conftest.py resets it


# What a call ends in -----------------------------------------------------------------------------


class Undocumented(AssertionError):
    """A call ended in what its docstring does not announce."""


class Outcome(NamedTuple):
    """A result, or the documented error in its place."""

    value: Any = None
    error: Exception | None = None


def check(function: Any, /, *args: Any, **kwargs: Any) -> Outcome:
    """The outcome of a call; fails if that is undocumented."""
    global cases
    cases += 1
    try:
        with _time_limit(function):
            return Outcome(value=jax.block_until_ready(function(*args, **kwargs)))
    except Undocumented:
        raise
    except Exception as error:
        fault = undocumented(function, error)
        if fault:
            raise Undocumented(f"{_name(function)}: {fault}") from error
        return Outcome(error=error)


def undocumented(function: Any, error: Exception) -> str:
    """What is wrong with an error; empty if it is announced, the library's, and speaks of it."""
    message, kind = str(error).strip(), type(error).__name__
    announced = documented(function)
    # A wrong type is a wrong value: docs/architecture.md ("Errors").
    if _binding_error(error):
        return ""
    if not {c.__name__ for c in type(error).__mro__} & announced:
        return f"undocumented {kind}: {message[:300]} (announced: {sorted(announced)})"
    if not message or INTERNAL.match(message):
        return f"{kind} with an internal message: {message[:300]!r}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    if not Path(last.filename).is_relative_to(ROOT):
        return f"{kind} raised outside the library, {last.filename}:{last.lineno}: {message[:300]}"
    if not set(re.findall(r"\w+", message)) & _subjects(function):
        return f"{kind} that names no argument: {message[:300]!r}"
    return ""


def documented(function: Any, seen: tuple[str, ...] = ()) -> set[str]:
    """Names of the exceptions that a docstring announces, with those of the functions it names.

    Announced is what stands in backquotes after **Raises:**, or in a sentence with "raises `X`".
    """
    doc = inspect.getdoc(_plain(function)) or ""
    texts = re.findall(r"\*\*Raises:\*\*(.*?)(?=\n\n\*\*|\*\*\w+:\*\*|\Z)", doc, re.DOTALL)
    texts += re.findall(r"\b[Rr]aises (`.*?)(?:\.\s|\Z)", doc, re.DOTALL)
    found: set[str] = set()
    for text in texts:
        found |= set(re.findall(r"`(\w*(?:Error|Exception))`", text))
        for other in re.findall(r"\bas (?:in |of )?`([\w.]+)`", text):
            if other not in seen:
                found |= documented(_named(function, other), (*seen, other))
    return found


def _plain(function: Any) -> Any:
    """The function of a bound method, looked up in its class: its docstring may be inherited."""
    if (owner := getattr(function, "__self__", None)) is None or inspect.ismodule(owner):
        return function
    return getattr(type(owner), getattr(function, "__name__", ""), function)


def _named(function: Any, name: str) -> Any:
    """What `name` means in the docstring of a function."""
    bare = inspect.unwrap(getattr(function, "__func__", function))
    places = [sys.modules.get(bare.__module__), *_public_modules()]
    if owner := getattr(function, "__self__", None):
        places.insert(0, type(owner))
    for place in places:
        found = place
        for part in name.removeprefix("ssd.").split("."):
            found = getattr(found, part, None)
        if found is not None:
            return found
    raise LookupError(f"the docstring of {_name(function)} refers to {name}, which is not there")


def _public_modules() -> list[Any]:
    names = ("dynamics", "studies", "training", "model", "noise", "stable", "theory", "compression")
    return [stablesde, *(sys.modules[f"stablesde.{name}"] for name in names)]


def _subjects(function: Any) -> set[str]:
    """Names of the arguments of a function."""
    try:
        return set(inspect.signature(function).parameters) - {"self", "args", "kwargs"}
    except (TypeError, ValueError):
        return set()


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", repr(function))


def _binding_error(error: Exception) -> bool:
    """Python's own TypeError for a missing or unknown argument names it."""
    return isinstance(error, TypeError) and bool(
        re.search(r"(missing \d+ required|unexpected keyword|multiple values for) ", str(error))
    )


@contextmanager
def _time_limit(function: Any):
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise Undocumented(f"{_name(function)} did not end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def promise(value: Any, shape: tuple[int, ...] | None = None, *, finite: bool = True) -> np.ndarray:
    """`value` as a NumPy array; fails unless it has this shape, is a number, and is finite."""
    array = np.asarray(value)
    assert array.dtype.kind in "fiubc", f"not numbers: {array.dtype}"
    assert shape is None or array.shape == tuple(shape), f"shape {array.shape}, promised {shape}"
    assert not finite or bool(np.all(np.isfinite(array))), f"not finite: {array.ravel()[:8]}"
    return array


# Arguments ---------------------------------------------------------------------------------------


class Arg(NamedTuple):
    """How to draw one argument: as it should be, and as it should not (or only just)."""

    good: st.SearchStrategy
    wild: st.SearchStrategy


class Thing:
    """An object that is nothing the library knows."""

    def __repr__(self) -> str:
        return "Thing()"


ABSENT = object()  # as an argument: it is left out
THINGS = st.sampled_from(
    [None, "", "a", "nan", b"1", [], [1.0, 2.0], (), {}, {1}, Thing(), Thing, len, 1j, True, False]
)
EDGES = st.sampled_from(
    [0, 0.0, -0.0, -1, -1.0, 1, 2, 1e-320, 1e-45, 1e-30, 1e30, 1e308, -1e308, 10**30, -(10**30),
     2**32, 2**63, 2**64, float("nan"), float("inf"), float("-inf"), 0.5, 1.5, 2.5, 1e9]
)  # fmt: skip
# No machine holds 10¹² particles; what lies below may be allocated in earnest.
HUGE = st.sampled_from([10**12, 2**40, 10**15, 2**62, 10**30])
SHAPES = st.sampled_from([(), (0,), (1,), (2,), (3,), (0, 2), (2, 0), (1, 1), (2, 3), (2, 2, 2)])


def _array(shape: tuple[int, ...], kind: str, fill: float) -> Any:
    base = np.linspace(-1, 1, max(int(np.prod(shape)), 1))[: int(np.prod(shape))].reshape(shape)
    if kind == "object":
        return np.full(shape, None, object)
    if kind == "text":
        return np.full(shape, "a")
    if kind == "jax":
        return jnp.asarray(base + 0.5, float)
    if kind == "fill":
        return np.full(shape, fill)
    if kind == "spoiled" and base.size:
        base.flat[0] = fill
    return base.astype(kind) if kind in ("int64", "bool", "complex128", "float16") else base


ARRAYS = st.builds(
    _array,
    SHAPES,
    st.sampled_from(
        ["object", "text", "jax", "fill", "fill", "spoiled", "int64", "bool", "complex128",
         "float16", "plain"]
    ),
    st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 0.5, 1.0, 1e-320, 1e30, 1e308]),
)  # fmt: skip
NUMPY_NUMBERS = st.sampled_from(
    [np.float32(0.5), np.float64(1.5), np.float16(1), np.int64(1), np.int64(-1), np.uint8(2),
     np.bool_(True), np.float32("nan"), np.float64("inf"), np.array(1.5), np.array(2)]
)  # fmt: skip


def wild(extra: st.SearchStrategy | None = None) -> st.SearchStrategy:
    """Anything but what was asked for (sometimes by chance that, too)."""
    parts = [THINGS, EDGES, ARRAYS, NUMPY_NUMBERS]
    return st.one_of(*parts, *([extra] if extra is not None else []))


def mostly(first: Any, *others: Any) -> st.SearchStrategy:
    """The first value three times in four: each of the others may compile a program of its own."""
    return st.sampled_from([first] * max(1, 3 * len(others)) + list(others))


def number(*values: Any, wild_values: st.SearchStrategy | None = None) -> Arg:
    """A number out of few, so that what is static compiles seldom."""
    return Arg(mostly(*values), wild(wild_values))


def real(low: float, high: float) -> Arg:
    """Any number between two; for arguments that are not compiled in."""
    return Arg(st.floats(low, high, allow_subnormal=False), wild())


def count(*values: int) -> Arg:
    """A size."""
    return Arg(mostly(*values), wild(HUGE))


def array(
    *shapes: tuple[int, ...], low: float = -3.0, high: float = 3.0, others: tuple = ()
) -> Arg:
    """Finite floats, of one of few shapes; `others` are good values beside them."""

    def make(shape: tuple[int, ...], seed: int, kind: str) -> Any:
        values = np.random.default_rng(seed).uniform(low, high, shape)
        if kind == "list":
            return values.tolist()
        return jnp.asarray(values, float) if kind == "jax" else values.astype(kind)

    kinds = st.sampled_from(["float64", "float32", "jax", "list"])
    good = st.builds(make, st.sampled_from(shapes), st.integers(0, 99), kinds)
    spoiled = st.builds(_array, st.sampled_from(shapes), st.just("spoiled"), EDGES.map(float))
    return Arg(good if not others else st.one_of(good, st.sampled_from(others)), wild(spoiled))


def choice(*values: Any) -> Arg:
    """One of some names."""
    return Arg(mostly(*values), wild(st.sampled_from(["", "I", "other", "EULER", "é\x00"])))


def flag() -> Arg:
    return Arg(st.booleans(), wild())


def key() -> Arg:
    """A JAX key of either kind; wild: several keys, half a key, an integer."""
    good = mostly(*map(jax.random.key, range(4)), *map(jax.random.PRNGKey, range(2)))
    bad = st.builds(
        lambda make: make(),
        st.sampled_from(
            [lambda: jax.random.split(jax.random.key(0), 2), lambda: np.zeros(3, np.uint32),
             lambda: jnp.zeros(2), lambda: np.zeros((2, 2), np.uint32), lambda: 0]
        ),
    )  # fmt: skip
    return Arg(good, wild(bad))


def dtype() -> Arg:
    good = mostly(None, "float32", jnp.float32, np.dtype("float32"))
    return Arg(good, wild(st.sampled_from(["float64", "int32", "float16", "bfloat16", "x", int])))


def value(*values: Any, bad: st.SearchStrategy | None = None) -> Arg:
    """One of some objects."""
    return Arg(mostly(*values), wild(bad))


@st.composite
def arguments(draw: Any, args: dict[str, Arg]) -> dict[str, Any]:
    """Values of all arguments, of which none, one or two are wild."""
    order = draw(st.permutations(sorted(args)))
    spoiled = set(order[: draw(st.sampled_from([0, 0, 1, 1, 1, 1, 2]))])
    drawn = {name: draw(arg.wild if name in spoiled else arg.good) for name, arg in args.items()}
    return {name: v for name, v in drawn.items() if v is not ABSENT}


def fuzz(number_of_cases: int, **args: Arg) -> Any:
    """A test of one argument, the keyword arguments of a call, run on so many of them."""
    chosen = settings(
        max_examples=max(int(number_of_cases * (FACTOR or SHARE)), 1),
        derandomize=not FACTOR,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Any) -> Any:
        wrapped = pytest.mark.fuzz(chosen(given(call=arguments(args))(test)))
        wrapped.fuzz_cases = chosen.max_examples
        return wrapped

    return decorate
