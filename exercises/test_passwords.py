"""What a user, and what a thief of the file would try."""

import hashlib
import time
import unittest

from exercises import tried


class Passwords(unittest.TestCase):
    def setUp(self) -> None:
        self.passwords = tried("passwords")

    def test_the_right_password_is_taken_and_no_other(self) -> None:
        stored = self.passwords.kept("верный конь")
        self.assertTrue(self.passwords.is_right("верный конь", stored))
        for wrong in ("", "верный кон", "Верный конь", stored):
            self.assertFalse(self.passwords.is_right(wrong, stored), wrong)

    def test_equal_passwords_look_different(self) -> None:
        self.assertNotEqual(self.passwords.kept("correct horse"), self.passwords.kept("correct horse"))

    def test_a_guess_is_slow(self) -> None:
        stored = self.passwords.kept("correct horse")
        start = time.process_time()
        for _ in range(5):
            self.passwords.is_right("wrong horse", stored)
        self.assertGreater((time.process_time() - start) / 5, 0.005, "a thief guesses a billion sha256 a second")

    def test_neither_the_password_nor_a_quick_hash_of_it_is_stored(self) -> None:
        stored = self.passwords.kept("correct horse")
        self.assertNotIn("horse", stored)
        for quick in ("md5", "sha1", "sha256", "sha512"):
            self.assertNotIn(hashlib.new(quick, b"correct horse").hexdigest(), stored)

    def test_a_damaged_entry_lets_nobody_in(self) -> None:
        stored = self.passwords.kept("correct horse")
        for damaged in ("", "?", stored[:20], stored[:-1], "!" + stored):
            self.assertFalse(self.passwords.is_right("correct horse", damaged), damaged)
