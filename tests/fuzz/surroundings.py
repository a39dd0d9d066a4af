"""What the tests of files share: an empty folder, no network, and errors of the system."""

from contextlib import contextmanager

import pytest

from fuzz.engine import Outcome, Undocumented, check, documented
from stablesde.datasets import _files


def _fetch():
    raise OSError("no network in the tests")


@contextmanager
def offline(folder):
    """In `folder`; only built-in data, and those in a given `root`, are found."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_ecg", "_mnist", "_cifar"):
            patch.setattr(_files, name, _fetch)
        patch.setattr(_files, "search_path", lambda root: iter(() if root is None else (root,)))
        patch.chdir(folder)
        yield patch


def check_files(function, *args, **kwargs):
    """As `check`. A documented error of the system names the file, in place of the argument."""
    try:
        return check(function, *args, **kwargs)
    except Undocumented as error:
        cause = error.__cause__
        names = {kind.__name__ for kind in type(cause).__mro__}
        if not isinstance(cause, OSError) or not names & documented(function):
            raise
        return Outcome(error=cause)
