"""What several test modules need."""

import pytest

from stablesde.datasets import _files


def available(name):
    """The data directory, or a skip with the reason."""
    file = _files.ARCHIVES[name][0]
    for folder in _files.search_path(None):
        if (folder / file).is_file():
            return folder
    pytest.skip(f"{file} is neither in $STABLESDE_DATA nor in ../shared/data")
