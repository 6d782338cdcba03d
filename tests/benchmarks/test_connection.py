"""A connection that never blocks: what the kernel does not take is kept, what has not come is nothing."""

from benchmarks.connection import Connection
from benchmarks.work import Work
from common.wire.framing import encode
from common.wire.tls import client_context
from tests.support import PATIENCE, PorterTestCase, wait_until


class Connections(PorterTestCase):
    def test_it_sends_what_the_kernel_takes_and_the_rest_later(self) -> None:
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

    def test_a_server_that_lets_nobody_in_is_told_from_other_failures(self) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            server.connect()
            connection = Connection(Work("127.0.0.1", server.port, tls=True), client_context())
            self.addCleanup(connection.close)
            with self.assertRaisesRegex(ConnectionResetError, "does it allow so many|reset by peer"):
                wait_until(connection.is_agreed, "TLS")

    def test_it_agrees_on_tls_step_by_step_and_tells_what_poll_does_not_see(self) -> None:
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
