"""The end of all connections at a stop. What is said on them is not known here."""

import time
from typing import Protocol, TypeVar

from server.engine.admission import Connections

_MANY = 200
_ENDS_A_SECOND, _TOGETHER = 500, 25
_SPREAD = 0.8  # of the time for the drain; whoever is left then ends at once
_AFTER_CUT = 0.2  # seconds


class Stoppable(Protocol):
    def stop(self) -> None: ...
    def cut(self) -> None: ...


_Connection = TypeVar("_Connection", bound=Stoppable)


def drain(connections: Connections[_Connection], timeout: float) -> int:
    """Let every connection finish its work. Return how many had to be cut after `timeout` seconds.

    More than 200 end at no more than 500 a second: their clients then do not all come to another server at once.
    """
    start = time.monotonic()
    all_of_them = connections.all()
    for number, connection in enumerate(all_of_them):
        connection.stop()
        if len(all_of_them) > _MANY and number % _TOGETHER == 0:
            due = start + min(number / _ENDS_A_SECOND, _SPREAD * timeout)
            connections.wait_until_none(max(0.0, due - time.monotonic()))
    for connection in set(connections.all()) - set(all_of_them):  # a proxy has introduced them meanwhile
        connection.stop()
    if connections.wait_until_none(max(0.0, start + timeout - time.monotonic())):
        return 0
    left = connections.all()
    for connection in left:
        connection.cut()
    connections.wait_until_none(_AFTER_CUT)
    return len(left)
