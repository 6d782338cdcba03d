"""What one client does ends that client only, and whatever happens, `with` closes its connection."""

import socket


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                while data := connection.recv(4096):
                    if data == b"stop":
                        return
                    connection.sendall(data)
            except ConnectionError:
                pass  # it has gone; the next one is served
