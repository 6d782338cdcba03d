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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from common.journal import Journal
from common.kinds import Kind, compose
from common.sockets import MessageMixin, MessageSocket, Timeouts
from common.stopflag import StopFlag
from common.tls import SecureMessageSocket
from server.addresses import show, source
from server.connections import Connections
from server.refusals import Refusals, SparingLog
from server.settings import Limits
from server.threads import ThreadSet

LOG = logging.getLogger("porter.server")
_LINGER = 2.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_WHEN_EXHAUSTED = 0.1
# A peer that is gone without a word is found in 70 seconds; by default Linux takes two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
_UNACKNOWLEDGED = 30.0


@dataclass(frozen=True)
class Plan:
    """What a new connection gets; a reload puts another plan in its place, and open connections keep theirs."""

    handler: Callable[[Any, Any, Any], Any]
    limits: Limits
    tls: ssl.SSLContext | None


class Server(socketserver.ThreadingTCPServer):
    """Listens on `host`:`port` as soon as it is made; raises OSError if it cannot."""

    allow_reuse_address = True  # a restart must not wait for the TIME_WAIT of the connections before
    request_queue_size = 512  # connections the kernel keeps until they are accepted; the library's 5 refuses bursts
    daemon_threads = True
    block_on_close = False

    def __init__(self, family: socket.AddressFamily, host: str, port: int, plan: Plan) -> None:
        self.address_family = family
        self.plan = plan
        self.connections = Connections()
        self._stop = StopFlag()
        self._workers = ThreadSet("connection")
        self._refusals = Refusals(self._workers)
        self._exhausted = SparingLog(logging.ERROR, lines=1)
        super().__init__((host, port), plan.handler)

    def server_activate(self) -> None:
        super().server_activate()
        # A client that is gone again when accept() is called must not make the accepting thread wait.
        self.socket.setblocking(False)

    # In the accepting thread. An exception in one of these would end the accept loop, so none leaves them but
    # get_request's OSError, which the library expects.

    def get_request(self) -> tuple[MessageMixin, Any]:
        try:
            connection, address = self.socket.accept()
        except MemoryError as error:
            raise OSError from error
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhausted.log(f"cannot accept connections: {error.strerror}")
                # The connection stays in the backlog and the listener readable: without a pause this would spin.
                self._stop.wait(_PAUSE_WHEN_EXHAUSTED)
            raise
        try:
            return self._adopt(connection), address
        except Exception as error:
            connection.close()
            if not isinstance(error, OSError):
                LOG.exception("a connection could not be taken over", extra={"peer": show(address)})
            else:  # TLS needs a peer, and this one was gone before accept()
                LOG.info("connection lost: %s", error.strerror or error, extra={"peer": show(address)})
            raise OSError from error

    def _adopt(self, connection: socket.socket) -> MessageMixin:
        plan = self.plan  # once: between two looks a reload may put another there, with TLS or without
        request: MessageMixin
        if plan.tls is None:
            request = MessageSocket.adopt(connection)
        else:
            request = SecureMessageSocket.wrap(connection, plan.tls, server_side=True)
        request.plan = plan
        return request

    def verify_request(self, request: Any, client_address: Any) -> bool:
        try:
            self.connections.admit(request, source(client_address[0]), request.plan.limits)
        except ConnectionRefused as refusal:
            self._refusals.refuse(request, show(client_address), refusal)
            return False
        except Exception:
            LOG.exception("a connection could not be admitted", extra={"peer": str(client_address)})
            request.close()  # or the library, which ends what was not admitted, would linger
            return False
        return True

    def service_actions(self) -> None:
        """Called by the accept loop at least every half second."""
        self._refusals.service_actions()
        self._exhausted.report()

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            self._workers.run(self.process_request_thread, request, client_address)
        except (RuntimeError, MemoryError) as error:  # the limit of threads, or of what they need
            self.connections.remove(request)
            refusal = ConnectionRefused(f"the server is full: {error or 'no memory'}")
            self._refusals.refuse(request, show(client_address), refusal)

    # In the connection's own thread.

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and see it to its end; the last act frees its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            LOG.info("client disconnected", extra={"peer": show(client_address)})
            self.connections.remove(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection from its handshake to the end of its conversation."""
        plan: Plan = request.plan
        limits = plan.limits
        log = logging.LoggerAdapter(LOG, {"peer": show(client_address)})
        log.info("client connected")
        with contextlib.suppress(OSError):  # on a connection that is gone already, as the first read will tell
            _set_options(request, limits)
        request.timeouts = Timeouts(limits.idle_timeout, limits.message_timeout, limits.send_timeout)
        request.max_message = limits.max_message
        request.stop = self._stop
        if isinstance(request, SecureMessageSocket):
            request.handshake(limits.handshake_timeout)
        request.journal = Journal(log)
        plan.handler(request, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """End a conversation that an exception ended: the peer's fault is one line in the log, ours a traceback."""
        error = sys.exception()
        peer = {"peer": show(client_address)}
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
        # On Linux this wakes the accept loop at once; elsewhere it notices within half a second.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def stop_listening(self) -> None:
        """End the accept loop, which must run in another thread."""
        self.close_listener()
        self.shutdown()
        self.socket.close()

    def drain(self, timeout: float) -> int:
        """Have every connection finish what it is doing; how many had to be cut after `timeout` seconds."""
        self._stop.set()
        if self.connections.wait_until_none(timeout):
            return 0
        return self.connections.cut()

    def server_close(self) -> None:
        super().server_close()
        self._refusals.close()
        self._exhausted.report(at_once=True)
        self._workers.close()
        self._stop.close()


def _set_options(connection: socket.socket, limits: Limits) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # By these names on Linux; elsewhere the system's own times stay, where it has not all of them.
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):
        # Also bounds how long a peer may keep its window shut, which is the send timeout's business.
        milliseconds = math.ceil(max(_UNACKNOWLEDGED, limits.send_timeout) * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, option, min(milliseconds, 2**31 - 1))
