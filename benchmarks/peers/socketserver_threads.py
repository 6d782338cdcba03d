"""socketserver in its usual form: one thread for each connection, one read for the header and one for the body."""

import socketserver
import struct
import sys

HEADER = struct.Struct("!I")


class Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while header := self.rfile.read(HEADER.size):
            (length,) = HEADER.unpack(header)
            text = self.rfile.read(length).decode()
            body = text.encode()
            self.wfile.write(HEADER.pack(len(body)) + body)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Echo)
    print(f"Listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
