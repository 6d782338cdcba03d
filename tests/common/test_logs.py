"""Logging: one line an event, nothing forged, quiet when it cannot write."""

import contextlib
import fcntl
import io
import logging
import os
import re
import resource
import stat
import subprocess
import sys
from unittest import mock

import yaml

from common import PROJECT_ROOT, logs
from common.errors import ConfigurationError
from common.logs import Formatter, RotatingFileHandler
from tests.support import PorterTestCase

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d [A-Z]+ \S+ .*")


class Logs(PorterTestCase):
    def handler(self, **options: int) -> RotatingFileHandler:
        handler = RotatingFileHandler(str(self.folder / "new" / "a.log"), **options)
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        return handler

    def emit(self, handler: logging.Handler, text: str, *arguments: object, peer: str | None = None) -> None:
        record = logging.LogRecord("porter.server", logging.INFO, "", 0, text, arguments, None)
        if peer is not None:
            record.peer = peer
        handler.handle(record)

    def lines(self) -> list[str]:
        return (self.folder / "new" / "a.log").read_text().splitlines()

    def test_a_line_has_time_with_offset_level_peer_and_text(self) -> None:
        handler = self.handler()
        self.emit(handler, "hello %s", "world", peer="1.2.3.4:5")
        self.emit(handler, "no peer")
        for line in self.lines():
            self.assertRegex(line, LINE)
        self.assertTrue(self.lines()[0].endswith(" INFO 1.2.3.4:5 hello world"))
        self.assertTrue(self.lines()[1].endswith(" INFO - no peer"))

    def test_no_text_can_forge_a_line_or_move_a_cursor(self) -> None:
        handler = self.handler()
        for nasty in ("a\nb", "a\r\nb", "\x1b[2J", "\x85", "\u2028", "\u202e", "\x00", "\ud800", "%s%n"):
            self.emit(handler, "name %s", nasty, peer=nasty.replace(" ", ""))
        self.assertEqual(9, len(self.lines()))
        self.assertNotRegex("".join(self.lines()), "[\x00-\x1f\x7f-\x9f\u2028\u202e]")

    def test_a_traceback_is_more_lines_of_the_same_form(self) -> None:
        handler = self.handler()
        try:
            raise ValueError("bad\nforged")
        except ValueError as error:
            details = (ValueError, error, error.__traceback__)
            handler.handle(logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), details))
        self.assertGreater(len(self.lines()), 3)
        for line in self.lines():
            self.assertRegex(line, LINE)

    def test_files_rotate(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=2)
        for _ in range(20):
            self.emit(handler, "x" * 50)
        names = sorted(path.name for path in (self.folder / "new").iterdir())
        self.assertEqual(["a.log", "a.log.1", "a.log.2"], names)

    def test_where_no_older_file_is_kept_nothing_is_moved_away(self) -> None:
        handler = self.handler(maxBytes=200, backupCount=0)
        for _ in range(20):
            self.emit(handler, "x" * 50)
        self.assertEqual(20, len(self.lines()))
        self.assertEqual(["a.log"], [path.name for path in (self.folder / "new").iterdir()])

    def test_what_cannot_be_written_is_told_once_and_counted_when_it_can(self) -> None:
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

    def test_a_rotation_that_always_fails_costs_no_older_file(self) -> None:
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

        retried = mock.patch.object(logs, "_ROLLOVER_RETRY", 0.0)
        with retried, mock.patch.object(os, "rename", rename), contextlib.redirect_stderr(io.StringIO()) as errors:
            for number in range(20):
                self.emit(handler, f"line {number}")
        self.assertGreater(errors.getvalue().count("cannot rotate"), 3)
        self.assertEqual(older, {path.name: path.read_text() for path in (self.folder / "new").glob("a.log.*")})

    def test_who_holds_the_lock_of_the_rotation_holds_nobody_up(self) -> None:
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

    def test_without_descriptors_nothing_is_lost_by_the_rotation(self) -> None:
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
            "import sys, logging\nfrom common.logs import *\n"
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

    def test_the_project_s_own_configuration_is_valid_and_rotates(self) -> None:
        for handler in yaml.safe_load((PROJECT_ROOT / "conf" / "logging.yaml").read_text())["handlers"].values():
            self.assertGreater(handler["maxBytes"], 0)
            self.assertGreater(handler["backupCount"], 0)
            self.assertTrue(handler["filename"].startswith("logs/"))

    def test_a_configuration_is_applied_and_another_brings_the_first_back(self) -> None:
        path = self.write_configuration().parent / "logging.yaml"
        first = logs.configure(path)
        logging.getLogger("porter.server").info("hello")
        self.assertTrue((self.folder / "server.log").read_text().endswith("hello\n"))
        wrong = self.write("wrong.yaml", "version: 1\nhandlers: {h: {class: nowhere.Handler}}\n")
        with self.assertRaisesRegex(ConfigurationError, r"wrong.yaml:1:1: .*nowhere"):
            logs.configure(wrong)
        logs.apply(first)
        logging.getLogger("porter.server").info("again")
        self.assertTrue((self.folder / "server.log").read_text().endswith("again\n"))

    def test_keys_given_twice_are_told(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "given twice"):
            logs.configure(self.write("twice.yaml", "version: 1\nversion: 1\n"))

    def test_a_log_is_not_for_everybody(self) -> None:
        handler = self.handler()
        self.emit(handler, "x")
        self.assertEqual(0, stat.S_IMODE((self.folder / "new" / "a.log").stat().st_mode) & 0o111)
