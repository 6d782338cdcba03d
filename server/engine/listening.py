"""The listening socket: on the port that is asked for, or the next free one. Who accepts on it is not known here."""

import errno
import logging
import socket

from common.errors import Unavailable

LOG = logging.getLogger("porter.server")
_BACKLOG = (
    4096  # connections the kernel keeps until they are accepted; beyond, who connects tries again after a second
)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `port`, or, where that is taken, on the next free one; raises Unavailable."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # the latter for what can be no name of a host
        raise Unavailable(f"there is no host {host}: {getattr(error, 'strerror', None) or error}") from error
    for candidate in range(port, 65536 if port else 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            # A restart must not wait for the TIME_WAIT of the connections before. Not SO_REUSEPORT: a second
            # server must find the port taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(address[0]), candidate))
            listener.listen(_BACKLOG)
            return listener
        except OSError as error:
            listener.close()
            # Two servers can bind one port with SO_REUSEADDR; the second fails when it listens. Both say this.
            if error.errno != errno.EADDRINUSE:
                raise Unavailable(f"cannot listen on {host}, port {candidate}: {error.strerror}") from error
            LOG.warning("port %d is taken", candidate)
    raise Unavailable(f"no port from {port} to 65535 is free on {host}")
