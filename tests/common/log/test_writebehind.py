"""Logging in a thread of its own: in order, nothing lost, and nobody held up by a handler that hangs."""

import contextlib
import io
import logging
import threading
import time
from unittest import mock

from common.log import writebehind
from common.log.logfile import RotatingFileHandler
from common.log.logs import Formatter
from common.log.writebehind import WriteBehind
from tests.support import PATIENCE, PorterTestCase, at_once, wait_until


class Slow(logging.Handler):
    """Waits for `gate` before it takes a record."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.taken: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.gate.wait(PATIENCE)
        self.taken.append(f"{record.levelname} {vars(record).get('peer')} {record.getMessage()}")


class WritesBehind(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = logging.getLogger(f"porter.test.{self.id()}")
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        self.slow = Slow()
        self.log.addHandler(self.slow)

    def writer(self) -> WriteBehind:
        writer = WriteBehind(self.log)
        self.addCleanup(writer.end)
        self.addCleanup(self.slow.gate.set)
        return writer

    def test_nobody_waits_for_a_handler_and_all_come_in_order(self) -> None:
        writer = self.writer()
        for number in range(100):
            self.log.info("record %d", number)
            writer.note(f"event {number}", "1.2.3.4:5")
        self.assertEqual([], self.slow.taken)
        self.slow.gate.set()
        writer.flush()
        wanted = [(f"INFO None record {number}", f"INFO 1.2.3.4:5 event {number}") for number in range(100)]
        self.assertEqual([line for pair in wanted for line in pair], self.slow.taken)

    def test_levels_are_heeded_those_of_the_logger_and_those_of_the_handlers(self) -> None:
        writer = self.writer()
        self.slow.gate.set()
        self.slow.setLevel(logging.WARNING)
        writer.note("unwanted", "-")
        self.log.warning("wanted")
        writer.flush()
        self.slow.setLevel(logging.NOTSET)
        self.log.addFilter(lambda record: record.getMessage() != "unwanted")
        writer.note("unwanted", "-")
        writer.note("also wanted", "-")
        self.log.setLevel(logging.ERROR)
        writer.note("also unwanted", "-")
        self.log.info("also unwanted")
        writer.flush()
        self.assertEqual(["WARNING None wanted", "INFO - also wanted"], self.slow.taken)

    def test_handlers_further_up_get_the_records_too_and_everything_is_as_before_in_the_end(self) -> None:
        self.log.propagate = True
        self.slow.gate.set()
        parent = self.log.parent
        assert parent is not None
        above = Slow()
        above.gate.set()
        parent.addHandler(above)
        self.addCleanup(parent.removeHandler, above)
        writer = self.writer()
        self.log.info("hello")
        writer.end()
        self.assertEqual(["INFO None hello"], above.taken)
        self.assertEqual(["INFO None hello"], self.slow.taken)
        self.assertEqual(([self.slow], True), (self.log.handlers, self.log.propagate))

    def test_another_configuration_gets_what_is_logged_after_it_and_the_first_what_was_before(self) -> None:
        writer = self.writer()
        self.slow.gate.set()
        other = Slow()
        other.gate.set()
        self.log.info("before")
        with writer.detached():
            self.log.handlers = [other]
        self.log.info("after")
        writer.flush()
        self.assertEqual((["INFO None before"], ["INFO None after"]), (self.slow.taken, other.taken))

    def test_what_is_logged_while_a_reload_begins_overtakes_nothing(self) -> None:
        writer = self.writer()
        writer.note("before", "-")

        def log_once() -> None:
            flush.side_effect = None
            self.log.info("meanwhile")

        with mock.patch.object(writer, "flush", side_effect=log_once) as flush, writer.detached():
            pass
        self.slow.gate.set()
        writer.flush()
        self.assertEqual(["INFO - before", "INFO None meanwhile"], self.slow.taken[:2])

    def test_a_handler_that_hangs_holds_up_once_and_what_finds_no_place_is_counted(self) -> None:
        with (
            mock.patch.object(writebehind, "_MOST_WAITING", 10),
            mock.patch.object(writebehind, "_LONGEST_WAIT", 0.1),
        ):
            writer = self.writer()
            start = time.monotonic()
            for number in range(100):
                writer.note(f"event {number}", "-")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)
            self.slow.gate.set()
            wait_until(lambda: any("were lost before" in line for line in self.slow.taken), "the count of the lost")
            writer.flush()
            counts = [line for line in self.slow.taken if "were lost before" in line]
            lost = sum(int(line.split()[2]) for line in counts)
            self.assertEqual(100, lost + len(self.slow.taken) - len(counts))

    def test_who_is_only_quicker_than_the_disk_waits_and_loses_nothing(self) -> None:
        with mock.patch.object(writebehind, "_MOST_WAITING", 5):
            writer = self.writer()
            self.slow.gate.set()

            def log() -> None:
                for _ in range(200):
                    self.log.info("x")

            at_once(*[log] * 5)
            writer.flush()
        self.assertEqual(["INFO None x"] * 1000, self.slow.taken)

    def test_a_handler_that_fails_keeps_nothing_from_the_others(self) -> None:
        broken = Slow()
        errors: list[logging.LogRecord] = []
        with (
            mock.patch.object(broken, "handle", side_effect=ValueError),
            mock.patch.object(broken, "handleError", errors.append),
        ):
            self.log.handlers.insert(0, broken)
            writer = self.writer()
            self.slow.gate.set()
            self.log.info("hello")
            writer.flush()
        self.assertEqual(["INFO None hello"], self.slow.taken)
        self.assertEqual(1, len(errors))

    def test_a_record_that_cannot_be_formatted_costs_no_other(self) -> None:
        handler = RotatingFileHandler(str(self.folder / "a.log"))
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        self.log.handlers = [handler]
        writer = self.writer()
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            for text, argument in (("before", None), ("%d", "no number"), ("after", None)):
                self.log.info(text, *([argument] if argument else []))
            writer.flush()
        lines = (self.folder / "a.log").read_text().splitlines()
        self.assertEqual(["before", "after"], [line.rpartition(" ")[2] for line in lines])
        self.assertIn("TypeError", errors.getvalue())

    def test_many_lines_are_few_writes(self) -> None:
        handler = RotatingFileHandler(str(self.folder / "a.log"))
        handler.setFormatter(Formatter())
        self.log.handlers = [handler]
        self.addCleanup(handler.close)
        writer = self.writer()
        with mock.patch.object(handler, "_append", wraps=handler._append) as append:
            for number in range(1000):
                writer.note(f"event {number}", "-")
            writer.flush()
        self.assertEqual(1000, len((self.folder / "a.log").read_text().splitlines()))
        self.assertLess(append.call_count, 100)
