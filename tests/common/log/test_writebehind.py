"""Writing behind: records come in order, none is lost, and a handler that hangs does not stop the program."""

import contextlib
import io
import logging
import logging.config
import threading
import time
from typing import Any
from unittest import mock

import yaml

from common import PROJECT_ROOT
from common.log import writebehind
from common.log.logfile import RotatingFileHandler
from common.log.logs import Events, Formatter
from common.log.writebehind import WriteBehind, behind, writers
from tests.support import PATIENCE, PorterTestCase, at_once, scaled, wait_until


class Slow(logging.Handler):
    """A handler that waits for `gate` before it takes a record."""

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
        self.events = Events(self.log)

    def writer(self, capacity: int = 20_000, target: logging.Handler | None = None) -> WriteBehind:
        """Put a running writer in front of `target`, by default in front of the slow handler."""
        writer = WriteBehind(capacity, target or self.slow)
        writer.start()
        self.addCleanup(writer.close)
        self.addCleanup(self.slow.gate.set)
        self.log.addHandler(writer)
        return writer

    def test_no_thread_waits_for_a_handler_and_all_records_come_in_order(self) -> None:
        writer = self.writer()
        for number in range(100):
            self.log.info("record %d", number)
            self.events.log(f"event {number}", "1.2.3.4:5")
        self.assertEqual([], self.slow.taken)
        self.slow.gate.set()
        self.assertTrue(writer.drain())
        wanted = [(f"INFO None record {number}", f"INFO 1.2.3.4:5 event {number}") for number in range(100)]
        self.assertEqual([line for pair in wanted for line in pair], self.slow.taken)

    def test_the_levels_and_filters_of_the_logger_and_of_both_handlers_count(self) -> None:
        writer = self.writer()
        self.slow.gate.set()
        self.slow.setLevel(logging.WARNING)
        self.events.log("unwanted", "-")
        self.log.warning("wanted")
        writer.drain()
        self.slow.setLevel(logging.NOTSET)
        for holder in (self.log, writer, self.slow):
            word = f"unwanted {len(self.slow.taken)}"
            holder.addFilter(lambda record, word=word: record.getMessage() != word)  # type: ignore[misc]
            self.events.log(word, "-")
            self.events.log("also wanted", "-")
            writer.drain()
        self.log.setLevel(logging.ERROR)
        self.events.log("also unwanted", "-")
        writer.drain()
        self.assertEqual(["WARNING None wanted", *["INFO - also wanted"] * 3], self.slow.taken)

    def test_the_thread_that_logs_writes_before_the_start_and_after_the_stop(self) -> None:
        self.slow.gate.set()
        writer = WriteBehind(target=self.slow)
        self.addCleanup(writer.close)
        self.log.addHandler(writer)
        before = threading.active_count()
        self.log.info("before")
        self.assertEqual((["INFO None before"], before), (self.slow.taken, threading.active_count()))
        writer.start()
        self.log.info("meanwhile")
        writer.stop()
        self.log.info("after")
        self.assertEqual([f"INFO None {when}" for when in ("before", "meanwhile", "after")], self.slow.taken)

    def test_a_handler_that_hangs_delays_once_and_lost_records_are_counted(self) -> None:
        with mock.patch.object(writebehind, "_PATIENCE", scaled(0.1)):
            writer = self.writer(capacity=10)
            start = time.monotonic()
            for number in range(100):
                self.events.log(f"event {number}", "-")
            self.assertFalse(writer.drain(), "it is stuck")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)
            self.slow.gate.set()
            wait_until(lambda: any("were lost before" in line for line in self.slow.taken), "the count of the lost")
            writer.drain()
            counts = [line for line in self.slow.taken if "were lost before" in line]
            lost = sum(int(line.split()[2]) for line in counts)
            self.assertEqual(100, lost + len(self.slow.taken) - len(counts))

    def test_a_stop_waits_only_a_limited_time_for_a_handler_that_hangs(self) -> None:
        with mock.patch.object(writebehind, "_PATIENCE", scaled(0.1)):
            writer = self.writer()
            self.log.info("hello")
            wait_until(lambda: not writer._waiting, "the record is taken")
            start = time.monotonic()
            writer.stop()
            self.assertLess(time.monotonic() - start, PATIENCE / 2)
        self.slow.gate.set()

    def test_threads_that_log_faster_than_the_disk_wait_and_lose_nothing(self) -> None:
        writer = self.writer(capacity=5)
        self.slow.gate.set()

        def log() -> None:
            for _ in range(200):
                self.log.info("x")

        at_once(*[log] * 5)
        writer.drain()
        self.assertEqual(["INFO None x"] * 1000, self.slow.taken)

    def test_records_that_come_while_the_thread_ends_are_written(self) -> None:
        writer = self.writer()
        self.slow.gate.set()

        def log() -> None:
            for _ in range(200):
                self.log.info("x")

        at_once(log, writer.stop, log)
        self.assertEqual(400, len(self.slow.taken))

    def test_a_handler_that_fails_does_not_stop_the_writer(self) -> None:
        errors: list[logging.LogRecord] = []
        with (
            mock.patch.object(self.slow, "handle", side_effect=[ValueError, True]),
            mock.patch.object(self.slow, "handleError", errors.append),
        ):
            writer = self.writer()
            self.log.info("hello")
            self.log.info("again")
            self.assertTrue(writer.drain())
        self.assertEqual(["hello"], [record.getMessage() for record in errors])

    def test_only_a_record_that_cannot_be_formatted_is_lost(self) -> None:
        handler = RotatingFileHandler(str(self.folder / "a.log"))
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        writer = self.writer(target=handler)
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            for text, argument in (("before", None), ("%d", "no number"), ("after", None)):
                self.log.info(text, *([argument] if argument else []))
            writer.drain()
        lines = (self.folder / "a.log").read_text().splitlines()
        self.assertEqual(["before", "after"], [line.rpartition(" ")[2] for line in lines])
        self.assertIn("TypeError", errors.getvalue())

    def test_many_lines_are_written_with_few_calls(self) -> None:
        handler = RotatingFileHandler(str(self.folder / "a.log"))
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        writer = self.writer(target=handler)
        with mock.patch("os.write", wraps=__import__("os").write) as write:
            for number in range(1000):
                self.events.log(f"event {number}", "-")
            writer.drain()
        self.assertEqual(1000, len((self.folder / "a.log").read_text().splitlines()))
        self.assertLess(write.call_count, 100)


