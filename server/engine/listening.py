"""The listening socket: on the configured port, or the next free one. It does not know how it is used."""

import errno
import logging
import socket

from common.errors import Unavailable

LOG = logging.getLogger("porter.server")
_BACKLOG = 4096  # connections that the kernel keeps until they are accepted; further clients retry after a second


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `port`, or on the next free port if that one is taken; 0 means any free port.

    Raise Unavailable if there is no such host, or if it has no free port that may be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be the name of a host
        reason = getattr(error, "strerror", None) or error
        raise Unavailable("there is no host {host}: {reason}", host=host, reason=reason) from error
    for candidate in range(port, 65536 if port else 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            # SO_REUSEADDR: a restart must not wait for old connections in TIME_WAIT. Not SO_REUSEPORT: a second
            # server must find the port taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(address[0]), candidate))
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            # With SO_REUSEADDR two servers can bind one port; then listen() fails in the second one, with the same
            # error number as bind().
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(
                    "cannot listen on {host}, port {port}: {reason}", host=host, port=candidate, reason=error.strerror
                ) from error
            LOG.warning("port %d is taken, trying the next one", candidate)
    raise Unavailable("no port from {port} to 65535 is free on {host}", port=port, host=host)
