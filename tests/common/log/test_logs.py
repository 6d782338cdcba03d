"""Logging: each line has the same form, and no text can forge a line."""

import json
import logging
import re

import yaml

from common import PROJECT_ROOT
from common.errors import ConfigurationError
from common.log.logs import JsonFormatter, Logging
from tests.common.log.log_case import LogTestCase

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d [A-Z]+ \S+ .*")


class Logs(LogTestCase):
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

    def test_a_line_may_be_a_json_object_with_the_same_fields(self) -> None:
        handler = self.handler()
        handler.setFormatter(JsonFormatter())
        self.emit(handler, "hello %s", "\u017c\n\u202e", peer="1.2.3.4:5")
        try:
            raise ValueError("bad\x1b")
        except ValueError as error:
            details = (ValueError, error, error.__traceback__)
            handler.handle(logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), details))
        first, second = (json.loads(line) for line in self.lines())
        self.assertEqual(["time", "level", "peer", "text"], list(first))
        wanted = ("INFO", "1.2.3.4:5", "hello \u017c\\n\\u202e")
        self.assertEqual(wanted, (first["level"], first["peer"], first["text"]))
        self.assertIn("ValueError: bad\\x1b", second["traceback"])

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

    def test_the_project_s_own_configuration_is_valid_and_rotates(self) -> None:
        handlers = yaml.safe_load((PROJECT_ROOT / "conf" / "logging.yaml").read_text())["handlers"]
        self.assertEqual("file", handlers["server"].pop("target"))
        for handler in (handlers["file"], handlers["client"]):
            self.assertGreater(handler["maxBytes"], 0)
            self.assertGreater(handler["backupCount"], 0)
            self.assertTrue(handler["filename"].startswith("logs/"))

    def test_a_configuration_is_applied_and_a_wrong_one_leaves_it_as_it_was(self) -> None:
        path = self.write_configuration().parent / "logging.yaml"
        logs = Logging()
        logs.configure(path)
        logging.getLogger("porter.server").info("hello")
        self.assertTrue((self.folder / "server.log").read_text().endswith("hello\n"))
        wrong = self.write("wrong.yaml", "version: 1\nhandlers: {h: {class: nowhere.Handler}}\n")
        with self.assertRaisesRegex(ConfigurationError, r"wrong.yaml:1:1: .*nowhere"):
            logs.configure(wrong)
        logging.getLogger("porter.server").info("again")
        self.assertTrue((self.folder / "server.log").read_text().endswith("again\n"))

    def test_a_key_that_is_given_twice_is_reported(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "given twice"):
            Logging().configure(self.write("twice.yaml", "version: 1\nversion: 1\n"))
