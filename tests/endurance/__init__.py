"""Endurance: faults, loads and kills against real server processes; `./run.sh test --long` runs them for longer."""

import os

LONG = bool(os.environ.get("PORTER_LONG_TESTS"))
"""Whether this is the long run before a release."""
