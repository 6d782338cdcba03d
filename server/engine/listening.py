"""The listening socket: on the configured port, or the next free one, and its turns. It knows no connections."""

import contextlib
import errno
import ipaddress
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from common.addresses import canonical, format_endpoint, is_local
from common.errors import Unavailable
from server.engine.leader import Leader
from server.engine.polling import READ
from server.settings import Limits

LOG = logging.getLogger("porter.server")
_BACKLOG = 4096  # connections that the kernel keeps until they are accepted; further clients retry after a second
_SHORTEST_USER_TIMEOUT = 30.0
_MOST_ACCEPTED = 16  # connections in one turn
_FOR_OTHERS = 0.001  # seconds
# A peer that vanishes without a FIN is found in 70 seconds; by default Linux takes two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
_MOST_UNSENT = 131_072  # bytes that the kernel keeps for a client that does not read; the default may be megabytes
# Addresses for documentation (RFC 5737, RFC 3849): they belong to nobody, and the way to them is the way out.
_OUTSIDE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def listen(host: str, port: int, taken: str = "next") -> socket.socket:
    """Return a socket that listens on `port`; 0 means any free port.

    If that one is taken, `taken` decides: "next" means the next free one, "fail" means none. Of the addresses of a
    name, the first one that can be listened on is used. Raise Unavailable if there is no such host, or if it has no
    free port that may be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be the name of a host
        reason = getattr(error, "strerror", None) or error
        raise Unavailable("there is no host {host}: {reason}", host=host, reason=reason) from error
    failures = []
    for family, _, _, _, address in found:
        try:
            return _listen(host, family, address, 65536 if port and taken == "next" else port + 1)
        except Unavailable as error:
            failures.append(error)
    raise failures[0]


def _listen(host: str, family: int, address: tuple[Any, ...], end: int) -> socket.socket:
    """Listen on `address`, which getaddrinfo() has found for `host`, or with the next free port in it below `end`."""
    name, port, *scope = address  # an address of IPv6 has more parts: it may be that of one network interface only
    for candidate in range(port, end):
        try:
            return _bind(family, (name, candidate, *scope))
        except OSError as error:
            # With SO_REUSEADDR two servers can bind one port; then listen() fails in the second one, with the same
            # error number as bind().
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(
                    "cannot listen on {host}, port {port}: {reason}", host=host, port=candidate, reason=error.strerror
                ) from error
            if candidate + 1 < end:
                LOG.warning("port %d is taken, trying the next one", candidate)
    if end == port + 1:
        raise Unavailable("port {port} is taken on {host}", port=port, host=host)
    raise Unavailable("no port from {port} to 65535 is free on {host}", port=port, host=host)


def _bind(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # SO_REUSEADDR: a restart must not wait for old connections in TIME_WAIT. Not SO_REUSEPORT: a second
        # server must find the port taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" means all addresses, also where the system keeps IPv6 to itself (net.ipv6.bindv6only).
            with contextlib.suppress(OSError):  # OpenBSD always keeps it to itself
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def endpoint(listener: socket.socket) -> str:
    """Return the address and port that a socket listens on, with the interface if the address is only valid there."""
    host, port, *scope = listener.getsockname()
    interface = f"%{socket.if_indextoname(scope[1])}" if scope and scope[1] else ""
    return format_endpoint(f"{host}{interface}", port)


def reachable_at(listener: socket.socket) -> list[str]:
    """Return addresses with which other machines reach a socket that listens on all addresses.

    For any other socket the list is empty, and if this machine has no way out.
    """
    host, port, *_ = listener.getsockname()
    if not ipaddress.ip_address(canonical(host)).is_unspecified:
        return []
    families = [socket.AF_INET] if listener.family == socket.AF_INET else [socket.AF_INET, socket.AF_INET6]
    found = [_outward_address(family) for family in families]
    return [format_endpoint(address, port) for address in found if address is not None]


def _outward_address(family: socket.AddressFamily) -> str | None:
    """Return the address of this machine on its way out, or None if it has none. Nothing is sent to find it."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_OUTSIDE[family], 9))
            address: str = probe.getsockname()[0]
    except OSError:
        return None
    return None if is_local(address) else address


def set_options(connection: socket.socket, limits: Limits) -> None:
    """Set the options of a connection, or of a listener whose connections have them, too."""
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


class Listener:
    """The listening socket as a participant: its turn accepts."""

    def __init__(self, listener: socket.socket, leader: Leader, accept: Callable[[], bool]) -> None:
        """`accept` accepts one connection, and returns False if there is none."""
        self.fd = listener.fileno()
        self.events = READ
        self.deadline = math.inf
        self.is_slow = False
        self._socket = listener
        self._leader = leader
        self._accept = accept
        self._lock = threading.Lock()
        self._is_closed = False
        self._left_until = 0.0

    def turn(self) -> bool:
        """Accept some connections. What a turn has accepted is admitted when `close` returns."""
        with self._lock:
            if self._is_closed:
                return False
            if time.monotonic() < self._left_until:
                return True
            if not self.events:
                self._listen(READ, math.inf)
            for _ in range(_MOST_ACCEPTED):
                if not self._accept():
                    break
        return True

    def was_handed_on(self) -> None:
        """Do nothing: the turn goes on."""

    def pause(self, seconds: float) -> None:
        """Accept nothing for a while; for a turn."""
        self._listen(0, time.monotonic() + seconds)

    def leave_to_others(self) -> None:
        """Leave what waits to other processes for a millisecond; the leader looks again and again meanwhile."""
        self._left_until = time.monotonic() + _FOR_OTHERS

    def close(self) -> None:
        """Accept no more, and close the socket."""
        with self._lock:
            self._is_closed = True
            self._leader.take(self)
            self._socket.close()

    def _listen(self, events: int, deadline: float) -> None:
        self.events, self.deadline = events, deadline
        self._leader.heed(self)
        self._leader.look_by(deadline)
