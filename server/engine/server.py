"""The server itself: accepts a connection, admits it, hands it to a thread, and sees it to its end.

What is said on a connection is the handler's business; when to start, reload and stop is the service's.
It overrides the hooks of socketserver and touches none of its private names.
"""

import contextlib
import errno
import logging
import math
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from common.addresses import show, source
from common.errors import (
    ConnectionEnded,
    ConnectionLost,
    ConnectionRefused,
    DeadlineExceeded,
    HandshakeFailed,
    PeerClosed,
    ProtocolError,
    SessionEnded,
    Stopping,
    StoreUnavailable,
)
from common.wire.journal import Digest, Journal
from common.wire.kinds import Kind, compose
from common.wire.sockets import MessageSocket
from common.wire.stopflag import StopFlag
from common.wire.tls import SecureMessageSocket
from common.wire.waiting import Neighbours, Timeouts, timeval
from server.engine.admission import Connections, Places
from server.engine.memory import Memory
from server.engine.refusals import Refusals, SparingLog
from server.engine.threads import AcceptingThreads
from server.settings import Limits

LOG = logging.getLogger("porter.server")
_LINGER = 2.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_WHEN_EXHAUSTED = 0.1
_LONGEST_ACCEPT = 2.0
_SWITCH_INTERVAL = 0.005  # Python's own
_SWITCH_PER_PAIR = 1e-7
_LONGEST_SWITCH_INTERVAL = 2.0
_IS_INHERITED = sys.platform == "linux"  # by a connection, what is set of its listener
# A peer that is gone without a word is found in 70 seconds; by default Linux takes two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
_UNACKNOWLEDGED = 30.0
_MOST_UNSENT = 131_072  # bytes that the kernel keeps for who does not read; by default they may be megabytes

_Accepted = tuple[MessageSocket, Any, ConnectionRefused | None]  # and the peer's address, and why it is not served


@dataclass(frozen=True)
class Plan:
    """What a new connection gets; a reload puts another plan in its place, and open connections keep theirs."""

    handler: Callable[[Any, Any, Any], Any]
    limits: Limits
    tls: ssl.SSLContext | None

    @cached_property
    def timeouts(self) -> Timeouts:
        return Timeouts(self.limits.idle_timeout, self.limits.message_timeout, self.limits.send_timeout)


def _note(text: str, peer: str) -> None:
    LOG.info("%s", text, extra={"peer": peer})


