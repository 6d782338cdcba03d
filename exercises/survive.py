"""Task 3: a client that breaks off must not end the server.

`serve` gives each client its bytes back, one client after the other, and ends after the bytes `stop`.
"""

import socket


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        while data := connection.recv(4096):
            if data == b"stop":
                return
            connection.sendall(data)
        connection.close()
