"""The pages of the lab: each command is typed in a terminal, and what comes is what the page shows."""

import re

from common import PROJECT_ROOT
from tests import transcript
from tests.support import PorterTestCase

TASKS = ["Task 3", "Task 4", "Task 5", "Task 6", "Task 7", "Task 8", "Task 9", "Task 10"]


class Pages(PorterTestCase):
    def test_the_lesson_shows_what_a_student_sees(self) -> None:
        self.run_programs_without_coverage()
        page = (PROJECT_ROOT / "docs/tasks.md").read_text()
        self.assertEqual(TASKS, re.findall(r"^## (Task \d+)", page, re.MULTILINE))
        self.assertGreater(transcript.play(page, self.folder, "C"), 25)

    def test_the_lesson_in_russian_shows_what_a_russian_student_sees(self) -> None:
        self.run_programs_without_coverage()
        page = (PROJECT_ROOT / "docs/ru/tasks.md").read_text()
        self.assertEqual(8, len(re.findall(r"^## Задание \d+", page, re.MULTILINE)))
        self.assertGreater(transcript.play(page, self.folder, "ru_RU.UTF-8"), 25)

    def test_the_code_that_the_lesson_quotes_is_the_code(self) -> None:
        for name in ("docs/tasks.md", "docs/ru/tasks.md"):
            with self.subTest(name):
                self.check_quotes((PROJECT_ROOT / name).read_text())

    def check_quotes(self, page: str) -> None:
        quotes = re.findall(r"^```(?:python|yaml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(quotes), 9)
        files = {name: (PROJECT_ROOT / name).read_text() for name in re.findall(r"`([\w/]+\.(?:py|yaml))`", page)}
        for quote in quotes:
            self.assertLessEqual(quote.count("\n"), 40)
            self.assertTrue(any(quote in text for text in files.values()), quote)