class Server(socketserver.ThreadingTCPServer):
    """Serves those who connect to `listener`, once `serve_forever` runs."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        listener: socket.socket,
        plan: Plan,
        note: Callable[[str, str], None] = _note,
        places: Places | None = None,
    ) -> None:
        """Take over `listener`; `note` logs a text about a peer, which it does several times for each connection.

        `places` are given if others accept on the same socket and count connections together with this server.
        """
        self.address_family = listener.family
        self.plan = plan
        self.connections = Connections(places)
        self._is_alone = places is None
        self._stop = StopFlag()
        self._neighbours = Neighbours()
        self._accepting = AcceptingThreads(self._accept, self._serve, self._refuse)
        self._refusals = Refusals()
        self._exhausted = SparingLog(logging.ERROR, lines=1)
        self._note = note
        self._digest = Digest()
        self._memory = Memory()
        self._is_shut_down = threading.Event()
        super().__init__(listener.getsockname(), plan.handler, bind_and_activate=False)
        self.socket.close()  # the library has made one of its own
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_activate()

    def server_activate(self) -> None:
        # It listens already.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(_LONGEST_ACCEPT))
        _set_options(self.socket, self.plan.limits)

    def take_plan(self, plan: Plan) -> None:
        """Serve new connections by another plan."""
        with contextlib.suppress(OSError):  # closed, where a stop has overtaken the reload
            _set_options(self.socket, plan.limits)
        self.plan = plan

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Have connections accepted and served, until `shutdown`."""
        while True:
            try:
                self.service_actions()
                self._accepting.heal()
            except (RuntimeError, MemoryError) as error:
                self._exhausted.log(f"cannot accept connections: {str(error) or 'no memory'}")
            except Exception:  # this thread must outlive whatever one round runs into
                LOG.exception("a round of housekeeping failed")
            if self._is_shut_down.wait(poll_interval):
                return

    def shutdown(self) -> None:
        """Accept no more; returns when nobody waits for a connection any longer."""
        self._is_shut_down.set()
        self._accepting.close(_LONGEST_ACCEPT + 1)

    # In the connection's own thread.

    def _accept(self) -> _Accepted | None:
        try:
            request, address = self.get_request()
        except OSError:
            return None
        try:
            self.connections.admit(request, source(address[0]), request.plan.limits)
        except ConnectionRefused as refusal:
            return request, address, refusal
        except Exception:
            LOG.exception("a connection could not be admitted", extra={"peer": request.peer})
            request.close()
            return None
        return request, address, None

    def _serve(self, accepted: _Accepted) -> None:
        request, address, refusal = accepted
        if refusal is None:
            self.process_request_thread(request, address)
        else:
            self._refusals.refuse(request, request.peer, refusal)

    def _refuse(self, accepted: _Accepted, shortage: str) -> None:
        request, _, refusal = accepted
        refusal = refusal or ConnectionRefused(f"the server is full: {shortage}")
        self._refusals.refuse(request, request.peer, refusal, linger=False)
        self.connections.remove(request)

    def get_request(self) -> tuple[MessageSocket, Any]:
        try:
            connection, address = self.socket.accept()
        except MemoryError as error:
            raise OSError from error
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhausted.log(f"cannot accept connections: {error.strerror}")
                # The connection stays in the backlog: without a pause this would spin.
                self._stop.wait(_PAUSE_WHEN_EXHAUSTED)
            raise
        try:
            return self._adopt(connection, address), address
        except Exception as error:
            connection.close()
            LOG.exception("a connection could not be taken over", extra={"peer": show(address)})
            raise OSError from error

    def _adopt(self, connection: socket.socket, address: Any) -> MessageSocket:
        plan = self.plan  # once: between two looks a reload may put another there, with TLS or without
        request = (MessageSocket if plan.tls is None else SecureMessageSocket).adopt(connection)
        request.plan = plan
        request.peer = show(address)
        request.timeouts = plan.timeouts
        return request

    def service_actions(self) -> None:
        """Called every half second."""
        self._refusals.service_actions()
        self._exhausted.report()
        self._digest.report()
        connections = len(self.connections)
        self._memory.heed(self.connections.served, connections)
        # Whoever waits for the interpreter's lock wakes up once in this time to ask for it, which takes the longer
        # the more do. With thousands, as when all leave at once, it would be all that is done, for half a minute.
        interval = max(_SWITCH_INTERVAL, connections**2 * _SWITCH_PER_PAIR)
        sys.setswitchinterval(min(interval, _LONGEST_SWITCH_INTERVAL))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and see it to its end; the last act frees its place."""
        request.journal = journal = Journal(self._note, request.peer, self._digest)
        request.is_followed = True
        journal.note("client connected")
        try:
            super().process_request_thread(request, client_address)
        finally:
            journal.note("client disconnected")
            self.connections.remove(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection from its handshake to the end of its conversation."""
        plan: Plan = request.plan
        limits = plan.limits
        if not _IS_INHERITED:
            with contextlib.suppress(OSError):  # on a connection that is gone already, as the first read will tell
                _set_options(request, limits)
        request.max_message = limits.max_message
        request.stop = self._stop
        request.neighbours = self._neighbours
        if plan.tls is not None:
            request.handshake(plan.tls, limits.handshake_timeout)
        plan.handler(request, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """End a conversation that an exception ended: the peer's fault is one line in the log, ours a traceback."""
        error = sys.exception()
        peer = {"peer": request.peer}
        farewell = str(error)
        match error:
            case PeerClosed():
                return
            case Stopping():
                farewell = "the server is stopping"
            case HandshakeFailed():
                LOG.warning("%s", error, extra=peer)
                return
            case ConnectionLost():
                LOG.info("connection lost: %s", error, extra=peer)
                return
            case ProtocolError():
                LOG.warning("protocol error: %s", error, extra=peer)
            case DeadlineExceeded() | SessionEnded():
                LOG.info("%s", error, extra=peer)
            case StoreUnavailable():
                LOG.error("%s", error, extra=peer)
                farewell = "temporarily unavailable, try again later"
            case _:
                LOG.exception("a handler failed", extra=peer)
                farewell = "internal error"
        request.timeouts = Timeouts(send=_LINGER)  # whoever has not read so far is not waited for again
        with contextlib.suppress(ConnectionEnded, ProtocolError):
            request.send_message(compose(Kind.ERROR, farewell))

    def shutdown_request(self, request: Any) -> None:
        """End a connection so that the peer reads the last message; the library's shutdown() would drop TLS."""
        request.finish(_LINGER)

    # In the service's thread.

    def close_listener(self) -> None:
        """Refuse connections from now on."""
        # On Linux this wakes all who wait in accept() at once; elsewhere they notice within two seconds. What others
        # accept on, too, is not this server's to shut.
        if not self._is_alone:
            return
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def stop_listening(self) -> None:
        """End `serve_forever`, which must run in another thread."""
        self.close_listener()
        self.shutdown()
        self.socket.close()

    def drain(self, timeout: float) -> int:
        """Have every connection finish what it is doing; how many had to be cut after `timeout` seconds."""
        self._stop.set()
        self.connections.wake()
        if self.connections.wait_until_none(timeout):
            return 0
        return self.connections.cut()

    def server_close(self) -> None:
        super().server_close()
        self._refusals.close()
        self._exhausted.report(at_once=True)
        self._stop.close()


def _set_options(connection: socket.socket, limits: Limits) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # By these names on Linux; elsewhere the system's own times stay, where it has not all of them.
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    if option := getattr(socket, "TCP_NOTSENT_LOWAT", None):
        connection.setsockopt(socket.IPPROTO_TCP, option, _MOST_UNSENT)
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):
        # Also bounds how long a peer may keep its window shut, which is the send timeout's business.
        milliseconds = math.ceil(max(_UNACKNOWLEDGED, limits.send_timeout) * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, option, min(milliseconds, 2**31 - 1))
