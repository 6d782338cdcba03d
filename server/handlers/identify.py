"""The identify mode: it greets a known address by name, and asks a new one for a name. Then it echoes."""

from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import Refusal
from server.handlers.handler import Handler
from server.handlers.resources import Resources

if TYPE_CHECKING:
    from server.identity.visitors import Visitors

_TRIES = 3


class IdentifyHandler(Handler):
    uses_store: ClassVar[bool] = True

    shared: "Visitors"

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> "Visitors":
        from server.identity.visitors import Visitors  # imports the database, which echo does not need

        return Visitors(resources.store, resources.registration_limits)

    def converse(self) -> None:
        with self.before_login():
            name = self.shared.name_of(self.address) or self._ask_name()
        self.log.info("identified as %s", name)
        self.say(f"Hello, {name}!")

    def answer(self, text: str) -> None:
        self.say(text)

    def _ask_name(self) -> str:
        """Ask for a name and store it. End the connection after three refused names."""
        for _ in range(_TRIES):
            try:
                return self.shared.introduce(self.address, self.ask("Your name: "))
            except Refusal as refusal:
                self.log.info("name refused: %s", refusal)
                self.error(str(refusal))
        self.end()
