"""Real ports, taken by real sockets."""

import contextlib
import errno
import socket
import unittest
from unittest import mock

from exercises import tried


class Listen(unittest.TestCase):
    def test_taken_ports_are_left_out(self) -> None:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with contextlib.suppress(OSError):  # it may be taken already, which is as good
                stack.enter_context(socket.create_server(("127.0.0.1", first + 1)))
            found = stack.enter_context(tried("listen").listen("127.0.0.1", first))
            port = found.getsockname()[1]
            self.assertGreater(port, first + 1)
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))

    def test_an_address_of_another_machine_is_an_error_at_once(self) -> None:
        tries = []
        bind = socket.socket.bind

        def counted(self: socket.socket, address: tuple[str, int]) -> None:
            tries.append(address)
            bind(self, address)

        with mock.patch.object(socket.socket, "bind", counted), self.assertRaises(OSError) as caught:
            tried("listen").listen("192.0.2.1", 9090)
        self.assertEqual((errno.EADDRNOTAVAIL, 1), (caught.exception.errno, len(tries)))

    def test_the_last_port_has_none_after_it(self) -> None:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", 65535)))
            with self.assertRaises(OSError):
                stack.enter_context(tried("listen").listen("127.0.0.1", 65535))
