"""No test of this folder downloads anything, or finds data that happen to be on the machine."""

from contextlib import contextmanager

import pytest

from stablesde.datasets import _files


def _fetch():
    raise OSError("no network in the tests")


@contextmanager
def offline():
    """Only built-in data, and those in a given `root`, are found."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_ecg", "_mnist", "_cifar"):
            patch.setattr(_files, name, _fetch)
        patch.setattr(_files, "search_path", lambda root: iter(() if root is None else (root,)))
        yield patch
