"""Each deadline and limit of the configuration, in a server process: the right connections end, and in time."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from common.errors import ConnectionLost
from common.wire.framing import encode
from common.wire.kinds import Kind
from common.wire.sockets import MessageSocket
from tests.support import PATIENCE, PorterTestCase, ServerProcess, at_once, scaled, send_bytes, wait_until

SOON = scaled(1.0)  # the deadline in each test; a client that is in time must meet it on a busy machine, too
LATE = scaled(3.0)  # the delay that a busy machine may add


class Behaviour:
    def begin(self: Any, mode: str = "echo", **limits: float) -> ServerProcess:
        self.server_process = self.start_process(mode, limits=limits)
        return self.server_process

    def drip(self: Any, client: MessageSocket, message: bytes) -> None:
        """Send a byte every few milliseconds until the server closes the connection."""
        pause = threading.Event()
        try:
            for byte in message:
                send_bytes(client, bytes([byte]))
                pause.wait(scaled(0.01))
        except ConnectionLost:
            pass

    def assert_ends_in_time(
        self: Any, client: MessageSocket, wanted: str, do: Callable[[], object] = lambda: None, since: float = 0
    ) -> None:
        """Assert that the server says `ERROR wanted` and closes, SOON after `since` (or now) and not before."""
        start = since or time.monotonic()
        do()
        self.assertEqual(f"ERROR {wanted}", client.receive_message())
        self.assertIsNone(client.receive_message())
        took = time.monotonic() - start
        self.assertTrue(SOON * 0.9 <= took <= SOON + LATE, took)
        self.server_process.wait_for_log(wanted)

    def test_a_login_that_is_not_complete_in_time_is_ended(self: Any) -> None:
        server = self.begin("auth", login_timeout=SOON, message_timeout=60)
        late = f"the login was not complete after {SOON:g} seconds"
        start = time.monotonic()
        client = server.talk()
        client.give_token()
        client.expect(Kind.ASK)
        self.assert_ends_in_time(client.connection, late, since=start)
        start = time.monotonic()
        dripping = server.talk()
        dripping.give_token()
        dripping.expect(Kind.ASK)
        self.assert_ends_in_time(
            dripping.connection, late, lambda: self.drip(dripping.connection, encode("x" * 200)[:200]), start
        )

    def test_a_message_sent_too_slowly_is_ended_in_time(self: Any) -> None:
        server = self.begin("echo", message_timeout=SOON)
        client = server.connect()
        client.send_message("first")
        client.receive_message()
        self.assert_ends_in_time(
            client,
            f"a message was not complete after {SOON:g} seconds",
            lambda: self.drip(client, encode("x" * 200)[:200]),
        )

    def test_a_message_sent_too_slowly_after_the_login_is_ended_in_time(self: Any) -> None:
        server = self.begin("auth", message_timeout=SOON)
        client = server.talk()
        client.register("Alice")
        self.assert_ends_in_time(
            client.connection,
            f"a message was not complete after {SOON:g} seconds",
            lambda: self.drip(client.connection, encode("x" * 200)[:200]),
        )

    def test_an_idle_client_is_ended_and_a_talking_one_is_not(self: Any) -> None:
        server = self.begin("echo", idle_timeout=SOON)
        talking, idle = server.connect(), server.connect()
        idle.send_message("hello")
        idle.receive_message()
        start, said = time.monotonic(), 0
        while time.monotonic() - start < 3 * SOON:
            talking.send_message(str(said))
            self.assertEqual(str(said), talking.receive_message())
            said += 1
        self.assertEqual(f"ERROR no message came for {SOON:g} seconds", idle.receive_message())
        self.assertIsNone(idle.receive_message())

    def test_a_client_that_never_reads_is_ended_and_others_are_served(self: Any) -> None:
        server = self.begin("echo", send_timeout=SOON)
        not_reading = server.connect()
        flood = encode("x" * 60_000)
        start = time.monotonic()
        try:
            while True:
                send_bytes(not_reading, flood)
        except ConnectionLost:
            pass
        self.assertLess(time.monotonic() - start, SOON + LATE)
        server.wait_for_log(f"connection lost: the peer did not take what was sent within {SOON:g} seconds")
        other = server.connect()
        other.send_message("x")
        self.assertEqual("x", other.receive_message())

    def test_exactly_as_many_clients_are_served_as_there_are_slots(self: Any) -> None:
        server = self.begin("echo", max_connections=10)
        served: list[MessageSocket] = []
        refused: list[int] = []

        def enter() -> None:
            try:
                client = server.connect()
                client.send_message("x")
                if client.receive_message() == "x":
                    served.append(client)
                    return
            except ConnectionLost:  # over TLS the connection may just be closed
                self.assertTrue(self.tls)
            refused.append(1)

        at_once(*[enter] * 60)
        self.assertEqual((10, 50), (len(served), len(refused)))
        for client in served:
            client.close()
        start = time.monotonic()
        for _ in served:
            while not self.is_served(server):
                self.assertLess(time.monotonic() - start, LATE)

    def is_served(self: Any, server: ServerProcess) -> bool:
        try:
            client = server.connect()
            client.send_message("x")
            return client.receive_message() == "x"
        except (ConnectionLost, ConnectionResetError):
            return False

    def test_an_address_gets_no_extra_slots_by_another_spelling(self: Any) -> None:
        server = self.start_process("echo", host="::", limits={"max_connections_per_address": 2})
        for _ in range(2):  # IPv4, which arrives as ::ffff:127.0.0.1
            self.assertTrue(self.is_served(server))
        self.assertFalse(self.is_served(server))
        with socket.create_connection(("::1", server.port), PATIENCE):
            server.wait_for_log("[::1]:")
        server.wait_for_log("refused: too many connections from your address")


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_a_handshake_that_is_not_complete_in_time_is_ended(self) -> None:
        server = self.begin("echo", handshake_timeout=SOON)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        outgoing = ssl.MemoryBIO()
        try:
            context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
        except ssl.SSLWantReadError:
            hello = outgoing.read()
        for part in (b"", hello[:1], hello[:100], hello):
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
                client.sendall(part)
                while client.recv(10_000):
                    pass
            self.assertTrue(SOON * 0.9 <= time.monotonic() - start <= SOON + LATE)
        text = f"the TLS handshake was not complete after {SOON:g} seconds"
        wait_until(lambda: server.log().count(text) == 4, "a line for each")
