"""Who may have turns of the leader. What is done in a turn is not known here."""

from typing import Protocol

from common.wire.waker import Waker
from server.engine.polling import READ


class Participant(Protocol):
    """What has turns: for `events` on `fd`, for its `deadline` (of time.monotonic()) and for a call of `post`.

    `is_slow` tells whether the next turn takes a millisecond or so.
    """

    fd: int
    events: int
    is_slow: bool

    @property
    def deadline(self) -> float: ...

    def turn(self) -> bool:
        """Do what can be done without waiting. Return False if somebody else has it now, or it has ended."""

    def was_handed_on(self) -> None:
        """Hear, in another thread, that the present turn was found to take long."""


class Wake(Waker):
    """The waker of the leader: its turn is that it has woken the leader."""

    def __init__(self) -> None:
        super().__init__()
        self.events = READ
        self.deadline = float("inf")
        self.is_slow = False

    def turn(self) -> bool:
        self.clear()
        return True

    def was_handed_on(self) -> None:
        """Do nothing: this turn cannot take long."""
