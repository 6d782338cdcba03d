"""The chat mode: users who are logged in talk in rooms. All in a room hear the same lines, in the same order.

How a line reaches the members is for rooms.py, and the login for auth.py.
"""

import contextlib
import re
from typing import Any

from pydantic import Field

from common.errors import Unavailable
from server.handlers.auth import AuthHandler
from server.handlers.pace import Pace
from server.handlers.resources import Mode, Resources
from server.handlers.rooms import LONGEST_HISTORY, Rooms

_FIRST_ROOM = "lobby"
_ROOM_NAME = re.compile(r"(?:[^\W_]|-){1,32}")
_LONGEST_LINE = 4096  # bytes
_A_SECOND, _BURST = 20, 100  # lines of one member
# Bytes of one member: whoever reads 100 KiB a second is never `limits.max_unsent` behind a member that floods.
_BYTES_A_SECOND, _BYTES_BURST = _A_SECOND * _LONGEST_LINE, 131_072


class ChatHandler(AuthHandler):
    """Users talk in rooms."""

    class Options(AuthHandler.Options):
        history: int = Field(20, ge=0, le=LONGEST_HISTORY)

    shared: Rooms["ChatHandler"]

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self.room = _FIRST_ROOM
        self._pace = Pace(_A_SECOND, _BURST)
        self._bytes = Pace(_BYTES_A_SECOND, _BYTES_BURST)

    @classmethod
    def share(cls, options: Any, resources: Resources) -> "Rooms[ChatHandler]":
        rooms = resources.kept("chat", lambda: Rooms[ChatHandler](resources.bus, "chat", options.history))
        rooms.history, rooms.language = options.history, resources.language
        return rooms

    def greeted(self) -> None:
        self.shared.enter(self, self.room, self.user.name)

    def reply(self, text: str) -> None:
        """is said to all in the room"""
        self._pace.keep(self.request)
        size = len(text.encode())
        if text and (text.splitlines() != [text] or size > _LONGEST_LINE):
            self.error(self.text("a line has no line break, and {most} bytes at most", most=_LONGEST_LINE))
        elif text:
            self._bytes.keep(self.request, size)
            self.say_to_all(f"{self.user.name}: {text}")

    def say_to_all(self, line: str) -> None:
        """Let all in the room hear a line, or the user that this cannot be now."""
        self.request.step_aside()
        try:
            self.shared.say(self.room, line)
        except Unavailable as error:
            self.log.warning("a line was not said: %s", error)
            unsaid = "that was not said, because the server cannot reach the others now: try again later"
            self.error(self.text(unsaid))

    def do_who(self) -> None:
        """who is in your room"""
        self.say(", ".join(self.shared.names(self.room)))

    def do_join(self, name: str) -> None:
        """go to another room, as in /join garden"""
        self._pace.keep(self.request)
        if not _ROOM_NAME.fullmatch(name):
            self.error(self.text("the name of a room has 1 to 32 letters, digits and hyphens"))
        elif name == self.room:
            self.error(self.text("you are in {room} already", room=name))
        else:
            self.room = name
            self.request.step_aside()
            with contextlib.suppress(Unavailable):  # the others are told as soon as that is possible
                self.shared.enter(self, name, self.user.name)
