"""The listening socket. test_service.py also tests taken ports and unknown hosts."""

import socket

from common.errors import Unavailable
from server.engine.listening import listen
from tests.support import PorterTestCase


class Listening(PorterTestCase):
    def test_listen_takes_the_port_or_the_next_free_one(self) -> None:
        with listen("127.0.0.1", 0) as first:
            port = first.getsockname()[1]
            with self.assertLogs("porter.server", "WARNING") as logged, listen("127.0.0.1", port) as second:
                self.assertGreater(second.getsockname()[1], port)
            self.assertIn(f"port {port} is taken", logged.output[0])
            with socket.create_connection(("127.0.0.1", port)):
                first.accept()[0].close()

    def test_another_process_cannot_share_the_port(self) -> None:
        with listen("127.0.0.1", 0) as first, socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.assertRaises(OSError, other.bind, first.getsockname())

    def test_an_unknown_host_is_unavailable(self) -> None:
        with self.assertRaisesRegex(Unavailable, "there is no host"):
            listen("a..b", 0)
