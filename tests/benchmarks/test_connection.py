"""A connection that never blocks: it keeps the bytes that the kernel does not take."""

from benchmarks.connection import Connection
from benchmarks.work import Work
from common.wire.framing import encode
from common.wire.tls import client_context
from tests.support import PATIENCE, PorterTestCase, wait_until


class Connections(PorterTestCase):
    def test_bytes_that_the_kernel_does_not_take_are_sent_later(self) -> None:
        with self.server("echo", limits={"send_timeout": PATIENCE}) as server:
            connection = Connection(Work("127.0.0.1", server.port), None)
            self.addCleanup(connection.close)
            self.assertTrue(connection.is_agreed())
            self.assertIsNone(connection.receive())
            expected = encode("x" * 60_000) * 200
            connection.send(expected)
            self.assertTrue(connection.wants_to_send)
            received = 0

            def has_all() -> bool:
                nonlocal received
                connection.send(b"")
                while data := connection.receive():
                    received += len(data)
                return received == len(expected)

            wait_until(has_all, "all of the echo")
            self.assertFalse(connection.wants_to_send)


class SecureConnections(PorterTestCase):
    tls = True

    def test_a_full_server_has_an_error_of_its_own(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            server.connect()
            connection = Connection(Work("127.0.0.1", server.port, tls=True), client_context())
            self.addCleanup(connection.close)
            with self.assertRaisesRegex(ConnectionResetError, "does it allow so many|reset by peer"):
                wait_until(connection.is_agreed, "TLS")

    def test_the_tls_handshake_is_done_step_by_step_and_leaves_nothing_unread(self) -> None:
        with self.server("echo") as server:
            connection = Connection(Work("127.0.0.1", server.port, tls=True), client_context())
            self.addCleanup(connection.close)
            wait_until(connection.is_agreed, "TLS")
            self.assertTrue(connection.is_agreed())
            self.assertFalse(connection.has_more())
            connection.send(encode("hello"))
            answer = b""

            def has_come() -> bool:
                nonlocal answer
                answer += connection.receive() or b""
                return answer == encode("hello")

            wait_until(has_come, "the echo")
