"""Each deadline and limit of the configuration, against a server process: it ends what it should, and in time."""

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
from tests.support import PATIENCE, PorterTestCase, ServerProcess, at_once, wait_until

SOON = 1.0  # the scaled deadline of each test, which what is done in time must meet on a busy machine, too
LATE = 3.0  # what a busy machine may add


class Behaviour:
    def begin(self: Any, mode: str = "echo", **limits: float) -> ServerProcess:
        self.server_process = self.start_process(mode, limits=limits)
        return self.server_process

    def drip(self: Any, client: MessageSocket, message: bytes) -> None:
        """Send a byte every few milliseconds, until the server has had enough."""
        pause = threading.Event()
        try:
            for byte in message:
                client._send_all(bytes([byte]))
                pause.wait(0.01)
        except ConnectionLost:
            pass

    def ends_in_time(
        self: Any, client: MessageSocket, wanted: str, do: Callable[[], object] = lambda: None, since: float = 0
    ) -> None:
        """That the server says `ERROR wanted` and closes, no sooner than it may `since` that time, or now."""
        start = since or time.monotonic()
        do()
        self.assertEqual(f"ERROR {wanted}", client.receive_message())
        self.assertIsNone(client.receive_message())
        took = time.monotonic() - start
        self.assertTrue(SOON * 0.9 <= took <= SOON + LATE, took)
        self.server_process.wait_for_log(wanted)

    def test_a_login_is_finished_in_time_or_not_at_all(self: Any) -> None:
        server = self.begin("auth", login_timeout=SOON, message_timeout=60)
        late = f"not logged in within {SOON:g} seconds"
        start = time.monotonic()
        client = server.talk()
        client.give_token()
        client.expect(Kind.ASK)
        self.ends_in_time(client.connection, late, since=start)
        start = time.monotonic()
        dripping = server.talk()
        dripping.give_token()
        dripping.expect(Kind.ASK)
        self.ends_in_time(
            dripping.connection, late, lambda: self.drip(dripping.connection, encode("x" * 200)[:200]), start
        )

    def test_a_message_that_drips_ends_in_time(self: Any) -> None:
        server = self.begin("echo", message_timeout=SOON)
        client = server.connect()
        client.send_message("first")
        client.receive_message()
        self.ends_in_time(
            client,
            f"a message was not complete after {SOON:g} seconds",
            lambda: self.drip(client, encode("x" * 200)[:200]),
        )

    def test_a_message_that_drips_after_the_login_ends_in_time(self: Any) -> None:
        server = self.begin("auth", message_timeout=SOON)
        client = server.talk()
        client.register("Alice")
        self.ends_in_time(
            client.connection,
            f"a message was not complete after {SOON:g} seconds",
            lambda: self.drip(client.connection, encode("x" * 200)[:200]),
        )

    def test_who_is_idle_is_ended_and_who_talks_is_not(self: Any) -> None:
        server = self.begin("echo", idle_timeout=SOON)
        talking, idle = server.connect(), server.connect()
        idle.send_message("hello")
        idle.receive_message()
        start, said = time.monotonic(), 0
        while time.monotonic() - start < 3 * SOON:
            talking.send_message(str(said))
            self.assertEqual(str(said), talking.receive_message())
            said += 1
        self.assertEqual(f"ERROR no message for {SOON:g} seconds", idle.receive_message())
        self.assertIsNone(idle.receive_message())

    def test_who_never_reads_is_ended_and_others_are_served(self: Any) -> None:
        server = self.begin("echo", send_timeout=SOON)
        deaf = server.connect()
        flood = encode("x" * 60_000)
        start = time.monotonic()
        try:
            while True:
                deaf._send_all(flood)
        except ConnectionLost:
            pass
        self.assertLess(time.monotonic() - start, SOON + LATE)
        server.wait_for_log(f"connection lost: the peer did not take what was sent within {SOON:g} seconds")
        other = server.connect()
        other.send_message("x")
        self.assertEqual("x", other.receive_message())

    def test_of_more_than_there_are_places_for_exactly_so_many_are_served(self: Any) -> None:
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
            except ConnectionLost:  # over TLS it may just be closed
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

    def test_one_address_has_no_more_places_however_it_is_spelled(self: Any) -> None:
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

    def test_a_handshake_is_finished_in_time_or_not_at_all(self) -> None:
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
        text = f"no TLS handshake within {SOON:g} seconds"
        wait_until(lambda: server.log().count(text) == 4, "a line for each")
