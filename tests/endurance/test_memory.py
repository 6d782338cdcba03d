"""A thousand hostile clients cost little memory, whatever they announce, and none when they are gone."""

import resource
import socket
from typing import Any

from common.framing import HEADER, encode
from tests.endurance.faults import descriptors, memory, threads
from tests.support import PorterTestCase, ServerProcess, wait_until

CLIENTS = 1000
MOST = 64 * 1024  # KiB
LEFT = 36 * 1024


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.run_programs_without_coverage()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def sources(self: Any) -> list[str]:
        """An address for each, so that no limit by address is reached."""
        return [f"127.0.0.{number % 20 + 2}" for number in range(CLIENTS)]

    def crowd(self: Any, server: ServerProcess) -> list[socket.socket]:
        return [server.connect(source) for source in self.sources()]

    def check(self: Any, *parts: bytes, **limits: float) -> None:
        """A thousand send these bytes each and then nothing."""
        server = self.start_process("echo", limits=limits)
        pid = server.process.pid
        first = server.connect()
        first.send_message("hello")
        self.assertEqual("hello", first.receive_message())
        before = memory(pid), threads(pid), descriptors(pid)
        crowd = self.crowd(server)
        for part in parts:
            for client in crowd:
                client._send_all(part)
        wait_until(lambda: threads(pid) >= CLIENTS, "a thread for each")
        first.send_message("still served?")
        self.assertEqual("still served?", first.receive_message())
        self.assertLess(memory(pid, "VmHWM") - before[0], MOST)
        for client in crowd:
            client.close()
        wait_until(lambda: threads(pid) <= before[1] and descriptors(pid) <= before[2], "as it was before")
        self.assertLess(memory(pid) - before[0], LEFT)

    def test_a_length_announced_and_begun(self: Any) -> None:
        self.check(HEADER.pack(65535), b"x" * 100)


class Plain(Behaviour, PorterTestCase):
    def test_messages_that_are_never_read_back(self) -> None:
        self.check(encode("x" * 4000) * 2, encode("x" * 4000) * 2)


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_silence_in_the_handshake(self) -> None:
        server = self.start_process("echo")
        server.connect()
        before = memory(server.process.pid)
        crowd = [server.connect_raw(source) for source in self.sources()]
        wait_until(lambda: threads(server.process.pid) >= CLIENTS, "a thread for each")
        self.assertLess(memory(server.process.pid) - before, MOST // 2)
        for client in crowd:
            client.close()
