"""Greedy clients: whoever floods, never reads or storms with handshakes costs a client that behaves well little."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable

from common.errors import PorterError
from common.wire.framing import encode
from common.wire.sockets import MessageSocket
from common.wire.tls import client_context
from tests.support import PATIENCE, PorterTestCase, run_program, scaled

LONGEST = scaled(0.020)
SMALL = encode("x" * 60) * 200
LARGE = encode("x" * 65_000)


class Fairness(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()
        self.stop = threading.Event()

    def p99_beside(self, greedy: Callable[[int], None], number: int, *, tls: bool = False) -> float:
        """Return the 99th percentile of the latency of five clients that behave well, in seconds."""
        limits = {"max_connections": 2000, "max_connections_per_address": 2000}
        server = self.start_process("echo", tls={"enabled": tls}, limits=limits)

        def run(port: int) -> None:
            os.nice(10)  # only this thread, on Linux: those that measure must not wait for a core
            greedy(port)

        threads = [threading.Thread(target=run, args=[server.port]) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            load = f"--port {server.port} -c 5 --rate 200 --seconds 2 --processes 1 --json"
            done = run_program(self.folder, "benchmarks", *load.split(), *([] if tls else ["--no-tls"]))
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return float(json.loads(done.stdout)["p99_ms"]) / 1000

    def assert_fair(self, greedy: Callable[[int], None], number: int, *, tls: bool = False) -> None:
        """Assert that the latency stays below the limit, in the best of three runs: others may use the machine."""
        found: list[float] = []
        while not found or (found[-1] >= LONGEST and len(found) < 3):
            self.stop.clear()
            found.append(self.p99_beside(greedy, number, tls=tls))
        self.assertLess(min(found), LONGEST, found)

    def connection(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        connection.settimeout(scaled(0.1))
        return connection

    def flood(self, port: int, data: bytes, *, reads: bool) -> None:
        """Send without a pause until the test stops."""
        rest = data
        with self.connection(port) as connection, contextlib.suppress(ConnectionError):
            while not self.stop.is_set():
                with contextlib.suppress(TimeoutError):
                    rest = rest[connection.send(rest) :] or data
                    if reads:
                        connection.recv(1_000_000)

    def test_one_that_never_pauses_costs_others_little(self) -> None:
        self.assert_fair(lambda port: self.flood(port, SMALL, reads=True), 1)

    def test_one_that_sends_large_messages_without_end_costs_others_little(self) -> None:
        self.assert_fair(lambda port: self.flood(port, LARGE, reads=True), 1)

    def test_one_that_never_reads_costs_others_little(self) -> None:
        self.assert_fair(lambda port: self.flood(port, SMALL, reads=False), 1)

    def test_two_hundred_that_flood_cost_others_little(self) -> None:
        self.assert_fair(lambda port: self.flood(port, SMALL, reads=True), 200)

    def shake_hands(self, port: int) -> None:
        while not self.stop.is_set():
            client = MessageSocket(self.connection(port))
            with contextlib.suppress(PorterError, OSError):
                client.handshake(client_context(), PATIENCE)
            client.close()

    def test_a_storm_of_handshakes_costs_others_little(self) -> None:
        self.assert_fair(self.shake_hands, 20, tls=True)


class Workers(PorterTestCase):
    def connections_a_second(self, workers: int) -> float:
        self.run_programs_without_coverage()
        limits = {"max_connections": 2000, "max_connections_per_address": 2000}
        server = self.start_process("echo", tls={"enabled": False}, limits=limits, workers=workers)
        load = f"--no-tls --port {server.port} --work connect -c 32 --seconds 1 --processes 1 --json"
        done = run_program(self.folder, "benchmarks", *load.split())
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        server.stop()
        return float(json.loads(done.stdout)["messages_per_second"])

    def test_a_worker_with_more_than_its_share_pauses_only_for_a_moment(self) -> None:
        # Two workers and the load share two cores, so that they take 0.4 to 0.8 of what one takes.
        # It was a sixth when the one with more than its share paused too long.
        one, two = self.connections_a_second(1), self.connections_a_second(2)
        self.assertGreater(two, one / 4)
