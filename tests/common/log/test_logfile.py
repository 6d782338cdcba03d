"""The log file: it rotates, processes can share it, and a write that fails stops nothing."""

import contextlib
import fcntl
import io
import logging
import os
import resource
import stat
import subprocess
import sys
from unittest import mock

from common import PROJECT_ROOT
from common.log import logfile
from common.log.logfile import RotatingFileHandler
from common.log.logs import Formatter
from tests.common.log.log_case import LogTestCase


def event(text: str, peer: str = "-") -> logging.LogRecord:
    record = logging.LogRecord("porter.server", logging.INFO, "", 0, text, None, None)
    record.peer = peer
    return record


class LogFiles(LogTestCase):
    def test_files_rotate(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=2)
        for _ in range(20):
            self.emit(handler, "x" * 50)
        names = sorted(path.name for path in (self.folder / "new").iterdir())
        self.assertEqual(["a.log", "a.log.1", "a.log.2"], names)

    def test_a_file_without_backups_is_never_moved_away(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=0)
        for _ in range(20):
            self.emit(handler, "x" * 50)
        self.assertEqual(20, len(self.lines()))
        self.assertEqual(["a.log"], [path.name for path in (self.folder / "new").iterdir()])

    def test_a_full_disk_is_reported_once_and_the_lost_records_are_counted(self) -> None:
        handler = self.handler()
        self.emit(handler, "first")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # the disk is full
            try:
                for _ in range(5):
                    self.emit(handler, "lost")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        self.emit(handler, "again")
        self.assertEqual(1, errors.getvalue().count("\n"), errors.getvalue())
        self.assertIn("cannot write", errors.getvalue())
        self.assertIn("5 log records were lost", self.lines()[-1])

    def test_when_the_rotation_fails_the_file_grows_and_nothing_is_lost(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=1)
        (self.folder / "new" / "a.log.1" / "in the way").mkdir(parents=True)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            for number in range(20):
                self.emit(handler, f"line {number}")
        self.assertEqual(20, len(self.lines()))
        self.assertEqual(1, errors.getvalue().count("cannot rotate"), errors.getvalue())

    def test_a_rotation_that_always_fails_removes_no_older_file(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=3)
        for number in range(20):
            self.emit(handler, f"line {number}")
        older = {path.name: path.read_text() for path in (self.folder / "new").glob("a.log.*")}
        self.assertEqual(3, len(older))
        real = os.rename

        def rename(source: str, target: str) -> None:
            if source.endswith("a.log"):
                raise OSError(16, "Device or resource busy")
            real(source, target)

        retried = mock.patch.object(logfile, "_ROLLOVER_RETRY", 0.0)
        with retried, mock.patch.object(os, "rename", rename), contextlib.redirect_stderr(io.StringIO()) as errors:
            for number in range(20):
                self.emit(handler, f"line {number}")
        self.assertGreater(errors.getvalue().count("cannot rotate"), 3)
        self.assertEqual(older, {path.name: path.read_text() for path in (self.folder / "new").glob("a.log.*")})

    def test_a_rotation_lock_that_another_process_holds_delays_no_record(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=1)
        self.emit(handler, "line")
        folder = os.open(self.folder / "new", os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            for _ in range(19):
                self.emit(handler, "line")
        finally:
            os.close(folder)
        self.assertEqual(20, len(self.lines()))

    def test_a_rotation_without_free_descriptors_loses_nothing(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=1)
        self.emit(handler, "line")
        no_more = mock.patch.object(os, "open", side_effect=OSError(24, "Too many open files"))
        with no_more, contextlib.redirect_stderr(io.StringIO()):
            for _ in range(19):
                self.emit(handler, "line")
        self.assertEqual(20, len(self.lines()))

    def test_processes_that_share_a_file_rotate_it_once_and_lose_nothing(self) -> None:
        path = self.folder / "shared.log"
        code = (
            "import sys, logging\nfrom common.logfile import *\nfrom common.logs import Formatter\n"
            f"h = RotatingFileHandler({str(path)!r}, maxBytes=5000, backupCount=500)\n"
            "h.setFormatter(Formatter())\n"
            "for n in range(500): h.handle(logging.LogRecord('x', 20, '', 0, sys.argv[1], (), None))\n"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", code, name], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True)
            for name in ("one", "two", "three")
        ]
        self.assertEqual([""] * 3, [writer.communicate()[1] for writer in writers])
        lines = "".join(part.read_text() for part in self.folder.glob("shared.log*")).splitlines()
        self.assertEqual(
            [500] * 3, [sum(line.endswith(f" {name}") for line in lines) for name in ("one", "two", "three")]
        )

    def test_a_file_that_was_moved_is_left_and_a_new_one_is_begun(self) -> None:
        handler = self.handler(maxBytes=100_000, backupCount=1)
        self.emit(handler, "first")
        path = self.folder / "new" / "a.log"
        path.rename(path.with_name("taken.log"))
        self.emit(handler, "second")
        self.assertEqual(1, len(self.lines()))
        self.assertIn("second", self.lines()[0])

    def test_a_failure_is_silent_when_standard_error_is_closed_too(self) -> None:
        handler = self.handler()
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", buffering=1) as gone, contextlib.redirect_stderr(gone):
            with mock.patch.object(os, "write", side_effect=OSError(28, "full")):
                self.emit(handler, "lost")
            with contextlib.suppress(BrokenPipeError):
                gone.close()
        self.emit(handler, "again")
        self.assertIn("1 log record was lost", self.lines()[-1])

    def test_a_full_device_is_not_read_back(self) -> None:
        handler = RotatingFileHandler("/dev/full")
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.emit(handler, "lost")
        self.assertIn("No space left", errors.getvalue())

    def test_a_log_file_is_not_executable(self) -> None:
        handler = self.handler()
        self.emit(handler, "x")
        self.assertEqual(0, stat.S_IMODE((self.folder / "new" / "a.log").stat().st_mode) & 0o111)

    def test_many_records_at_once_are_written_like_single_ones(self) -> None:
        handler = self.handler(maxBytes=400, backupCount=100)
        record = logging.LogRecord("x", logging.WARNING, "", 0, "record", (), None)
        handler.handle_all([record, event("event\n", peer="1.2.3.4:5")] * 20)
        parts = [self.folder / "new" / "a.log", *(self.folder / "new").glob("a.log.*")]
        self.assertGreater(len(parts), 3)
        self.assertLessEqual(max(part.stat().st_size for part in parts), 400)
        lines = "".join(part.read_text() for part in parts).splitlines()
        self.assertEqual(20, sum(line.endswith(" WARNING - record") for line in lines))
        self.assertEqual(20, sum(line.endswith(" INFO 1.2.3.4:5 event\\n") for line in lines))

    def test_a_filter_is_asked_for_each_of_many_records(self) -> None:
        handler = self.handler()
        handler.addFilter(lambda record: record.getMessage() != "unwanted")
        handler.handle_all([event("wanted"), event("unwanted")])
        self.assertEqual(["wanted"], [line.rpartition(" ")[2] for line in self.lines()])

    def test_records_of_a_batch_that_do_not_fit_are_counted(self) -> None:
        handler = self.handler()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with contextlib.redirect_stderr(io.StringIO()):
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
            try:
                handler.handle_all([event(f"event {number}") for number in range(10)])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        written = len(self.lines())
        self.assertIn(written, range(1, 10))
        handler.handle_all([event("again"), event("and again")])
        lines = self.lines()[written:]
        self.assertIn(f"{10 - written} log records were lost before", "".join(lines))
        self.assertEqual(3, len(lines))

    def test_a_device_is_written_and_never_rotated(self) -> None:
        handler = RotatingFileHandler("/dev/null", maxBytes=10, backupCount=1)
        handler.setFormatter(Formatter())
        for _ in range(3):
            self.emit(handler, "x" * 50)
        handler.close()
