"""`pip install .` says in a sentence what to do instead."""

import importlib.util
import shutil
import subprocess
import sys
import unittest

from common import PROJECT_ROOT
from tests.support import PATIENCE, PorterTestCase


class Packaging(PorterTestCase):
    @unittest.skipIf(importlib.util.find_spec("pip") is None, "pip is not installed here")
    def test_pip_install_says_what_to_do_instead(self) -> None:
        (self.folder / "requirements").mkdir()
        for name in ("pyproject.toml", "README.md", "requirements/no_package.py"):
            shutil.copy(PROJECT_ROOT / name, self.folder / name)
        command = [sys.executable, "-m", "pip", "install", "--no-index", "--quiet", "."]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=3 * PATIENCE)
        said = done.stdout + done.stderr
        self.assertEqual(1, done.returncode)
        self.assertIn("Porter is not installed, but run from its folder: ./run.sh", said)
        self.assertNotIn("flat-layout", said)
        self.assertNotIn("Traceback", said)
