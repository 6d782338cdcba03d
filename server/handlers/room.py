"""A room: what is said in it goes to all who are in it, in one order. Who they are and why is the mode's business."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Generic, TypeVar

from common.wire.framing import encode
from common.wire.kinds import Kind, compose
from server.handlers.handler import Handler

_Member = TypeVar("_Member", bound=Handler)


class Room(Generic[_Member]):
    """Handlers that hear the same. All methods may be called from any thread, and none waits for a client.

    A member whose connection has ended is none any more. One that does not read is ended after `limits.max_unsent`
    bytes, and costs the others nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while a text goes to all, so that all get texts in one order
        self._members: dict[_Member, None] = {}  # a set in order

    def join(self, member: _Member) -> None:
        """Let a member hear what is said from now on, until it leaves or its connection ends."""
        with self._lock:
            self._members[member] = None
        member.ending[self] = partial(self.leave, member)

    def leave(self, member: _Member) -> None:
        """Let a member hear no more. One that is not here has left already."""
        with self._lock:
            self._members.pop(member, None)
        member.ending.pop(self, None)

    def push(self, text: str) -> None:
        """Push a text to all members. Raise NotText if it cannot be UTF-8."""
        frame = encode(compose(Kind.TEXT, text))  # once for all
        with self._lock:
            for member in [member for member in self._members if not member.request.push_frame(frame)]:
                del self._members[member]

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[_Member]:
        """Iterate over those who are here now, the first who came first."""
        with self._lock:
            return iter(list(self._members))
