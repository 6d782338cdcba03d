"""The exercises of the lesson: each fails as it is given, because of what it lacks, and passes with its solution."""

import subprocess
import sys
import unittest

from common import PROJECT_ROOT
from tests.support import PATIENCE, environment

NAMES = sorted(path.stem.removeprefix("test_") for path in (PROJECT_ROOT / "exercises").glob("test_*.py"))


class Exercises(unittest.TestCase):
    def try_out(self, name: str, package: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "unittest", f"exercises.test_{name}"],
            cwd=PROJECT_ROOT,
            env={**environment(PROJECT_ROOT), "PORTER_EXERCISES": package},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def test_there_are_ten_and_the_lesson_leads_to_each(self) -> None:
        self.assertEqual(10, len(NAMES))
        for page in ("docs/tasks.md", "docs/ru/tasks.md"):
            text = (PROJECT_ROOT / page).read_text()
            for name in NAMES:
                self.assertEqual(1, text.count(f"./run.sh test exercises.test_{name}\n"), f"{page}: {name}")

    def test_each_fails_until_it_is_solved(self) -> None:
        for name in NAMES:
            with self.subTest(name):
                done = self.try_out(name, "exercises")
                self.assertEqual(1, done.returncode, done.stderr)
                self.assertIn("FAILED", done.stderr)
                for word in ("ImportError", "ModuleNotFoundError", "AttributeError", "SyntaxError"):
                    self.assertNotIn(word, done.stderr)

    def test_each_passes_with_its_solution(self) -> None:
        for name in NAMES:
            with self.subTest(name):
                done = self.try_out(name, "exercises.solutions")
                self.assertEqual(0, done.returncode, done.stderr)
