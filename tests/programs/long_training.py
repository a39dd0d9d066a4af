"""Trains into the folder given, saving after every chunk: for the tests to kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_store import LONG

from stablesde import paper

paper.fit(*LONG, run_dir=sys.argv[1], save_seconds=0)
