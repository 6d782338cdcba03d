"""A mode that asks, counts, and ends."""

from typing import Any

from server.handler import Handler

QUESTIONS = {"2 + 2?": "4", "The capital of France?": "Paris"}


class Quiz(Handler):
    class Options(Handler.Options):
        questions: dict[str, str] = QUESTIONS

    options: Any

    def converse(self) -> None:
        right = 0
        for question, answer in self.options.questions.items():
            if self.ask(f"{question} ").strip().casefold() == answer.casefold():
                right += 1
                self.say("Right!")
            else:
                self.error(f"No: {answer}.")
        self.say(f"{right} of {len(self.options.questions)}")
