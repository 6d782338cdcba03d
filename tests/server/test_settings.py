"""The settings: defaults, bounds, and the file that shows them."""

import unittest

import yaml
from pydantic import ValidationError

from common import PROJECT_ROOT
from server.configuration import DEFAULT_FILE, Overrides, load
from server.settings import Limits, Settings


class SettingsTests(unittest.TestCase):
    def test_the_file_shows_the_built_in_defaults(self) -> None:
        shown = yaml.safe_load(DEFAULT_FILE.read_text())
        built_in = Settings().model_dump(by_alias=True)
        auth = load(DEFAULT_FILE, Overrides()).choices["auth"]
        built_in["handlers"]["auth"]["options"] = auth.handler_class.Options().model_dump()
        for handler in built_in["handlers"].values():
            if not handler["options"]:
                del handler["options"]
        self.assertEqual(built_in, shown)
        self.assertTrue((PROJECT_ROOT / built_in["logging"]).is_file())

    def test_what_is_out_of_bounds_or_of_another_type_is_refused(self) -> None:
        for values in (
            {"max_connections": 0},
            {"max_connections": "5"},
            {"max_connections": True},
            {"idle_timeout": 0},
            {"idle_timeout": float("inf")},
            {"idle_timeout": float("nan")},
            {"max_message": 2**31},
            {"unknown": 1},
        ):
            with self.subTest(values), self.assertRaises(ValidationError):
                Limits.model_validate(values)

    def test_nothing_changes_later(self) -> None:
        with self.assertRaises(ValidationError):
            Settings().port = 1

    def test_a_handler_s_part_keeps_its_class(self) -> None:
        settings = Settings.model_validate({"handlers": {"auth": {"options": {"x": 1}}, "mine": {"class": "a:B"}}})
        self.assertEqual("server.handlers.auth:AuthHandler", settings.handlers["auth"].class_)
        self.assertEqual({"echo", "identify", "auth", "mine"}, set(settings.handlers))
