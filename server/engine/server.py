"""The server itself: accepts a connection, admits it, serves it in a thread, and ends it.

The handler decides what is said on a connection; the service decides when to start, reload and stop.
The server overrides the hooks of socketserver and uses none of its private names.
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

from common.addresses import format_peer, source
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
from common.log.logs import Events
from common.wire.journal import Digest, Journal
from common.wire.kinds import Kind, compose
from common.wire.sockets import MessageSocket
from common.wire.stopflag import StopFlag
from common.wire.tls import SecureMessageSocket
from common.wire.waiting import Neighbours, Timeouts, timeval
from server.engine.admission import Connections, Slots
from server.engine.memory import Memory
from server.engine.refusals import Refusals, SparingLog
from server.engine.threads import AcceptingThreads
from server.settings import Limits

LOG = logging.getLogger("porter.server")
# In seconds.
_LINGER = 2.0
_PAUSE_WHEN_EXHAUSTED = 0.1
_LONGEST_ACCEPT = 2.0
_SWITCH_PER_PAIR = 1e-7
_LONGEST_SWITCH_INTERVAL = 2.0
_SHORTEST_USER_TIMEOUT = 30.0
# A peer that vanishes without a FIN is found in 70 seconds; by default Linux takes two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_INHERITS_OPTIONS = sys.platform == "linux"  # whether an accepted socket has the options of its listener
_MOST_UNSENT = 131_072  # bytes that the kernel keeps for a client that does not read; the default may be megabytes

_Accepted = tuple[MessageSocket, Any, ConnectionRefused | None]  # a socket, the peer's address, why it is refused


@dataclass(frozen=True)
class Plan:
    """What a new connection gets. A reload gives the server another plan; open connections keep the old one."""

    handler: Callable[[Any, Any, Any], Any]
    limits: Limits
    tls: ssl.SSLContext | None

    @cached_property
    def timeouts(self) -> Timeouts:
        return Timeouts(self.limits.idle_timeout, self.limits.message_timeout, self.limits.send_timeout)


class Server(socketserver.ThreadingTCPServer):
    """Serves the clients that connect to `listener`, while `serve_forever` runs."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, plan: Plan, slots: Slots | None = None) -> None:
        """Take over `listener`.

        `slots` are only given if other processes accept on the same socket: all of them count connections together.
        """
        self.address_family = listener.family
        self.plan = plan
        self.connections = Connections(slots)
        self._owns_listener = slots is None
        self._stop = StopFlag()
        self._neighbours = Neighbours()
        self._accepting = AcceptingThreads(self._accept, self._serve, self._refuse)
        self._refusals = Refusals()
        self._exhaustion_log = SparingLog(logging.ERROR, lines=1)
        self._store_log = SparingLog(logging.ERROR, lines=1)
        self._digest = Digest()
        self._events = Events(LOG)
        self._memory = Memory()
        self._is_shut_down = threading.Event()
        super().__init__(listener.getsockname(), plan.handler, bind_and_activate=False)
        self.socket.close()  # the socket that the library has made
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_activate()

    def server_activate(self) -> None:
        # The socket listens already; only its options are set.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(_LONGEST_ACCEPT))
        _set_options(self.socket, self.plan.limits)

    def take_plan(self, plan: Plan) -> None:
        """Serve new connections by another plan."""
        with contextlib.suppress(OSError):  # the listener is closed if a stop has overtaken the reload
            _set_options(self.socket, plan.limits)
        self.plan = plan

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept and serve connections until `shutdown`, and do the housekeeping each `poll_interval` seconds."""
        while True:
            try:
                self.service_actions()
                self._accepting.heal()
            except (RuntimeError, MemoryError) as error:
                self._exhaustion_log.log(f"cannot accept connections: {str(error) or 'no memory'}")
            except Exception:  # this thread must survive any failure of one round
                LOG.exception("a round of housekeeping failed")
            if self._is_shut_down.wait(poll_interval):
                return

    def shutdown(self) -> None:
        """Accept no more connections. Return when no thread waits for one, after three seconds at most."""
        self._is_shut_down.set()
        self._accepting.close(_LONGEST_ACCEPT + 1)

    # The following methods run in the connection's own thread.

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
        refusal = refusal or ConnectionRefused("the server is full: {shortage}", shortage=shortage)
        self._refusals.refuse(request, request.peer, refusal, linger=False)
        self.connections.remove(request)

    def get_request(self) -> tuple[MessageSocket, Any]:
        try:
            connection, address = self.socket.accept()
        except MemoryError as error:
            raise OSError from error
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhaustion_log.log(f"cannot accept connections: {error.strerror}")
                # The connection stays in the backlog, so that accept() fails again at once: do not spin.
                self._stop.wait(_PAUSE_WHEN_EXHAUSTED)
            raise
        try:
            return self._adopt(connection, address), address
        except Exception as error:
            connection.close()
            LOG.exception("a connection could not be taken over", extra={"peer": format_peer(address)})
            raise OSError from error

    def _adopt(self, connection: socket.socket, address: Any) -> MessageSocket:
        plan = self.plan  # read once: at any moment a reload may put another plan here, with TLS or without
        request = (MessageSocket if plan.tls is None else SecureMessageSocket).adopt(connection)
        request.plan = plan
        request.peer = format_peer(address)
        request.timeouts = plan.timeouts
        return request

    def service_actions(self) -> None:
        """Do the housekeeping, in the thread of `serve_forever`."""
        self._refusals.service_actions()
        self._exhaustion_log.report()
        self._store_log.report()
        self._digest.report()
        self._memory.heed(self.connections.served, len(self.connections))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection until its end. The last step frees its slot."""
        request.journal = journal = Journal(self._events.log, request.peer, self._digest)
        request.is_followed = True
        journal.log("client connected")
        try:
            super().process_request_thread(request, client_address)
        finally:
            journal.log("client disconnected")
            self.connections.remove(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake and run the handler, which talks until the end of the conversation."""
        plan: Plan = request.plan
        limits = plan.limits
        if not _INHERITS_OPTIONS:
            with contextlib.suppress(OSError):  # the connection may be gone already: the first read reports it
                _set_options(request, limits)
        request.max_message = limits.max_message
        request.stop = self._stop
        request.neighbours = self._neighbours
        if plan.tls is not None:
            request.handshake(plan.tls, limits.handshake_timeout)
        plan.handler(request, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the exception that ended a conversation, and send a farewell.

        A fault of the peer is one line in the log, a fault of the server is a traceback.
        """
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
            case DeadlineExceeded():
                LOG.info("%s", error, extra=peer)
            case SessionEnded():
                LOG.info("%s", error.reason, extra=peer)
            case StoreUnavailable():
                self._store_log.log(str(error), request.peer)
                farewell = "temporarily unavailable, try again later"
            case _:
                LOG.exception("a handler failed", extra=peer)
                farewell = "internal error"
        request.timeouts = Timeouts(send=_LINGER)  # not send_timeout: this client may not read at all
        with contextlib.suppress(ConnectionEnded, ProtocolError):
            request.send_message(compose(Kind.ERROR, farewell))

    def shutdown_request(self, request: Any) -> None:
        """Close a connection so that the peer can read the last message; the library's method would drop TLS."""
        request.finish(_LINGER)

    # The following methods run in the service's thread.

    def close_listener(self) -> None:
        """Refuse connections from now on."""
        # On Linux this wakes all threads in accept() at once; elsewhere they notice within two seconds. A listener on
        # which other processes accept, too, must stay open.
        if not self._owns_listener:
            return
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def stop_listening(self) -> None:
        """Close the listener and end `serve_forever`, which must run in another thread."""
        self.close_listener()
        self.shutdown()
        self.socket.close()

    def drain(self, timeout: float) -> int:
        """Let every connection finish its work. Return how many had to be cut after `timeout` seconds."""
        # Each thread that waits for the interpreter's lock wakes up once in each switch interval to ask for it. If
        # thousands of threads end at once, that is all the work that is done for half a minute (9,500 connections:
        # 50 s, now 0.7 s). So the interval is longer here, and only here: while clients talk, a long interval would
        # let one handler that computes hold up all others.
        interval = sys.getswitchinterval()
        longer = len(self.connections) ** 2 * _SWITCH_PER_PAIR
        sys.setswitchinterval(min(max(interval, longer), _LONGEST_SWITCH_INTERVAL))
        try:
            self._stop.set()
            self.connections.wake()
            if self.connections.wait_until_none(timeout):
                return 0
            return self.connections.cut()
        finally:
            sys.setswitchinterval(interval)

    def server_close(self) -> None:
        super().server_close()
        self._refusals.close()
        self._exhaustion_log.report(at_once=True)
        self._store_log.report(at_once=True)
        self._stop.close()


def _set_options(connection: socket.socket, limits: Limits) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Linux has all these options. Where a system lacks one, the system's own time stays.
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    if option := getattr(socket, "TCP_NOTSENT_LOWAT", None):
        connection.setsockopt(socket.IPPROTO_TCP, option, _MOST_UNSENT)
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):
        # This also limits how long a peer may keep its receive window closed, so it must not be below send_timeout.
        milliseconds = math.ceil(max(_SHORTEST_USER_TIMEOUT, limits.send_timeout) * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, option, min(milliseconds, 2**31 - 1))
