"""What is written down is typed word for word: README, a student's ten minutes, and a teacher's half hour."""

from common import PROJECT_ROOT
from tests import transcript
from tests.support import PorterTestCase


class Lesson(PorterTestCase):
    def play(self, name: str, language: str, blocks: int = 11) -> None:
        self.run_programs_without_coverage()
        page = (PROJECT_ROOT / name).read_text()
        self.assertGreaterEqual(transcript.play(page, self.folder, language), blocks)

    def test_the_conversation_of_the_readme(self) -> None:
        self.play("README.md", "C", 3)

    def test_the_conversation_of_the_readme_in_russian(self) -> None:
        self.play("README.ru.md", "ru_RU.UTF-8", 2)

    def test_the_ten_minutes_of_a_russian_student(self) -> None:
        self.play("docs/ru/first-steps.md", "ru_RU.UTF-8")

    def test_the_half_hour_of_a_russian_teacher(self) -> None:
        self.play("docs/ru/teaching.md", "ru_RU.UTF-8")

    def test_the_half_hour_in_english(self) -> None:
        self.play("docs/teaching.md", "C")
