"""The options of the rule books: defaults, bounds, and that they cost no heavy import."""

import subprocess
import sys
import unittest

from pydantic import ValidationError

from common import PROJECT_ROOT
from server.options import Argon2Options, LockoutOptions, PasswordOptions, SessionOptions


class Options(unittest.TestCase):
    def test_the_defaults_are_those_of_the_contract(self) -> None:
        self.assertEqual((19456, 2, 1), tuple(Argon2Options().model_dump().values()))
        self.assertEqual(8, PasswordOptions().min_length)
        self.assertEqual((86400, 604800, 5, 3600), tuple(SessionOptions().model_dump().values()))
        self.assertEqual((5, 30, 3600), tuple(LockoutOptions().model_dump().values()))

    def test_what_is_out_of_bounds_is_refused(self) -> None:
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
            "import sys, server.configuration as c; c.load(c.DEFAULT_FILE, c.Overrides('echo')); print(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        )
        self.assertFalse({"sqlalchemy", "passlib", "cryptography", "precis_i18n"} & set(done.stdout.split()))
