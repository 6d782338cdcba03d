"""Lines that begin with a slash: each is a method `do_NAME` of the mode, as in Python's cmd.Cmd. /help lists them.

What the commands do, and whether anybody is logged in, is the mode's business.
"""

import inspect
from typing import Any, ClassVar

from server.handlers.handler import Handler
from server.handlers.resources import Mode, Resources

_PREFIX = "do_"


class CommandHandler(Handler):
    """A mode that obeys commands, and replies to all other lines.

    A method `do_logout_all` is the command `/logout-all`, and the first line of its docstring is what `/help` says.
    A method with a parameter gets what stands behind the command; one without takes nothing. What /help says of all
    other lines is the docstring of `reply`.
    """

    commands: ClassVar[dict[str, str]] = {}
    """The names of the methods by their commands, in the order in which the classes define them."""

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self._kept, self.shared = mode.shared

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> Any:
        return cls.keep(options, resources), cls.share(options, resources)

    @classmethod
    def keep(cls, options: Any, resources: Resources) -> Any:
        """Return what a mode that others build on keeps for itself, as `self._kept`."""

    @classmethod
    def share(cls, options: Any, resources: Resources) -> Any:
        """Return what all connections share, as `self.shared`. Called at the start, and at each reload."""

    def greeted(self) -> None:
        """Do what the mode does when it has greeted the user; it may speak, and ask."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        found = {}
        for base in reversed(cls.__mro__):
            for name in vars(base):
                if name.startswith(_PREFIX):
                    found["/" + name.removeprefix(_PREFIX).replace("_", "-")] = name
        cls.commands = found

    def answer(self, text: str) -> None:
        """Obey a line if it begins with a slash, and reply to it otherwise."""
        if text.startswith("/"):
            self.obey(text)
        else:
            self.reply(text)

    def reply(self, text: str) -> None:
        """is echoed"""
        self.say(text)

    def obey(self, line: str) -> None:
        """Carry out a command. Tell the user if there is none of this name, or if it takes nothing behind it."""
        command, _, rest = line.partition(" ")
        name = self.commands.get(command)
        if name is None:
            self.error(self.text("no such command: {line} (/help lists them)", line=line[:40]))
            return
        method = getattr(self, name)
        if inspect.signature(method).parameters:
            method(rest.strip())
        elif rest.strip():
            self.error(self.text("{command} takes nothing behind it (/help lists the commands)", command=command))
        else:
            method()

    def do_help(self) -> None:
        """this list"""
        width = max(map(len, self.commands))
        lines = [f"{command:{width}}  {self._meaning(name)}" for command, name in self.commands.items()]
        others = self.text("Any other line {happens}.", happens=self._meaning("reply"))
        self.say("\n".join([*lines, others]))

    def _meaning(self, name: str) -> str:
        return self.mode.language.plain((inspect.getdoc(getattr(type(self), name)) or "").partition("\n")[0])
