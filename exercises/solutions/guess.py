"""The loop is the conversation. A client that leaves raises an exception in `ask`, so nothing here looks for it."""

from typing import Any

from server.handler import Handler


class Guess(Handler):
    class Options(Handler.Options):
        number: int = 42

    options: Any

    def converse(self) -> None:
        guesses = 0
        while True:
            answer = self.ask("Your guess: ").strip()
            if not (answer.isascii() and answer.isdigit() and len(answer) < 4 and 1 <= int(answer) <= 100):
                self.error("a number from 1 to 100, please")
                continue
            guesses += 1
            if int(answer) == self.options.number:
                self.say(f"right, after {guesses} guess{'es' if guesses > 1 else ''}")
                return
            self.say("more" if int(answer) < self.options.number else "less")
