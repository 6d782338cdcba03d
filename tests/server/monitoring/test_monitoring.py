"""What those who watch see: exact counts, over workers that die, readiness, health, a page; and slow readers."""

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import unittest
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from common.wire.kinds import Kind
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, wait_until

AUTH = {"auth": {"options": QUICK_HASHES}}


def free_port() -> int:
    """Return a port that is free, and that the system gives to nobody who asks for any free one."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask the monitoring port; return the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metrics_at(port: int) -> dict[str, float]:
    """Return the samples by their names with labels, as in `porter_messages_total{direction=sent}`."""
    status, text = get(port, "/metrics")
    assert status == 200, text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


class Watching(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.watch = free_port()
        self.monitoring = {"address": f"127.0.0.1:{self.watch}"}

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        return get(self.watch, path, method)

    def metrics(self) -> dict[str, float]:
        return metrics_at(self.watch)


class Behaviour:
    def test_the_counts_are_exact(self: Any) -> None:
        limits = {"max_connections_per_address": 3}
        with self.server("auth", handlers=AUTH, limits=limits, monitoring=self.monitoring) as server:
            talker = server.talk()
            token = talker.register("Alice")
            for text in ("one", "\u017c" * 100):
                talker.say(text)
                talker.expect(Kind.TEXT, text)
            resumed = server.talk()
            resumed.give_token(token)
            resumed.expect(Kind.TEXT)
            wrong = server.talk()
            wrong.give_token("x" * 43)
            wrong.fail("Alice")
            wrong.expect(Kind.ASK)
            server.connect_raw()
            server.log.wait_for("refused: too many")
            found = self.metrics()
            wanted = {
                "porter_connections": 3,
                "porter_connections_total": 4,
                "porter_connections_refused_total{reason=address}": 1,
                "porter_connections_refused_total{reason=full}": 0,
                "porter_messages_total{direction=received}": 10,
                "porter_logins_total{outcome=registered}": 1,
                "porter_logins_total{outcome=token}": 1,
                "porter_logins_total{outcome=refused}": 2,
                "porter_logins_total{outcome=password}": 0,
                "porter_login_duration_seconds_count": 4,
                "porter_login_duration_seconds_bucket{le=+Inf}": 4,
                "porter_store_up": 1,
                "porter_log_records_lost_total": 0,
                "porter_workers": 1,
            }
            self.assertEqual(wanted, {key: found.get(key) for key in wanted})
            received = ["TOKEN", "TEXT Alice", *["TEXT correct horse"] * 2, "TEXT one", "TEXT " + "\u017c" * 100]
            received += [f"TOKEN {token}", "TOKEN " + "x" * 43, "TEXT Alice", "TEXT a wrong one"]
            size = sum(len(text.encode()) for text in received)
            self.assertEqual(size, found["porter_message_bytes_total{direction=received}"])
            self.assertRegex(" ".join(found), r"porter_build_info\{version=")
            for connection in (talker, resumed, wrong):
                connection.connection.close()
            server.log.wait_for("client disconnected", 3)
            after = self.metrics()
            self.assertEqual(0, after["porter_connections"])
            self.assertEqual(10, after["porter_messages_total{direction=received}"])

    def test_readiness_says_why_not(self: Any) -> None:
        limits = {"max_connections": 2}
        with self.server("echo", limits=limits, monitoring=self.monitoring) as server:
            self.assertEqual((200, "ok\n"), self.get("/readyz"))
            self.assertEqual((200, "ok\n"), self.get("/healthz"))
            for _ in range(2):
                client = server.connect()
                client.send_message("x")
                client.receive_message()
            wait_until(lambda: self.get("/readyz") == (503, "full: 2 connections\n"), "that it is full")


class Plain(Behaviour, Watching):
    def test_a_drain_is_told_before_the_listener_closes(self) -> None:
        for workers in (1, 2):
            self.check_drain(workers)

    def check_drain(self, workers: int) -> None:
        monitoring = {**self.monitoring, "readiness_delay": 1.0}
        server = self.start_process("echo", workers=workers, monitoring=monitoring, tls={"enabled": False})
        self.assertEqual(200, self.get("/readyz")[0])
        server.signal(signal.SIGTERM)
        wait_until(lambda: self.get("/readyz") == (503, "draining\n"), "that it drains")
        client = server.connect()
        client.send_message("still let in")
        self.assertEqual("still let in", client.receive_message())
        self.assertEqual(0, server.wait()[0])

    def test_counters_do_not_go_down_when_a_worker_dies(self) -> None:
        server = self.start_process("echo", workers=2, monitoring=self.monitoring, tls={"enabled": False})
        clients = [server.connect() for _ in range(20)]
        for client in clients:
            client.send_message("hello")
            client.receive_message()
        wait_until(lambda: self.metrics()["porter_messages_total{direction=received}"] == 20, "all messages")
        found = self.metrics()
        self.assertEqual(
            (20, 20, 2),
            tuple(found[key] for key in ("porter_connections", "porter_connections_total", "porter_workers")),
        )
        parent = server.process.pid
        workers = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(int(workers[0]), signal.SIGKILL)
        wait_until(lambda: 0 < self.metrics()["porter_connections"] < 20, "the loss of one worker's connections")
        found = self.metrics()
        self.assertEqual(20, found["porter_messages_total{direction=received}"])
        self.assertEqual(100, found["porter_message_bytes_total{direction=sent}"])
        wait_until(lambda: self.metrics()["porter_workers"] == 2, "another worker")
        for _ in range(10):
            client = server.connect()
            client.send_message("hello")
            client.receive_message()
        wait_until(lambda: self.metrics()["porter_messages_total{direction=received}"] == 30, "ten more messages")
        self.assertEqual(30, self.metrics()["porter_connections_total"])
        self.assertEqual((0, "", ""), server.stop())

    def test_a_worker_that_does_not_turn_is_not_healthy(self) -> None:
        server = self.start_process("echo", workers=2, monitoring=self.monitoring, tls={"enabled": False})
        parent = server.process.pid
        worker = int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
        os.kill(worker, signal.SIGSTOP)
        try:

            def health() -> tuple[int, str]:
                while True:  # the stopped one may have accepted
                    try:
                        return self.get("/healthz")
                    except TimeoutError:
                        continue

            wait_until(lambda: health() == (503, f"no turn for 5 seconds in process {worker}\n"), "that one hangs")
        finally:
            os.kill(worker, signal.SIGCONT)

    def test_slow_readers_disturb_nobody(self) -> None:
        with self.server("echo", monitoring=self.monitoring) as server:
            slow = [socket.create_connection(("127.0.0.1", self.watch)) for _ in range(40)]
            try:
                for connection in slow[:20]:
                    connection.sendall(b"GET /metrics HTTP/1.0\r\n")
                client = server.connect()
                for _ in range(50):
                    client.send_message("x")
                    client.receive_message()
            finally:
                for connection in slow:
                    connection.close()
            wait_until(self.is_served, "that others are served again")

    def is_served(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def test_only_these_pages_are_there_and_they_are_safe(self) -> None:
        with self.server("echo", monitoring=self.monitoring):
            status, page = self.get("/")
            self.assertEqual((200, True), (status, page.startswith("<!DOCTYPE html>")))
            self.assertNotRegex(page, r"https?://|src=|@import")
            self.assertEqual((200, ""), self.get("/", "HEAD"))
            for path in ("/etc/passwd", "/../conf/server.yaml", "/metrics/x"):
                self.assertEqual(404, self.get(path)[0])
            self.assertEqual(501, self.get("/", "POST")[0])

    def test_a_port_that_is_taken_ends_the_start(self) -> None:
        with socket.create_server(("127.0.0.1", self.watch)):
            from tests.support import run_program

            path = str(self.write_configuration(mode="echo", monitoring=self.monitoring))
            ended = run_program(self.folder, "server", "--config", path)
        self.assertEqual(69, ended.returncode)
        self.assertIn(f"port {self.watch} is taken", ended.stderr)


class Secure(Behaviour, Watching):
    tls = True


CHROMIUM = shutil.which("chromium")


@unittest.skipIf(CHROMIUM is None, "Chromium is not installed")
class InABrowser(Watching):
    def test_the_page_draws_curves_and_the_numbers_of_this_moment(self) -> None:
        assert CHROMIUM is not None
        with self.server("echo", monitoring=self.monitoring) as server:
            clients = [server.connect() for _ in range(7)]
            for client in clients:
                client.send_message("x")
                client.receive_message()
            stop = threading.Event()

            def talk() -> None:
                while not stop.wait(0.01):
                    clients[0].send_message("x")
                    clients[0].receive_message()

            thread = threading.Thread(target=talk)
            thread.start()
            try:
                options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
                options += " --disable-component-update --disable-sync --disable-quic --dump-dom"
                options += f" --user-data-dir={self.folder}/browser --virtual-time-budget=5000"
                shown = subprocess.run(
                    [CHROMIUM, *options.split(), f"http://127.0.0.1:{self.watch}/"],
                    capture_output=True,
                    text=True,
                    timeout=4 * PATIENCE,
                ).stdout
            finally:
                stop.set()
                thread.join()
        self.assertRegex(shown, r'role="status">ready<')
        self.assertRegex(shown, r"<b>7</b>connections")
        self.assertEqual(5, len(re.findall(r'<polyline points="\d+,[\d.]+ \d', shown)))
