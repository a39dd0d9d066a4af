"""Trains into the folder given, saving after every chunk: for the tests to kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_training_checkpoint import DATA, PRESET, WIDTH

from stablesde import training

training.fit(DATA, WIDTH, "III", 1.75, PRESET, 3, run_dir=sys.argv[1], save_seconds=0)
