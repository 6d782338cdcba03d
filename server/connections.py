"""The register of open connections: how many there may be, when the last one has ended, and a way to cut them.

A connection is in it from before its thread starts until its socket is closed. It knows nothing of what is said.
"""

import contextlib
import socket
import threading

from common.sockets import MessageSocket
from server.places import OwnPlaces, Places
from server.settings import Limits


class Connections:
    def __init__(self, places: Places | None = None) -> None:
        """`places` may be shared with other processes; by default they are this one's own.

        `served` is how many there have been so far.
        """
        self._places = places or OwnPlaces()
        self._sources: dict[MessageSocket, str] = {}
        self._changed = threading.Condition()
        self.served = 0

    def __len__(self) -> int:
        return len(self._sources)

    def admit(self, request: MessageSocket, source: str, limits: Limits) -> None:
        """Enter a connection; raises ConnectionRefused, with a reason for the client, if there is no place."""
        with self._changed:
            self._places.take(source, limits)
            self._sources[request] = source
            self.served += 1

    def remove(self, request: MessageSocket) -> bool:
        """Free the place of a closed connection; False if it had none."""
        with self._changed:
            source = self._sources.pop(request, None)
            if source is None:
                return False
            self._places.give_back(source)
            if not self._sources:
                self._changed.notify_all()
            return True

    def wait_until_none(self, timeout: float | None) -> bool:
        """Wait for the last connection to end; False if `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sources, timeout)

    def wake(self) -> None:
        """Have all who wait for a message look at the stop flag."""
        with self._changed:
            for request in self._sources:
                request.wake()

    def cut(self) -> int:
        """Break off what is still open, without goodbyes; how many there were."""
        with self._changed:
            for request in self._sources:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
            return len(self._sources)
