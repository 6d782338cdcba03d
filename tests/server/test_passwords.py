"""Passwords: the rules, the hashes, and how many are computed at once."""

import threading
from unittest import mock

from common.errors import Busy, Refusal
from server import passwords
from server.options import Argon2Options, PasswordOptions
from server.passwords import Passwords
from tests.support import PATIENCE, PorterTestCase

QUICK = Argon2Options(memory_kib=8, time_cost=1, parallelism=1)


class PasswordTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.passwords = Passwords(PasswordOptions(argon2=QUICK))

    def test_a_hash_is_argon2id_with_the_configured_cost_and_a_salt(self) -> None:
        first, second = self.passwords.hash("correct horse"), self.passwords.hash("correct horse")
        self.assertTrue(first.startswith("$argon2id$v=19$m=8,t=1,p=1$"), first)
        self.assertNotEqual(first, second)

    def test_only_the_right_password_is_right(self) -> None:
        stored = self.passwords.hash("correct horse")
        self.assertEqual((True, None), self.passwords.verify("correct horse", stored))
        self.assertEqual((False, None), self.passwords.verify("wrong horse", stored))
        self.assertEqual((False, None), self.passwords.verify("correct horse", None))

    def test_a_password_is_the_same_on_every_keyboard(self) -> None:
        self.assertTrue(self.passwords.verify("cafe\u0301 12345", self.passwords.hash("caf\u00e9\u00a012345"))[0])

    def test_case_and_spaces_count(self) -> None:
        stored = self.passwords.hash("Correct Horse")
        for wrong in ("correct horse", "CorrectHorse", " Correct Horse"):
            self.assertFalse(self.passwords.verify(wrong, stored)[0])

    def test_what_can_be_no_new_password_is_refused(self) -> None:
        for wrong, reason in (
            ("short", "at least 8"),
            ("", "at least 8"),
            ("with\nbreaks", "control"),
            ("x" * 257, "at most 256"),
            ("x" * 100_000, "at most 256"),
        ):
            with self.assertRaisesRegex(Refusal, reason):
                self.passwords.check_new(wrong)
        self.passwords.check_new("x" * 256)
        self.passwords.check_new("пароль из слов")

    def test_what_can_be_no_password_is_wrong_and_no_error(self) -> None:
        stored = self.passwords.hash("correct horse")
        for odd in ("", "\x00", "x" * 100_000, "\ud800"):
            self.assertEqual((False, None), self.passwords.verify(odd, stored))

    def test_a_dearer_cost_is_applied_at_the_next_login(self) -> None:
        stored = self.passwords.hash("correct horse")
        dearer = Passwords(PasswordOptions(argon2=Argon2Options(memory_kib=16, time_cost=1, parallelism=1)))
        right, better = dearer.verify("correct horse", stored)
        self.assertTrue(right)
        assert better is not None
        self.assertIn("m=16", better)
        self.assertEqual((True, None), dearer.verify("correct horse", better))

    def test_a_damaged_hash_is_wrong_and_an_error_in_the_log(self) -> None:
        for damaged in (
            "garbage",
            "$argon2id$v=19$m=8,t=1,p=1$xx",
            "$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        ):
            with self.assertLogs("porter.server", "ERROR") as logged:
                self.assertEqual((False, None), self.passwords.verify("correct horse", damaged))
            self.assertEqual(1, len(logged.records))

    def test_when_all_places_are_taken_it_is_busy(self) -> None:
        with mock.patch.object(passwords, "_QUEUE", 0), mock.patch("os.cpu_count", return_value=2):
            crowded = Passwords(PasswordOptions(argon2=QUICK))
        with crowded._permit():
            self.assertRaises(Busy, crowded.hash, "correct horse")
        crowded.hash("correct horse")

    def test_a_place_in_the_queue_is_given_up_after_a_while(self) -> None:
        with mock.patch.object(passwords, "_LONGEST_WAIT", 0.01), mock.patch("os.cpu_count", return_value=2):
            crowded = Passwords(PasswordOptions(argon2=QUICK))
            with crowded._permit():
                self.assertRaises(Busy, crowded.hash, "correct horse")

    def test_many_at_once_all_have_their_turn(self) -> None:
        stored = self.passwords.hash("correct horse")
        right = []

        def verify() -> None:
            right.append(self.passwords.verify("correct horse", stored)[0])

        threads = [threading.Thread(target=verify) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([True] * 12, right)
