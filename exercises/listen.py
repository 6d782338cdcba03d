"""Task 6: listen on a port or, if it is taken, on the next free one.

Which errors does the next port cure, and which not? What comes after the last port?
"""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raise OSError if there is no such port, and at once if no other port can help."""
    return socket.create_server((host, port))
