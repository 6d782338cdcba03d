"""Descriptors and threads run out: open connections keep working, no loop spins, and the server recovers."""

import resource
import subprocess
import time
from pathlib import Path

from common.errors import ConnectionLost
from common.wire.framing import encode
from common.wire.sockets import MessageSocket
from tests.endurance.faults import descriptors, memory, threads
from tests.support import PorterTestCase, ServerProcess, scaled, wait_until

RECOVERED_WITHIN = scaled(2.0)
MOST_IDLE = 8  # threads of the engine that wait for work


class Exhaustion(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()

    def cpu_seconds(self, server: ServerProcess) -> float:
        user, system = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / 100

    def echoes(self, client: MessageSocket) -> None:
        client.send_message("are you there?")
        self.assertEqual("are you there?", client.receive_message())

    def is_served(self, server: ServerProcess) -> bool:
        client = server.connect()
        try:
            return client.receive_message() == "GET-TOKEN"
        except ConnectionLost:
            return False
        finally:
            client.close()

    def test_without_descriptors_the_server_neither_spins_nor_dies_and_recovers(self) -> None:
        server = self.start_process("echo", limits={"max_connections_per_address": 1000})
        established = server.connect()
        self.echoes(established)
        pid = server.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 20, 4096))
        crowd = [server.connect_raw() for _ in range(100)]
        server.wait_for_log("cannot accept connections: Too many open files")
        for _ in range(100):
            self.echoes(established)
        before = self.cpu_seconds(server)
        with self.assertRaises(subprocess.TimeoutExpired):
            server.process.wait(1)
        self.assertLess(self.cpu_seconds(server) - before, 0.2)  # a spinning loop takes this whole second
        for client in crowd:
            client.close()
        start = time.monotonic()
        self.echoes(server.connect())
        self.assertLess(time.monotonic() - start, RECOVERED_WITHIN)
        self.assertEqual(1, server.log().count("cannot accept connections"))
        self.assertEqual((0, "", ""), server.stop())

    def test_without_threads_clients_are_refused_and_their_slots_are_freed(self) -> None:
        server = self.start_process("auth", limits={"max_connections_per_address": 1000})
        self.assertTrue(self.is_served(server))
        pid = server.process.pid
        # Before its login each client has a thread, which takes 8 MiB of address space for its stack: here only a few
        # more can start.
        resource.prlimit(pid, resource.RLIMIT_AS, (memory(pid, "VmSize") * 1024 + 90 * 2**20, -1))
        crowd = [server.connect_raw() for _ in range(30)]
        served = refused = 0
        for client in crowd:
            answer = client.recv(1000)
            served += answer == encode("GET-TOKEN")
            refused += b"ERROR the server is full: can't start new thread" in answer
        self.assertEqual((30, True, True), (served + refused, served > 0, refused > 0))
        for client in crowd:
            client.close()
        start = time.monotonic()
        while not self.is_served(server):
            self.assertLess(time.monotonic() - start, RECOVERED_WITHIN)
        self.assertNotIn("Traceback", server.log())
        self.assertEqual((0, "", ""), server.stop())

    def test_thousands_of_clients_connect_and_leave_within_seconds(self) -> None:
        count = 3000
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard = before[1]
        if hard < count + 200:
            self.skipTest(f"it takes {count + 200} open files, and {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        limits = {"max_connections": count + 10, "max_connections_per_address": count + 10}
        server = self.start_process("echo", tls={"enabled": False}, limits=limits)
        start = time.monotonic()
        crowd = [server.connect() for _ in range(count)]
        for client in crowd:
            client.send_message("x")
        for client in crowd:
            self.assertEqual("x", client.receive_message())
        self.assertLess(time.monotonic() - start, scaled(10))
        self.echoes(crowd[0])
        start = time.monotonic()
        for client in crowd:
            client.close()
        wait_until(lambda: descriptors(server.process.pid) < 100, "an end of all connections")
        self.assertLess(time.monotonic() - start, 5)

    def test_after_a_load_threads_descriptors_and_memory_are_as_before(self) -> None:
        server = self.start_process("echo", limits={"max_connections_per_address": 1000})
        pid = server.process.pid
        self.echoes(server.connect())
        before = threads(pid), descriptors(pid), memory(pid)
        for _ in range(3):
            crowd = [server.connect() for _ in range(200)]
            for client in crowd:
                client.send_message("x" * 60_000)
            for client in crowd:
                client.receive_message()
                client.close()
        start = time.monotonic()
        idle = before[0] + MOST_IDLE, before[1] + MOST_IDLE  # each thread that waits for work may have a waker
        wait_until(lambda: threads(pid) <= idle[0] and descriptors(pid) <= idle[1], "threads and descriptors")
        wait_until(lambda: memory(pid) - before[2] < 16 * 1024, "memory")
        self.assertLess(time.monotonic() - start, 5)
