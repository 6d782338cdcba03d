"""Two hundred clients behave well and badly at random: each gets its own echoes, and nothing is left behind."""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from common.errors import ConnectionLost
from common.wire.framing import HEADER, encode
from tests.endurance import LONG
from tests.endurance.faults import descriptors, memory, threads
from tests.support import PATIENCE, PorterTestCase, ServerProcess, connect, scaled, send_bytes, wait_until

CLIENTS = 200
MOST_IDLE = 8  # threads of the engine that wait for work
SECONDS = 300.0 if LONG else 4.0
ALPHABET = "abc \u00e4\u4e2d\U0001f600\n\x00\x1b"


class Client:
    """One of many clients; `mismatches` lists the echoes that differ from the text that was sent."""

    def __init__(self, server: ServerProcess, number: int, tls: bool) -> None:
        self._server, self._number, self._tls = server, number, tls
        self._chance = random.Random(number)
        self.echoes = 0
        self.mismatches: list[str] = []

    def live(self, until: float) -> None:
        good: list[Callable[[Any], None]] = [self.one_by_one, self.in_a_burst, self.large]
        bad: list[Callable[[Any], None]] = [
            self.vanish,
            self.half_a_message,
            self.too_long,
            self.not_utf8,
            self.not_reading,
        ]
        while time.monotonic() < until:
            connection = connect(self._server.port, tls=self._tls, source=f"127.0.1.{self._number + 1}")
            try:
                for _ in range(self._chance.randrange(4)):
                    self._chance.choice(good)(connection)
                if self._chance.random() < 0.5:
                    with contextlib.suppress(OSError, ConnectionLost):
                        self._chance.choice(bad)(connection)
            finally:
                connection.close()

    def text(self, longest: int) -> str:
        return f"{self._number}:" + "".join(self._chance.choices(ALPHABET, k=self._chance.randrange(longest)))

    def expect(self, connection: Any, *texts: str) -> None:
        for text in texts:
            answer = connection.receive_message()
            self.echoes += 1
            if answer != text:
                self.mismatches.append(f"{text[:40]!r} came back as {str(answer)[:40]!r}")

    def one_by_one(self, connection: Any) -> None:
        for _ in range(self._chance.randrange(1, 10)):
            text = self.text(100)
            connection.send_message(text)
            self.expect(connection, text)

    def in_a_burst(self, connection: Any) -> None:
        texts = [self.text(50) for _ in range(self._chance.randrange(1, 40))]
        send_bytes(connection, b"".join(map(encode, texts)))
        self.expect(connection, *texts)

    def large(self, connection: Any) -> None:
        text = self.text(100) * 100
        connection.send_message(text)
        self.expect(connection, text)

    def vanish(self, connection: Any) -> None:
        send_bytes(connection, encode(self.text(100)))
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def half_a_message(self, connection: Any) -> None:
        send_bytes(connection, encode(self.text(100))[: self._chance.randrange(1, 6)])

    def too_long(self, connection: Any) -> None:
        send_bytes(connection, HEADER.pack(self._chance.randrange(65537, 2**32)))

    def not_utf8(self, connection: Any) -> None:
        send_bytes(connection, HEADER.pack(3) + b"\xff\xfe\xfd")

    def not_reading(self, connection: Any) -> None:
        send_bytes(connection, encode(self.text(500)) * 50)


class Behaviour:
    def test_every_echo_equals_its_message_and_nothing_is_left_behind(self: Any) -> None:
        server = self.start_process("echo", limits={"message_timeout": scaled(2), "send_timeout": scaled(0.5)})
        first = server.connect()
        first.send_message("hello")
        self.assertEqual("hello", first.receive_message())
        pid = server.process.pid
        before = threads(pid), descriptors(pid), memory(pid)
        crowd = [Client(server, number, self.tls) for number in range(CLIENTS)]
        until = time.monotonic() + SECONDS
        failures: list[BaseException] = []

        def live(client: Client) -> None:
            try:
                client.live(until)
            except BaseException as error:
                failures.append(error)

        running = [threading.Thread(target=live, args=[client]) for client in crowd]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(SECONDS + PATIENCE)
        self.assertEqual([], failures)
        self.assertEqual([], [text for client in crowd for text in client.mismatches])
        self.assertGreater(sum(client.echoes for client in crowd), 1000)
        idle = before[0] + MOST_IDLE, before[1] + MOST_IDLE  # each thread that waits for work may have a waker
        wait_until(lambda: threads(pid) <= idle[0] and descriptors(pid) <= idle[1], "as it was before")
        start = time.monotonic()
        wait_until(lambda: memory(pid) - before[2] < 24 * 1024, "memory")
        self.assertLess(time.monotonic() - start, 5)
        first.send_message("still there?")
        self.assertEqual("still there?", first.receive_message())
        self.assertNotIn("Traceback", server.log())
        first.close()
        self.assertEqual((0, "", ""), server.stop())


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
