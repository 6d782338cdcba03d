"""./run.sh man: a page that man(1) shows without complaint, with all that --help says."""

import shutil
import subprocess
import unittest

from common import PROJECT_ROOT
from server import completion, manual
from tests.support import PATIENCE, PorterTestCase, call_program, environment


class Manual(PorterTestCase):
    def test_it_has_what_each_command_says(self) -> None:
        with_help = {name for name, words in completion.WORDS.items() if "--help" in words} - {"man"}
        self.assertEqual(with_help, set(manual.COMMANDS))
        status, page, errors = call_program(manual.main)
        self.assertEqual((0, ""), (status, errors))
        for command in manual.COMMANDS:
            self.assertIn(f'.SH "./run.sh {command}'.rstrip(), page)
        self.assertIn("\\&  \\-\\-reconnect ", page)

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_groff_takes_it_and_shows_every_line_as_it_is(self) -> None:
        page = call_program(manual.main)[1]
        done = subprocess.run(
            ["groff", "-man", "-Tascii", "-ww", "-P-cbou"],
            input=page,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        usage = subprocess.run(
            [str(PROJECT_ROOT / "run.sh"), "client", "--help"],
            env={**environment(self.folder), "COLUMNS": "78"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout
        shown = [line.strip() for line in done.stdout.splitlines()]
        for line in usage.splitlines():
            self.assertIn(line.strip(), shown)
