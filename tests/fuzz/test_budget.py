"""How many cases there are, whatever workers run them."""

import importlib
from pathlib import Path

BAR = 5000  # cases of all fuzz tests together
FILES = sorted(p.stem for p in Path(__file__).parent.glob("test_*.py") if p.stem != "test_budget")


def declared(function):
    """The cases of a test: those of its calls, times the values of its parameters."""
    cases = getattr(function, "fuzz_cases", 0)
    for mark in getattr(function, "pytestmark", []):
        cases *= len(mark.args[1]) if mark.name == "parametrize" else 1
    return cases


def test_the_budgets_reach_the_bar():
    tests = [
        f for m in FILES for f in vars(importlib.import_module(f"fuzz.{m}")).values() if callable(f)
    ]
    assert sum(map(declared, tests)) >= BAR
