"""The hook that fails the build of the docs finds what is missing, and nothing else."""

import pytest
from helpers import DOCS, docs_hook

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not in the source distribution")


@pytest.fixture(scope="module")
def hook():
    return docs_hook("check_coverage")


def checked(x: float) -> float:
    """Half of x."""
    if x < 0:
        raise ValueError("negative")
    return x / 2


def through_a_helper(x: float) -> float:
    """Half of x.

    **Returns:** a number.
    """
    return checked(x)


def described(x: float) -> float:
    """Half of x.

    **Returns:** a number. **Raises:** `ValueError` if it is negative.
    """
    return checked(x)


def another(x: float) -> float:
    """Half of x.

    **Returns:** a number. **Raises:** `TypeError` if it is negative.
    """
    if x < 0:
        raise ValueError("negative")
    return x / 2


class Record:
    """A record."""

    def __post_init__(self) -> None:
        raise TypeError

    def method(self) -> int:
        return 1

    @property
    def value(self) -> int:
        return 1


def test_faults_are_found(hook, monkeypatch):
    # Calls are followed within the package only, to which these functions are taken to belong.
    monkeypatch.setattr(checked, "__module__", "stablesde.somewhere")
    assert hook.not_described("f", checked) == [
        "f has no **Returns:**", "f does not say that it raises ValueError",
    ]  # fmt: skip
    assert hook.not_described("f", through_a_helper) == ["f does not say that it raises ValueError"]
    assert hook.not_described("f", another) == ["f does not say that it raises ValueError"]
    assert hook.not_described("f", described) == []
    assert hook.not_described("R", Record) == [
        "R does not say that it raises TypeError", "R.method has no docstring",
        "R.value has no docstring",
    ]  # fmt: skip


def test_nothing_public_is_undescribed(hook):
    faults = hook.not_on_a_page(str(DOCS))
    for name, value in hook.public():
        faults += hook.not_described(name, value)
    assert faults == []