class Configured(PorterTestCase):
    """Configures the writer with logging.config, as conf/logging.yaml does."""

    def setUp(self) -> None:
        super().setUp()
        self.log = logging.getLogger("porter.server")
        for logger in (self.log, logging.getLogger("porter"), logging.getLogger()):
            for handler in logger.handlers[:]:
                logger.removeHandler(handler)
        self.log.propagate = True

    def dict_config(self, name: str, **loggers: Any) -> dict[str, Any]:
        file = {"class": "common.log.logfile.RotatingFileHandler", "filename": str(self.folder / name)}
        return {"version": 1, "disable_existing_loggers": False, "handlers": {"file": file}, **loggers}

    def test_the_target_is_resolved_and_a_new_configuration_closes_it_without_loss(self) -> None:
        for name in ("first.log", "second.log"):
            wanted = self.dict_config(name, loggers={"porter.server": {"level": "INFO", "handlers": ["server"]}})
            wanted["handlers"]["server"] = {"class": "common.log.writebehind.WriteBehind", "target": "file"}
            self.assertEqual(wanted, behind(wanted), "nothing is changed where the file says it")
            logging.config.dictConfig(wanted)
            for writer in writers(self.log):
                writer.start()
            for number in range(100):
                self.log.info("%d", number)
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        numbers = "".join(f"{number}\n" for number in range(100))
        for name in ("first.log", "second.log"):
            self.assertEqual(numbers, (self.folder / name).read_text())

    def test_a_configuration_without_write_behind_is_written_behind_too(self) -> None:
        for name, loggers in (
            ("porter.server", {"loggers": {"porter.server": {"level": "INFO", "handlers": ["file"]}}}),
            ("porter", {"loggers": {"porter": {"level": "INFO", "handlers": ["file"]}}}),
            ("", {"root": {"level": "INFO", "handlers": ["file"]}}),
        ):
            with self.subTest(name):
                logging.config.dictConfig(behind(self.dict_config("a.log", **loggers)))
                self.log.setLevel(logging.INFO)
                (writer,) = writers(self.log)
                writer.start()
                self.log.info("hello")
                self.assertTrue(writer.drain())
                self.assertEqual("hello\n", (self.folder / "a.log").read_text())
                (self.folder / "a.log").unlink()
                writer.close()
                logging.getLogger(name).removeHandler(writer)

    def test_the_project_s_own_file_is_left_as_it_is(self) -> None:
        own = yaml.safe_load((PROJECT_ROOT / "conf" / "logging.yaml").read_text())
        self.assertEqual(own, behind(own))

    def test_errors_of_a_configuration_are_left_to_logging_config(self) -> None:
        for wrong in (
            {"version": 1, "loggers": {"porter": 5}},
            {"version": 1, "loggers": {"porter": {"handlers": "file"}}},
            {"version": 1, "loggers": {"porter": {"handlers": ["nosuch"]}}},
            {"version": 1, "loggers": None, "handlers": None},
        ):
            changed = behind(wrong)
            self.assertEqual(wrong.get("loggers") or {}, changed["loggers"])
