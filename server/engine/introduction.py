"""A connection of a trusted proxy, until that has said by a PROXY header whose it is.

Each byte after the header belongs to the client, perhaps to its TLS: so no more is read than the header has. What is
said afterwards is not known here.
"""

import socket
import time
from typing import Any, Protocol, cast

from common.addresses import format_peer, source
from common.errors import ConnectionRefused, ProtocolError
from common.wire import proxyheader
from common.wire.journal import Counts
from server.engine.connection import Connection
from server.engine.faults import Faults
from server.engine.leader import Leader
from server.engine.plan import Plan
from server.engine.polling import READ


class Arrival:
    """A connection whose header is awaited, as a participant of the leader."""

    source = ""
    """Nobody's: it counts among all connections, and among those of no address."""
    counts: Counts = (0, 0, 0, 0)

    def __init__(self, connection: socket.socket, address: Any, plan: Plan, reception: "Reception") -> None:
        """Take over a socket that does not block."""
        self.socket = connection
        self.fd = connection.fileno()
        self.address = address
        self.peer = format_peer(address)
        self.plan = plan
        self.events = READ
        self.deadline = time.monotonic() + plan.proxies.timeout
        self.is_slow = False
        self._reception = reception
        self._leader = reception.leader
        self._data = b""
        self._is_stopping = False

    def turn(self) -> bool:
        """Read what has come of the header. Return False when it is whole, or will never be."""
        if self._is_stopping:
            return self._fail("")
        try:
            while missing := proxyheader.missing(self._data):
                piece = self.socket.recv(missing)
                if not piece:
                    return self._fail("" if not self._data else "the connection has ended")
                self._data += piece
            introduction = proxyheader.parse(self._data)
        except BlockingIOError:
            if time.monotonic() >= self.deadline:
                return self._fail("no PROXY header came in time")
            return True
        except OSError as error:
            return self._fail(error.strerror or str(error))
        except ProtocolError as error:
            return self._fail(f"no PROXY header: {error}")
        self._leader.take(self)
        self._reception.introduced(self, introduction)
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
        self._reception.not_introduced(self, reason)
        return False


class Host(Protocol):
    """Who serves those that are introduced: the server."""

    leader: Leader
    connections: Any
    faults: Faults

    def refuse(self, request: Any, refusal: ConnectionRefused) -> None: ...
    def process_request(self, request: Any, client_address: Any) -> None: ...
    def shutdown_request(self, request: Any) -> None: ...
    def fail(self, connection: Any) -> None: ...


class Reception:
    """Gives the connections of proxies a slot and some time, and has those served that they introduce."""

    def __init__(self, host: Host) -> None:
        self.leader = host.leader
        self._host = host

    def begin(self, arrival: Arrival) -> None:
        """Give the connection of a proxy a slot, and time to say whose it is."""
        try:
            self._host.connections.admit(arrival, arrival.source, arrival.plan.limits)
        except ConnectionRefused as refusal:
            self._refuse(arrival, arrival.address, refusal)
        else:
            self.leader.park(arrival)
            self.leader.look_by(arrival.deadline)

    def introduced(self, arrival: Arrival, introduction: proxyheader.Introduction) -> None:
        """Serve the client that a proxy has introduced."""
        host = self._host
        address = introduction.client or arrival.address
        connection = Connection(arrival.socket, address, arrival.plan, self.leader, cast(Any, host))
        connection.journal.is_silent = introduction.is_local
        try:
            host.connections.replace(arrival, connection, source(address[0]), arrival.plan.limits)
        except ConnectionRefused as refusal:
            self._refuse(arrival, address, refusal)
            return
        try:
            host.process_request(connection, address)
        except BaseException:  # a handler may fail in any way
            host.fail(connection)

    def _refuse(self, arrival: Arrival, address: Any, refusal: ConnectionRefused) -> None:
        """Tell the reason to whoever is behind the proxy, if that is possible."""
        connection = Connection(arrival.socket, address, arrival.plan, self.leader, cast(Any, self._host))
        self._host.refuse(connection, refusal)
        self._host.shutdown_request(connection)

    def not_introduced(self, arrival: Arrival, reason: str) -> None:
        """Close the connection of a proxy without an answer."""
        if reason:
            self._host.faults.not_introduced(reason, arrival.peer, arrival.address[0])
        arrival.close()
        self._host.connections.remove(arrival)
