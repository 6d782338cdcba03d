"""The listening socket: on the configured port, or the next free one. It does not know how it is used."""

import contextlib
import errno
import ipaddress
import logging
import socket
from typing import Any

from common.addresses import canonical, format_endpoint, is_local
from common.errors import Unavailable

LOG = logging.getLogger("porter.server")
_BACKLOG = 4096  # connections that the kernel keeps until they are accepted; further clients retry after a second
# Addresses for documentation (RFC 5737, RFC 3849): they belong to nobody, and the way to them is the way out.
_OUTSIDE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `port`, or on the next free port if that one is taken; 0 means any free port.

    Of the addresses of a name, the first one that can be listened on is used. Raise Unavailable if there is no such
    host, or if it has no free port that may be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be the name of a host
        reason = getattr(error, "strerror", None) or error
        raise Unavailable("there is no host {host}: {reason}", host=host, reason=reason) from error
    failures = []
    for family, _, _, _, address in found:
        try:
            return _listen(host, family, address)
        except Unavailable as error:
            failures.append(error)
    raise failures[0]


def _listen(host: str, family: int, address: tuple[Any, ...]) -> socket.socket:
    """Listen on `address`, which getaddrinfo() has found for `host`, or with the next free port in it."""
    name, port, *scope = address  # an address of IPv6 has more parts: it may be that of one network interface only
    for candidate in range(port, 65536 if port else 1):
        try:
            return _bind(family, (name, candidate, *scope))
        except OSError as error:
            # With SO_REUSEADDR two servers can bind one port; then listen() fails in the second one, with the same
            # error number as bind().
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(
                    "cannot listen on {host}, port {port}: {reason}", host=host, port=candidate, reason=error.strerror
                ) from error
            LOG.warning("port %d is taken, trying the next one", candidate)
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
