"""Counts the cases of each fuzz test; tests/conftest.py adds them up."""

import pytest

from fuzz import engine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    engine.cases = 0
    try:
        return (yield)
    finally:
        # A report carries this from the worker of pytest-xdist that ran the test.
        item.user_properties.append(("fuzz_cases", engine.cases))
