"""The lesson as it is written down: a student's ten minutes and a teacher's half hour, typed word for word."""

from common import PROJECT_ROOT
from tests import transcript
from tests.support import PorterTestCase


class Lesson(PorterTestCase):
    def play(self, name: str, language: str) -> None:
        self.run_programs_without_coverage()
        page = (PROJECT_ROOT / "docs" / name).read_text()
        self.assertGreater(transcript.play(page, self.folder, language), 10)

    def test_the_ten_minutes_of_a_russian_student(self) -> None:
        self.play("ru/first-steps.md", "ru_RU.UTF-8")

    def test_the_half_hour_of_a_russian_teacher(self) -> None:
        self.play("ru/teaching.md", "ru_RU.UTF-8")

    def test_the_half_hour_in_english(self) -> None:
        self.play("teaching.md", "C")
