"""A log that cannot be written or rotated stops nothing, floods nobody, and says what was lost when it heals."""

import re
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from common.errors import DeadlineExceeded
from common.sockets import Timeouts
from tests.endurance.faults import SmallDisk, failing_calls, needs_mounts, needs_strace
from tests.support import PATIENCE, PorterTestCase, ServerProcess, wait_until

MESSAGES = 300


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
        client = server.connect()
        for number in range(MESSAGES):
            client.send_message(str(number))
            self.assertEqual(str(number), client.receive_message())
        client.close()

    @needs_mounts
    def test_on_a_full_disk_it_serves_on_and_counts_what_is_lost(self) -> None:
        disk = SmallDisk(self.folder / "disk", kib=256)
        server = self.start(self.folder / "disk" / "server.log", disk.under)
        log = disk.path(server) / "server.log"
        self.talk(server)
        with disk.full(server):
            self.talk(server)
        self.talk(server)
        wait_until(lambda: "log records were lost before" in log.read_text(), "the count of what is lost")

        def accounted_for() -> int:
            text = log.read_text()
            lost = sum(int(count) for count in re.findall(r"(\d+) log records were lost before", text))
            return text.count("message ") + text.count("client ") + lost

        wait_until(lambda: accounted_for() == 3 * (2 * MESSAGES + 2), "a line or a count for each event")
        for line in log.read_text().splitlines():
            self.assertRegex(line, r"^20\d\d-\S+ (INFO|WARNING) (-|127\.0\.0\.1:\d+) \S.*\w")
        status, _, errors = server.stop()
        self.assertEqual((0, 1), (status, len(errors.splitlines())), errors)
        self.assertIn("cannot write", errors)

    @needs_strace
    def test_what_cannot_be_rotated_is_written_on(self) -> None:
        server = self.start(self.folder / "server.log", [], maxBytes=10_000, backupCount=3)
        with failing_calls(server, ["rename", "renameat", "renameat2"], "EACCES"):
            self.talk(server)
            server.wait_for_log("client disconnected")
        self.assertEqual(2 * MESSAGES, server.log().count("message "))
        status, _, errors = server.stop()
        self.assertEqual((0, 1), (status, len(errors.splitlines())), errors)
        self.assertIn("cannot rotate", errors)

    def test_a_log_that_blocks_does_not_hold_the_stop_up(self) -> None:
        configuration = self.write_configuration(limits={"drain_timeout": 0.5})
        logging = yaml.safe_load((self.folder / "logging.yaml").read_text())
        logging["handlers"]["h"] = {"class": "logging.StreamHandler", "formatter": "f"}  # a pipe that nobody reads
        (self.folder / "logging.yaml").write_text(yaml.safe_dump(logging))
        server = ServerProcess(self, "echo", "--config", str(configuration))
        self.addCleanup(server.close)
        client = server.connect()
        client.timeouts = Timeouts(idle=0.5)
        with self.assertRaises(DeadlineExceeded):
            while True:
                client.send_message("x")
                client.receive_message()
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
