"""The identify mode: it greets a known address by name, and asks a new one for a name. Then it echoes."""

from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import Refusal
from server.handlers.commands import CommandHandler
from server.handlers.resources import Mode, Resources

if TYPE_CHECKING:
    from server.identity.visitors import Visitors

_TRIES = 3


class IdentifyHandler(CommandHandler):
    """Clients that are known by their address.

    A mode that knows its clients so is a subclass: `reply` says what happens to a line, and `self.name` who it is.
    Lines that begin with a slash are commands if the mode has any (methods `do_NAME`).
    """

    uses_store: ClassVar[bool] = True

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self._visitors: Visitors = self._kept
        self.name = ""

    @property
    def who(self) -> str | None:
        return self.name or None

    @classmethod
    def keep(cls, options: Any, resources: Resources) -> "Visitors":
        from server.identity.visitors import Visitors  # imports the database, which echo does not need

        return Visitors(resources.store, resources.registration_limits)

    def converse(self) -> None:
        with self.before_login():
            self.name = self._visitors.name_of(self.address) or self._ask_name()
        self.log.info("identified as %s", self.name)
        self.say(self.text("Hello, {name}!", name=self.name))
        self.greeted()

    def answer(self, text: str) -> None:
        if self.commands.keys() - {"/help"}:
            super().answer(text)
        else:
            self.reply(text)

    def _ask_name(self) -> str:
        """Ask for a name and store it. End the connection after three refused names."""
        for _ in range(_TRIES):
            try:
                return self._visitors.introduce(self.address, self.ask(self.text("Your name: ")))
            except Refusal as refusal:
                self.log.info("name refused: %s", refusal)
                self.error(self.mode.language.error(refusal))
        self.end()
