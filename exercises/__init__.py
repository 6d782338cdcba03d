"""Ten exercises: each is a first version, as one writes it on the first evening, and its test fails until it holds.

`./run.sh test exercises.test_shout` tries `shout.py`. The lesson, docs/tasks.md, leads to each of them.
"""

import importlib
import os
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent


def package() -> str:
    """Return the package that is tested: the exercises, or what PORTER_EXERCISES names, for example solutions."""
    return os.environ.get("PORTER_EXERCISES") or "exercises"


def tried(name: str) -> ModuleType:
    """Return the module that is tested."""
    return importlib.import_module(f"{package()}.{name}")
