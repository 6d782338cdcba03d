"""A log that cannot be written or rotated stops nothing, floods nobody, and says what was lost when it heals."""

import re
import select
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from common.wire.framing import encode
from tests.endurance.faults import SmallDisk, failing_calls, needs_mounts, needs_strace
from tests.support import PATIENCE, PorterTestCase, ServerProcess, wait_until

CONNECTIONS = 100  # with four lines each


class LogFaults(PorterTestCase):
    def start(self, log: Path, under: list[str], **options: Any) -> ServerProcess:
        configuration = self.write_configuration()
        logging = yaml.safe_load((self.folder / "logging.yaml").read_text())
        logging["handlers"]["h"].update({"filename": str(log), **options})
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
    def test_on_a_full_disk_it_serves_on_and_counts_what_is_lost(self) -> None:
        disk = SmallDisk(self.folder / "disk", kib=256)
        server = self.start(self.folder / "disk" / "server.log", disk.under)
        log = disk.path(server) / "server.log"
        complaints = server.process.stderr
        assert complaints is not None
        self.talk(server)
        with disk.full(server):
            self.talk(server)
            wait_until(lambda: select.select([complaints], [], [], 0)[0], "a word on standard error")
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
    def test_what_cannot_be_rotated_is_written_on(self) -> None:
        server = self.start(self.folder / "server.log", [], maxBytes=5_000, backupCount=3)
        with failing_calls(server, ["rename", "renameat", "renameat2"], "EACCES"):
            self.talk(server)
            wait_until(lambda: server.log().count("client disconnected") == CONNECTIONS, "the last line")
        self.assertEqual(2 * CONNECTIONS, server.log().count("message "))
        status, _, errors = server.stop()
        self.assertEqual((0, 1), (status, len(errors.splitlines())), errors)
        self.assertIn("cannot rotate", errors)

    def test_a_log_that_blocks_holds_nobody_up_and_not_the_stop(self) -> None:
        self.check_that_blocks(connections=6_000)  # with four lines each: more than a pipe and the queue hold

    def test_a_log_that_blocks_does_not_hold_up_the_stop_of_several_workers(self) -> None:
        self.check_that_blocks(connections=1_000, workers=2)  # the parent has no queue

    def check_that_blocks(self, connections: int, workers: int = 1) -> None:
        configuration = self.write_configuration(limits={"drain_timeout": 0.5}, workers=workers)
        logging = yaml.safe_load((self.folder / "logging.yaml").read_text())
        logging["handlers"]["h"] = {"class": "logging.StreamHandler", "formatter": "f"}  # a pipe that nobody reads
        (self.folder / "logging.yaml").write_text(yaml.safe_dump(logging))
        server = ServerProcess(self, "echo", "--config", str(configuration))
        self.addCleanup(server.close)
        for _ in range(connections):
            with server.connect_raw() as client:
                client.sendall(encode("x"))
                self.assertEqual(encode("x"), client.recv(100))
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        self.assertEqual(0, server.process.wait(PATIENCE))
        self.assertLess(time.monotonic() - start, 0.5 + 2)

    def test_a_folder_that_is_taken_away_costs_nothing_but_lines(self) -> None:
        folder = self.folder / "logs"
        server = self.start(folder / "server.log", [])
        self.talk(server)
        folder.rename(self.folder / "elsewhere")
        self.talk(server)
        self.assertEqual((0, "", ""), server.stop())
