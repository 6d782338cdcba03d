"""The identify mode: who calls from a known address is greeted by name, who does not is asked for one. Then echo."""

from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import Refusal
from server.handlers.handler import Handler
from server.handlers.resources import Resources

if TYPE_CHECKING:
    from server.identity.visitors import Clients

_TRIES = 3


class IdentifyHandler(Handler):
    uses_store: ClassVar[bool] = True

    shared: "Clients"

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> "Clients":
        from server.identity.visitors import Clients  # imports the database, which echo does without

        return Clients(resources.store, resources.registration_limits)

    def converse(self) -> None:
        with self.login():
            name = self.shared.name_of(self.address) or self._introduction()
        if name is None:
            return
        self.log.info("identified as %s", name)
        self.say(f"Hello, {name}!")
        while True:
            self.say(self.hear())

    def _introduction(self) -> str | None:
        """The name of a newcomer, or None after three that cannot be had."""
        for _ in range(_TRIES):
            try:
                return self.shared.introduce(self.address, self.ask("Your name: "))
            except Refusal as refusal:
                self.log.info("name refused: %s", refusal)
                self.error(str(refusal))
        return None
