"""A program with this configuration logs a few lines, and then very many, under LANG=C as cron starts it."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from exercises import FOLDER, package

PROGRAM = """
import logging, logging.config, sys, yaml
logging.basicConfig()
logging.config.dictConfig(yaml.safe_load(open(sys.argv[1], encoding="utf-8")))
log = logging.getLogger("porter.server")
log.info("\\u043f\\u0440\\u0438\\u0432\\u0435\\u0442")
for number in range(1000):
    log.warning("warning %d", number)
"""


class Log(unittest.TestCase):
    def test_lines_go_to_their_files_and_none_to_the_console(self) -> None:
        file = FOLDER.parent / package().replace(".", "/") / "log.yaml"
        with tempfile.TemporaryDirectory() as name:
            environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(file)], cwd=name, env=environment, capture_output=True, text=True
            )
            self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr), "the console stays empty")
            folder = Path(name)
            everything = (folder / "porter.log").read_text(encoding="utf-8").splitlines()
            self.assertEqual(1001, len(everything))
            self.assertTrue(everything[0].endswith("INFO привет"))
            kept = sorted(folder.glob("warnings.log*"))
            self.assertEqual(["warnings.log", "warnings.log.1", "warnings.log.2"], [each.name for each in kept])
            for each in kept:
                self.assertLessEqual(each.stat().st_size, 10_000)
                self.assertNotIn("INFO", each.read_text(encoding="utf-8"))
            self.assertTrue(kept[0].read_text(encoding="utf-8").endswith("WARNING warning 999\n"))
