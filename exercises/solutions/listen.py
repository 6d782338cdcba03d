"""Only EADDRINUSE is cured by another port. Any other error would come again, 50,000 times."""

import errno
import socket


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raise OSError if there is no such port, and at once if no other port can help."""
    while True:
        try:
            return socket.create_server((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port >= 65535:
                raise
            port += 1
