"""The chat mode: users who are logged in talk in rooms. All in a room hear the same lines, in the same order.

How a text reaches the members is for room.py, and the login for auth.py. The rooms are those of one process.
"""

import re
import threading
from collections import OrderedDict, deque
from typing import Any, ClassVar

from pydantic import Field

from server.handlers.auth import AuthHandler
from server.handlers.pace import Pace
from server.handlers.resources import Mode, Resources
from server.handlers.room import Room

_FIRST_ROOM = "lobby"
_ROOM_NAME = re.compile(r"(?:[^\W_]|-){1,32}")
_LONGEST_LINE = 4096  # bytes
_A_SECOND, _BURST = 20, 100  # lines of one member
_MOST_EMPTY = 100  # rooms without members whose lines are kept


class ChatRoom:
    """A room, and the last lines that were said in it."""

    def __init__(self, name: str, history: int) -> None:
        self.name = name
        self.members: Room[ChatHandler] = Room()
        self._lock = threading.Lock()  # whoever comes misses no line and gets none twice
        self._lines: deque[str] = deque(maxlen=history)

    def enter(self, member: "ChatHandler") -> None:
        with self._lock:
            for line in self._lines:
                member.push(line)
            self.members.join(member)
            self.members.push(f"* {member.user.name} is here")

    def leave(self, member: "ChatHandler") -> None:
        with self._lock:
            self.members.leave(member)
            self.members.push(f"* {member.user.name} has gone")

    def say(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)
            self.members.push(line)


class Rooms:
    """All rooms. Of those without members, the hundred that were entered last are kept for their lines."""

    def __init__(self, history: int) -> None:
        self._history = history
        self._lock = threading.Lock()
        self._rooms: OrderedDict[str, ChatRoom] = OrderedDict()  # those that were entered last are the last

    def enter(self, name: str, member: "ChatHandler") -> ChatRoom:
        with self._lock:
            room = self._rooms.get(name) or ChatRoom(name, self._history)
            self._rooms[name] = room
            self._rooms.move_to_end(name)
            room.enter(member)
            empty = [each.name for each in self._rooms.values() if not len(each.members)]
            for each in empty[:-_MOST_EMPTY]:
                del self._rooms[each]
            return room


class ChatHandler(AuthHandler):
    """Users talk in rooms."""

    spans_processes: ClassVar[bool] = False

    class Options(AuthHandler.Options):
        history: int = Field(20, ge=0, le=50)

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self.room: ChatRoom | None = None
        self._pace = Pace(_A_SECOND, _BURST)

    @classmethod
    def share(cls, options: Any, resources: Resources) -> Rooms:
        return Rooms(options.history)

    def greeted(self) -> None:
        self.ending[ChatHandler] = self._leave
        self.room = self.shared.enter(_FIRST_ROOM, self)

    def reply(self, text: str) -> None:
        """is said to all in the room"""
        self._pace.keep(self.request)
        if text and (text.splitlines() != [text] or len(text.encode()) > _LONGEST_LINE):
            self.error(f"a line has no line break, and {_LONGEST_LINE} bytes at most")
        elif text and self.room is not None:
            self.room.say(f"{self.user.name}: {text}")

    def do_who(self) -> None:
        """who is in your room"""
        if self.room is not None:
            self.say(", ".join(member.user.name for member in self.room.members))

    def do_join(self, name: str) -> None:
        """go to another room, as in /join garden"""
        self._pace.keep(self.request)
        if not _ROOM_NAME.fullmatch(name):
            self.error("the name of a room has 1 to 32 letters, digits and hyphens")
        elif self.room is not None and self.room.name == name:
            self.error(f"you are in {name} already")
        else:
            self._leave()
            self.room = self.shared.enter(name, self)

    def _leave(self) -> None:
        room, self.room = self.room, None
        if room is not None:
            room.leave(self)
