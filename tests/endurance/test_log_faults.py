"""A log that cannot be written or rotated stops nothing and floods nothing; later it says how much was lost."""

import contextlib
import os
import re
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from common.wire.framing import encode
from tests.endurance.faults import SmallDisk, failing_calls, needs_mounts, needs_strace
from tests.support import PATIENCE, PorterTestCase, ServerProcess, scaled, wait_until

CONNECTIONS = 100  # with four lines each


class LogFaults(PorterTestCase):
    def start(self, log: Path, under: list[str], **options: Any) -> ServerProcess:
        configuration = self.write_configuration()
        logging = yaml.safe_load((self.folder / "logging.yaml").read_text())
        logging["handlers"]["file"].update({"filename": str(log), **options})
        (self.folder / "logging.yaml").write_text(yaml.safe_dump(logging))
        server = ServerProcess(self, "echo", "--config", str(configuration), under=under)
        self.addCleanup(server.close)
        return server

    def talk(self, server: ServerProcess) -> None:
        for number in range(CONNECTIONS):
            client = server.connect()
            client.send_message(str(number))
            self.assertEqual(str(number), client.receive_message())
            client.close()

    @needs_mounts
    def test_on_a_full_disk_the_server_goes_on_and_counts_lost_records(self) -> None:
        disk = SmallDisk(self.folder / "disk", kib=256)
        server = self.start(self.folder / "disk" / "server.log", disk.under)
        log = disk.path(server) / "server.log"
        standard_error = server.process.stderr
        assert standard_error is not None
        self.talk(server)
        with disk.full(server):
            self.talk(server)
            wait_until(lambda: select.select([standard_error], [], [], 0)[0], "a word on standard error")
        self.talk(server)
        wait_until(lambda: "log records were lost before" in log.read_text(), "the count of what is lost")

        def accounted_for() -> int:
            text = log.read_text()
            lost = sum(int(count) for count in re.findall(r"(\d+) log records were lost before", text))
            return text.count("message ") + text.count("client ") + lost

        wait_until(lambda: accounted_for() == 3 * 4 * CONNECTIONS, "a line or a count for each event")
        for line in log.read_text().splitlines():
            self.assertRegex(line, r"^20\d\d-\S+ (INFO|WARNING) (-|127\.0\.0\.1:\d+) \S.*\w")
        status, _, errors = server.stop()
        self.assertEqual((0, 1), (status, len(errors.splitlines())), errors)
        self.assertIn("cannot write", errors)

    @needs_strace
    def test_a_log_that_cannot_be_rotated_is_still_written(self) -> None:
        server = self.start(self.folder / "server.log", [], maxBytes=5_000, backupCount=3)
        with failing_calls(server, ["rename", "renameat", "renameat2"], "EACCES"):
            self.talk(server)
            wait_until(lambda: server.log().count("client disconnected") == CONNECTIONS, "the last line")
        self.assertEqual(2 * CONNECTIONS, server.log().count("message "))
        status, _, errors = server.stop()
        self.assertEqual((0, 1), (status, len(errors.splitlines())), errors)
        self.assertIn("cannot rotate", errors)

    def test_a_blocked_log_delays_neither_the_clients_nor_the_stop(self) -> None:
        self.check_blocked_log(connections=6_000)  # with four lines each: more than a pipe and the queue hold

    def test_a_blocked_log_does_not_delay_the_stop_of_several_workers(self) -> None:
        self.check_blocked_log(connections=1_000, workers=2)  # the parent has no queue

    def check_blocked_log(self, connections: int, workers: int = 1) -> None:
        handler: dict[str, object] = {
            "class": "logging.StreamHandler",
            "formatter": "f",
        }  # to a pipe without a reader
        self.write_log_handler(handler, limits={"drain_timeout": scaled(0.5)}, workers=workers)
        server = ServerProcess(self, "echo", "--config", str(self.folder / "server.yaml"))
        self.addCleanup(server.close)
        for _ in range(connections):
            with server.connect_raw() as client:
                client.sendall(encode("x"))
                self.assertEqual(encode("x"), client.recv(100))
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        self.assertEqual(0, server.process.wait(PATIENCE))
        self.assertLess(time.monotonic() - start, scaled(0.5 + 2))

    def test_a_reload_is_refused_while_the_log_hangs_and_works_afterwards(self) -> None:
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        handler: dict[str, object] = {"class": "logging.FileHandler", "filename": str(pipe), "formatter": "f"}
        self.write_log_handler(handler)
        server = ServerProcess(self, "echo", "--config", str(self.folder / "server.yaml"))
        self.addCleanup(server.close)
        self.assertIn(b"names no common.log.writebehind.WriteBehind", os.read(reader, 65536))
        for _ in range(1_000):  # with four lines each: more than a pipe holds
            with server.connect_raw() as client:
                client.sendall(encode("x"))
                self.assertEqual(encode("x"), client.recv(100))
        server.signal(signal.SIGHUP)

        def is_said(text: bytes) -> bool:
            with contextlib.suppress(BlockingIOError):
                said.extend(os.read(reader, 65536))
            return text in said

        said = bytearray()
        stuck = threading.Event()
        self.assertFalse(stuck.wait(scaled(2)), "the reload gives up after a second without any progress")
        wait_until(lambda: is_said(b"not reloaded: the log hangs"), "why it was not reloaded")
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_said(b"reloaded (echo"), "the reload")
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_said(b"server stopped"), "the last line")
        self.assertEqual(0, server.process.wait(PATIENCE))

    def write_log_handler(self, handler: dict[str, object], **settings: Any) -> None:
        """Configure a server with a logging.yaml of an older form, without WriteBehind."""
        self.write_configuration(**settings)
        logging = yaml.safe_load((self.folder / "logging.yaml").read_text())
        logging["handlers"]["h"] = handler
        (self.folder / "logging.yaml").write_text(yaml.safe_dump(logging))

    def test_a_log_folder_that_is_moved_away_costs_only_log_lines(self) -> None:
        folder = self.folder / "logs"
        server = self.start(folder / "server.log", [])
        self.talk(server)
        folder.rename(self.folder / "elsewhere")
        self.talk(server)
        self.assertEqual((0, "", ""), server.stop())
