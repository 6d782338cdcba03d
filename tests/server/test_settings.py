"""The settings: defaults, bounds, and the file that shows them."""

import subprocess
import sys
import unittest

import yaml
from pydantic import ValidationError

from common import PROJECT_ROOT
from server.configuration.loading import DEFAULT_FILE, Source
from server.settings import Argon2Options, Limits, LockoutOptions, PasswordOptions, SessionOptions, Settings


class SettingsTests(unittest.TestCase):
    def test_the_file_shows_the_built_in_defaults(self) -> None:
        shown = yaml.safe_load(DEFAULT_FILE.read_text())
        built_in = Settings().model_dump(by_alias=True)
        auth, chat = (
            Source(DEFAULT_FILE).load().choices[mode].handler_class.Options().model_dump()
            for mode in ("auth", "chat")
        )
        built_in["handlers"]["auth"]["options"] = auth
        built_in["handlers"]["chat"]["options"] = {key: chat[key] for key in chat.keys() - auth.keys()}
        for handler in built_in["handlers"].values():
            if not handler["options"]:
                del handler["options"]
        self.assertEqual(built_in, shown)
        self.assertTrue((PROJECT_ROOT / built_in["logging"]).is_file())

    def test_a_value_out_of_bounds_or_of_another_type_is_refused(self) -> None:
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

    def test_settings_cannot_be_changed_later(self) -> None:
        with self.assertRaises(ValidationError):
            Settings().port = 1

    def test_a_handler_with_only_options_keeps_its_class(self) -> None:
        settings = Settings.model_validate({"handlers": {"auth": {"options": {"x": 1}}, "mine": {"class": "a:B"}}})
        self.assertEqual("server.handlers.auth:AuthHandler", settings.handlers["auth"].class_)
        self.assertEqual({"echo", "identify", "auth", "chat", "mine"}, set(settings.handlers))


class Options(unittest.TestCase):
    def test_the_defaults_are_the_agreed_ones(self) -> None:
        self.assertEqual((19456, 2, 1), tuple(Argon2Options().model_dump().values()))
        self.assertEqual(8, PasswordOptions().min_length)
        self.assertEqual((86400, 604800, 5, 3600), tuple(SessionOptions().model_dump().values()))
        self.assertEqual((5, 30, 3600), tuple(LockoutOptions().model_dump().values()))

    def test_a_value_out_of_bounds_is_refused(self) -> None:
        for options, values in (
            (Argon2Options, {"memory_kib": 10_000_000}),
            (Argon2Options, {"time_cost": 0}),
            (PasswordOptions, {"min_length": 257}),
            (SessionOptions, {"per_user": 0}),
            (LockoutOptions, {"free_attempts": 101}),
            (LockoutOptions, {"first_delay": -1}),
        ):
            with self.subTest(values), self.assertRaises(ValidationError):
                options.model_validate(values)

    def test_reading_the_configuration_imports_no_database_and_no_hashing(self) -> None:
        code = (
            "import sys, server.configuration.loading as c;"
            "c.Source(c.DEFAULT_FILE, c.Overrides('echo')).load(); print(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        )
        self.assertFalse({"sqlalchemy", "passlib", "cryptography", "precis_i18n"} & set(done.stdout.split()))
