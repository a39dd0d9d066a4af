"""What several test modules need."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from stablesde.datasets import Dataset, _files

DOCS = Path(__file__).parents[1] / "docs"


def docs_hook(name):
    """A module of docs/, which mkdocs loads by its path."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shells(name="ecg5000", dim=8, classes=2):
    """A small data set under the name of one of the paper's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, dim)).astype(np.float32)
    y = (np.linalg.norm(x, axis=1) > np.sqrt(dim)).astype(int)
    return Dataset(name, x[:60], y[:60], x[60:], y[60:], classes)


def available(name):
    """The data directory, or a skip with the reason."""
    file = _files.ARCHIVES[name][0]
    for folder in _files.search_path(None):
        if (folder / file).is_file():
            return folder
    pytest.skip(f"{file} is neither in $STABLESDE_DATA nor in ../shared/data")
