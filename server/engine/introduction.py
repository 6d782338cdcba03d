"""A connection of a trusted proxy, until that has said by a PROXY header whose it is.

Each byte after the header belongs to the client, perhaps to its TLS: so no more is read than the header has. What is
said afterwards is not known here.
"""

import socket
import time
from typing import Any, Protocol

from common.addresses import format_peer
from common.errors import ProtocolError
from common.wire import proxyheader
from common.wire.journal import Counts
from server.engine.leader import Leader
from server.engine.plan import Plan
from server.engine.polling import READ


class Host(Protocol):
    """Whom it tells how it ends."""

    def introduced(self, arrival: "Arrival", introduction: proxyheader.Introduction) -> None: ...
    def not_introduced(self, arrival: "Arrival", reason: str) -> None: ...


class Arrival:
    """A connection whose header is awaited, as a participant of the leader."""

    source = ""
    """Nobody's: it counts among all connections, and among those of no address."""
    counts: Counts = (0, 0, 0, 0)

    def __init__(self, connection: socket.socket, address: Any, plan: Plan, leader: Leader, host: Host) -> None:
        """Take over a socket that does not block."""
        self.socket = connection
        self.fd = connection.fileno()
        self.address = address
        self.peer = format_peer(address)
        self.plan = plan
        self.events = READ
        self.deadline = time.monotonic() + plan.proxies.timeout
        self.is_slow = False
        self._leader = leader
        self._host = host
        self._data = b""
        self._is_stopping = False

    def turn(self) -> bool:
        """Read what has come of the header. Return False when it is whole, or will never be."""
        try:
            while missing := proxyheader.missing(self._data):
                piece = self.socket.recv(missing)
                if not piece:
                    return self._fail("" if not self._data else "the connection has ended")
                self._data += piece
            introduction = proxyheader.parse(self._data)
        except BlockingIOError:
            if self._is_stopping or time.monotonic() >= self.deadline:
                return self._fail("" if self._is_stopping else "no PROXY header came in time")
            return True
        except OSError as error:
            return self._fail(error.strerror or str(error))
        except ProtocolError as error:
            return self._fail(f"no PROXY header: {error}")
        self._leader.take(self)
        self._host.introduced(self, introduction)
        return False

    def was_handed_on(self) -> None:
        """Do nothing: this turn does not wait."""

    def stop(self) -> None:
        """End without a word. Any thread may call this."""
        self._is_stopping = True
        self._leader.post(self)

    def cut(self) -> None:
        """Do what `stop` does."""
        self.stop()

    def close(self) -> None:
        self._leader.take(self)
        self.socket.close()

    def _fail(self, reason: str) -> bool:
        self._host.not_introduced(self, reason)
        return False
