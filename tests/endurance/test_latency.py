"""Beside handlers that wait, compute or fail, two hundred clients that talk must hardly notice them."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import ConnectionLost
from server.handlers.handler import Handler
from tests.support import PATIENCE, PorterTestCase, ServerProcess, run_program, scaled

CLIENTS = 200
RATE = 2000.0  # messages a second of all of them
AWAY = 0.1  # seconds
PUSHED_TO: list[Any] = []


class Working(Handler):
    """Echoes each message, or does first what it says."""

    def setup(self) -> None:
        PUSHED_TO.append(self.request)

    def finish(self) -> None:
        PUSHED_TO.remove(self.request)

    def received(self, message: str) -> None:
        match message:
            case "sleep":
                threading.Event().wait(AWAY)
            case "wait":
                self.request.step_aside()
                threading.Event().wait(AWAY)
            case "compute":
                end = time.monotonic() + AWAY
                while time.monotonic() < end:
                    pass
            case "read":
                Path(__file__).read_bytes()
            case "push":
                for request in PUSHED_TO[:20]:
                    if request is not self.request and request.max_message == 1:
                        request.push("pushed")
            case "raise":
                raise ZeroDivisionError
            case "end":
                self.request.send_message("bye")
                self.end()
        self.request.send_message(message)


class Latency(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()
        limits = {"max_connections": 2000, "max_connections_per_address": 2000}
        entry = {"class": f"{__name__}:Working"}
        self.running = self.start_process("working", handlers={"working": entry}, limits=limits)

    @contextlib.contextmanager
    def doing(self, what: str, clients: int) -> Iterator[list[int]]:
        """Have clients send a message again and again. Return how many answers came."""
        stop = threading.Event()
        answers: list[int] = []

        def do(server: ServerProcess) -> None:
            while not stop.is_set():
                client = server.connect()
                with contextlib.suppress(ConnectionLost):
                    for _ in range(10_000):
                        client.send_message(what)
                        if client.receive_message() is None or stop.is_set():
                            break
                        answers.append(1)
                client.close()

        threads = [threading.Thread(target=do, args=[self.running]) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)

    def p99_beside(self, what: str, clients: int, rate: float = RATE) -> float:
        """Return the 99th percentile of the latency of the clients that talk, in seconds."""
        load = f"--no-tls --port {self.running.port} -c {CLIENTS} --rate {rate} --seconds 2 --processes 1 --json"
        with self.doing(what, clients) as answers:
            done = run_program(self.folder, "benchmarks", *load.split())
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertGreater(len(answers), clients)
        return float(json.loads(done.stdout)["p99_ms"]) / 1000

    def assert_p99(self, longest: float, what: str, clients: int, rate: float = RATE) -> None:
        """Assert that the latency stays below a limit, in the best of three runs: others may use the machine."""
        found: list[float] = []
        while not found or (found[-1] >= longest and len(found) < 3):
            found.append(self.p99_beside(what, clients, rate))
        self.assertLess(min(found), longest, found)

    def test_answers_that_wait_without_saying_so_cost_others_little(self) -> None:
        self.assert_p99(scaled(0.025), "sleep", 8)

    def test_answers_that_say_that_they_wait_cost_others_less(self) -> None:
        self.assert_p99(scaled(0.005), "wait", 8)

    def test_an_answer_that_computes_costs_others_little(self) -> None:
        self.assert_p99(scaled(0.025), "compute", 1)

    def test_eight_answers_that_compute_leave_room_for_others(self) -> None:
        self.assert_p99(scaled(0.060), "compute", 8, rate=1000.0)

    def test_answers_that_read_a_file_raise_end_or_push_are_not_noticed(self) -> None:
        for what in ("read", "raise", "end", "push"):
            with self.subTest(what):
                self.assert_p99(scaled(0.025), what, 1)
