"""A mode that counts words."""

from server.handler import Handler


class WordCount(Handler):
    """Count the words of each line, until an empty one."""

    class Options(Handler.Options):
        prompt: str = "> "

    def converse(self) -> None:
        while line := self.ask(self.options.prompt):
            self.say(f"{len(line.split())} words")
