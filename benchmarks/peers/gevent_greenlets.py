"""gevent: one greenlet for each connection, written in the same way as for threads."""

import socket
import struct
import sys
from typing import Any

from gevent.server import StreamServer

HEADER = struct.Struct("!I")


def echo(connection: Any, _: object) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as reader:
        try:
            while header := reader.read(HEADER.size):
                (length,) = HEADER.unpack(header)
                text = reader.read(length).decode()
                body = text.encode()
                connection.sendall(HEADER.pack(len(body)) + body)
        except ConnectionError:
            pass


if __name__ == "__main__":
    server = StreamServer(("127.0.0.1", int(sys.argv[1])), echo, backlog=512)
    server.start()
    print(f"Listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
