"""Task 10: a conversation of many messages. The server thinks of a number from 1 to 100, and the user guesses.

It asks `Your guess: ` again and again, says `more` or `less`, and at the right guess `right, after 5 guesses`; then
the conversation ends. What is no such number is an error (`self.error`) and no guess. docs/handlers.md has the verbs.
"""

from typing import Any

from server.handler import Handler


class Guess(Handler):
    class Options(Handler.Options):
        number: int = 42

    options: Any

    def converse(self) -> None:
        if int(self.ask("Your guess: ")) == self.options.number:
            self.say("right, after 1 guess")
