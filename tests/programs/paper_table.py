"""Computes a small table into the folder given: for the tests to kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_tables import SMALL

from stablesde import paper

paper.paper_table(1, sys.argv[1], run=True, seeds=3, only=["none", "1.75"], **SMALL)
