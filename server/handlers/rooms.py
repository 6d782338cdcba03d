"""Rooms with names, in which all hear the same lines in the same order, whatever process their connection is in.

The bus carries what is said. What the lines mean, and who may say them, is the mode's business.
"""

import json
import threading
from collections import OrderedDict, deque
from functools import partial
from typing import Generic, TypeVar

from common.language import ENGLISH
from server.bus.bus import Bus
from server.handlers.handler import Handler
from server.handlers.room import Room

LONGEST_HISTORY = 50
"""Lines that are kept of a room."""
_TOGETHER = 1000  # members in one text on the bus
_MOST_EMPTY = 100  # rooms without members whose lines are kept

_Member = TypeVar("_Member", bound=Handler)


class Rooms(Generic[_Member]):
    """All rooms of a mode. A member is in one of them at a time, until its connection ends.

    Every process posts what its members do, and changes what it knows of the rooms only in `_hear`, when the bus
    brings that back. So all processes see one history. `history` is how many lines a member hears when it comes, and
    `language` is that of the members here.
    """

    def __init__(self, bus: Bus, topic: str, history: int) -> None:
        """Begin to hear the topic. Raise Unavailable if the bus fails."""
        self.history = history
        self.language = ENGLISH
        self._bus = bus
        self._topic = topic
        self._lock = threading.Lock()  # what becomes of the members here is posted in the order in which it is noted
        self._here: dict[int, tuple[_Member, str, str]] = {}  # by its number, a member with its room and name
        self._numbers: dict[_Member, int] = {}  # no two members of a process ever have the same
        self._next = 1
        # What the bus has told. By process and number: the room and the name of a member.
        self._members: dict[tuple[str, int], tuple[str, str]] = {}
        self._lines: OrderedDict[str, deque[str]] = OrderedDict()  # the rooms that were entered last are the last
        self._audiences: dict[str, Room[_Member]] = {}  # the members here
        bus.subscribe(topic, self._hear)

    # For the mode, in any thread. What is said waits for the bus, which may be a database.

    def enter(self, member: _Member, room: str, name: str) -> None:
        """Let a member be in a room, and in no other. Raise Unavailable if the bus fails."""
        with self._lock:
            number = self._numbers.setdefault(member, self._next)
            self._next += 1
            self._here[number] = (member, room, name)
            member.ending[self] = partial(self._leave, number)
            self._post("came", number, room, name)
        self._bus.carry()

    def say(self, room: str, line: str) -> None:
        """Let all in a room hear a line. Raise Unavailable if the bus fails."""
        self._bus.publish(self._topic, json.dumps(["said", room, line]))

    def names(self, room: str) -> list[str]:
        """Return the names of those who are in a room, in all processes; the first came first."""
        return [name for place, name in list(self._members.values()) if place == room]

    def _leave(self, number: int) -> None:
        with self._lock:
            member, _, _ = self._here.pop(number)
            del self._numbers[member]
            self._post("gone", number)

    def _post(self, *event: object) -> None:
        self._bus.post(self._topic, json.dumps(event))

    # For the bus, one call after the other.

    def _hear(self, origin: str, text: str) -> None:
        match json.loads(text or '["over"]'):
            case ["said", room, line]:
                self._lines_of(room).append(line)
                self._push(room, line)
            case ["came", number, room, name]:
                self._remove(origin, number)
                self._add(origin, number, room, name)
            case ["gone", number]:
                self._remove(origin, number)
            case ["here", *members] if origin != self._bus.origin:
                self._members = {key: found for key, found in self._members.items() if key[0] != origin}
                self._members |= _by_key(origin, members)
            case ["here too", *members] if origin != self._bus.origin:
                self._members |= _by_key(origin, members)
            case ["over"]:
                self._forget(origin)

    def _add(self, origin: str, number: int, room: str, name: str) -> None:
        self._members[origin, number] = room, name
        lines = self._lines_of(room)
        self._lines.move_to_end(room)
        if member := self._member(origin, number):
            for line in list(lines)[len(lines) - min(self.history, len(lines)) :]:
                member.push(line)
            self._audiences.setdefault(room, Room()).join(member)
        self._push(room, self.language.text("* {name} is here", name=name))
        if len(self._lines) > _MOST_EMPTY:
            full = {place for place, _ in self._members.values()}
            for place in [place for place in self._lines if place not in full][:-_MOST_EMPTY]:
                del self._lines[place]

    def _remove(self, origin: str, number: int) -> None:
        """Let a member be in no room, and tell those whom it leaves. It may be in none."""
        room, name = self._members.pop((origin, number), ("", ""))
        audience = self._audiences.get(room)
        if audience is not None:
            if member := self._member(origin, number):
                audience.leave(member)
            audience.push(self.language.text("* {name} has gone", name=name))
            if not len(audience):
                del self._audiences[room]

    def _forget(self, origin: str) -> None:
        """Let all members of a process be gone: it has ended, or it begins. Tell it who is here."""
        for process, number in list(self._members):
            if process == origin and self._member(origin, number) is None:
                self._remove(origin, number)
        with self._lock:
            members = [(number, room, name) for number, (_, room, name) in self._here.items()]
            for start in range(0, len(members), _TOGETHER):  # a text on the bus has an end
                self._post("here too" if start else "here", *members[start : start + _TOGETHER])

    def _member(self, origin: str, number: int) -> _Member | None:
        """Return a member of this process, if it is one and its connection has not ended."""
        member, _, _ = self._here.get(number, (None, "", "")) if origin == self._bus.origin else (None, "", "")
        return member

    def _lines_of(self, room: str) -> deque[str]:
        return self._lines.setdefault(room, deque(maxlen=LONGEST_HISTORY))

    def _push(self, room: str, text: str) -> None:
        if audience := self._audiences.get(room):
            audience.push(text)


def _by_key(origin: str, members: list[tuple[int, str, str]]) -> dict[tuple[str, int], tuple[str, str]]:
    return {(origin, number): (room, name) for number, room, name in members}
