"""A thousand hostile clients cost little memory, whatever they send, and hardly any after they have left."""

import contextlib
import resource
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from common.errors import ConnectionLost
from common.wire.framing import HEADER, encode
from common.wire.sockets import MessageSocket, Timeouts
from tests.endurance.faults import descriptors, memory, threads
from tests.support import PorterTestCase, ServerProcess, at_once, scaled, send_bytes, wait_until

LARGE = "x" * 65_536
CLIENTS = 1000
MOST = 64 * 1024  # KiB while they are connected
MOST_BEGUN = 96 * 1024  # each holds its message, and room for an eighth more
MOST_FLOODS = 8 * 1024  # a tenth of them
MOST_THREADS = 20
LEFT = 36 * 1024  # KiB after they have left


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.run_programs_without_coverage()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def sources(self: Any) -> list[str]:
        """Return an address for each client, so that no limit per address is reached."""
        return [f"127.0.0.{number % 20 + 2}" for number in range(CLIENTS)]

    def crowd(self: Any, server: ServerProcess) -> list[MessageSocket]:
        return [server.connect(source) for source in self.sources()]

    def echo(self: Any, client: MessageSocket, text: str) -> str | None:
        client.send_message(text)
        return client.receive_message()

    def check(
        self: Any,
        *parts: bytes,
        do: Callable[[MessageSocket], object] = lambda client: None,
        most: int = MOST,
        left: int = LEFT,
    ) -> None:
        """Have a thousand clients send these bytes each, or call `do` with each, and then stay silent.

        The server then takes `most` KiB more than before, and when they have left it keeps `left` at most.
        """
        server = self.start_process("echo")
        pid = server.process.pid
        first = server.connect()
        self.assertEqual("hello", self.echo(first, "hello"))
        before = memory(pid), threads(pid), descriptors(pid)
        crowd = self.crowd(server)
        for part in parts:
            for client in crowd:
                send_bytes(client, part)
        for client in crowd:
            do(client)
        self.assertEqual("still served?", self.echo(first, "still served?"))
        self.assertLess(threads(pid), MOST_THREADS)
        self.assertLess(memory(pid, "VmHWM") - before[0], most)
        for client in crowd:
            client.close()
        wait_until(lambda: descriptors(pid) <= before[2] + MOST_THREADS, "as it was before")
        self.assertLess(memory(pid) - before[0], left)

    def test_an_announced_message_that_has_begun_costs_little(self: Any) -> None:
        self.check(HEADER.pack(65535), b"x" * 100)


class Plain(Behaviour, PorterTestCase):
    def test_a_large_message_without_its_last_bytes_costs_little(self) -> None:
        self.check(
            HEADER.pack(65535) + b"x" * 60_000, most=MOST_BEGUN, left=MOST_BEGUN
        )  # the C library keeps it for the next

    def test_an_earlier_large_message_costs_little(self) -> None:
        self.check(do=lambda client: self.assertEqual(LARGE, self.echo(client, LARGE)))

    def test_unread_echoes_cost_little(self) -> None:
        self.check_floods(encode("x" * 4000))

    def test_unread_short_echoes_cost_little(self) -> None:
        self.check_floods(encode("ab"))

    def check_floods(self, message: bytes) -> None:
        """Have a tenth of the clients send this until the server takes no more, and never read. Each adds little."""
        server = self.start_process("echo")
        self.assertEqual("hello", self.echo(server.connect(), "hello"))
        before = memory(server.process.pid)
        crowd = [self.connect_not_reading(server, source) for source in self.sources()[: CLIENTS // 10]]
        at_once(*[partial(self.flood, client, message * (60_000 // len(message))) for client in crowd])
        self.assertLess(memory(server.process.pid, "VmHWM") - before, MOST_FLOODS)

    def connect_not_reading(self, server: ServerProcess, source: str) -> MessageSocket:
        plain = socket.socket()
        self.addCleanup(plain.close)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # otherwise the kernel buffers megabytes
        plain.bind((source, 0))
        plain.connect(("127.0.0.1", server.port))
        client = MessageSocket(plain)
        client.timeouts = Timeouts(send=scaled(0.5))
        return client

    def flood(self, client: MessageSocket, data: bytes) -> None:
        with contextlib.suppress(ConnectionLost):
            while True:
                send_bytes(client, data)


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_silent_clients_in_the_handshake_cost_little(self) -> None:
        server = self.start_process("echo")
        server.connect()
        before = memory(server.process.pid)
        crowd = [server.connect_raw(source) for source in self.sources()]
        wait_until(lambda: server.log().count("client connected") == CLIENTS + 1, "all of them")
        self.assertLess(memory(server.process.pid) - before, MOST // 2)
        for client in crowd:
            client.close()
