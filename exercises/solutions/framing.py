"""The length counts bytes, so the text is encoded first. Reading goes on until all bytes are there, and takes
none that belong to the next message. UnicodeDecodeError is a ValueError.
"""

import socket

HEADER = 4


def send(connection: socket.socket, text: str) -> None:
    body = text.encode()
    connection.sendall(len(body).to_bytes(HEADER, "big") + body)


def receive(connection: socket.socket, longest: int = 65536) -> str | None:
    """Return the next message, or None if the other side has ended.

    Raise ConnectionError if it ends in the middle of a message, and ValueError, before the text has come, if that is
    longer than `longest` bytes, or afterwards if it is no UTF-8.
    """
    first = connection.recv(1)
    if not first:
        return None
    length = int.from_bytes(first + _exactly(connection, HEADER - 1), "big")
    if length > longest:
        raise ValueError(f"a message of {length} bytes is longer than {longest}")
    return _exactly(connection, length).decode()


def _exactly(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(size - len(pieces))
        if not piece:
            raise ConnectionError("the connection ended in the middle of a message")
        pieces += piece
    return bytes(pieces)
