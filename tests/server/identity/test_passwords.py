"""Passwords: the rules, the hashes, and the time that a refusal takes."""

import time
from unittest import mock

from common.errors import Busy, Refusal
from server.identity.hashing import HashPool
from server.identity.passwords import Passwords
from server.settings import Argon2Options, PasswordOptions
from tests.support import PATIENCE, PorterTestCase, scaled

QUICK = Argon2Options(memory_kib=8, time_cost=1, parallelism=1)


class PasswordTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.hash_pool = HashPool()
        self.addCleanup(self.hash_pool.close)
        self.passwords = self.made(QUICK)

    def made(self, argon2: Argon2Options, **options: int) -> Passwords:
        return Passwords(PasswordOptions(argon2=argon2, **options), self.hash_pool)

    def test_a_hash_is_argon2id_with_the_configured_cost_and_a_salt(self) -> None:
        first, second = self.passwords.hash("correct horse"), self.passwords.hash("correct horse")
        self.assertTrue(first.startswith("$argon2id$v=19$m=8,t=1,p=1$"), first)
        self.assertNotEqual(first, second)

    def test_only_the_right_password_is_verified(self) -> None:
        stored = self.passwords.hash("correct horse")
        self.assertEqual((True, None), self.passwords.verify("correct horse", stored))
        self.assertEqual((False, None), self.passwords.verify("wrong horse", stored))
        self.assertEqual((False, None), self.passwords.verify("correct horse", None))

    def test_a_password_is_the_same_on_every_keyboard(self) -> None:
        self.assertTrue(self.passwords.verify("cafe\u0301 12345", self.passwords.hash("caf\u00e9\u00a012345"))[0])

    def test_case_and_spaces_matter(self) -> None:
        stored = self.passwords.hash("Correct Horse")
        for wrong in ("correct horse", "CorrectHorse", " Correct Horse"):
            self.assertFalse(self.passwords.verify(wrong, stored)[0])

    def test_a_bad_new_password_is_refused_with_a_reason(self) -> None:
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

    def test_an_impossible_password_is_wrong_and_raises_nothing(self) -> None:
        stored = self.passwords.hash("correct horse")
        for odd in ("", "\x00", "x" * 100_000, "\ud800"):
            self.assertEqual((False, None), self.passwords.verify(odd, stored))

    def test_a_higher_cost_is_applied_at_the_next_login(self) -> None:
        stored = self.passwords.hash("correct horse")
        costlier = self.made(Argon2Options(memory_kib=16, time_cost=1, parallelism=1))
        right, better = costlier.verify("correct horse", stored)
        self.assertTrue(right)
        assert better is not None
        self.assertIn("m=16", better)
        self.assertEqual((True, None), costlier.verify("correct horse", better))

    def test_a_damaged_or_too_costly_hash_takes_the_same_work_is_refused_and_is_logged(self) -> None:
        hashed = "c2FsdHNhbHQ$" + "a" * 43
        for stored, reason in (
            ("garbage", "damaged"),
            ("", "damaged"),
            ("$argon2id$v=19$m=8,t=1,p=1$xx", "damaged"),
            ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "damaged"),
            (f"$argon2id$v=19$m=99999999,t=1,p=1${hashed}", "costs too much"),
            (f"$argon2id$v=19$m=300000,t=1,p=1${hashed}", "costs too much"),
            (f"$argon2id$v=19$m=8,t=99999999,p=1${hashed}", "costs too much"),
            (f"$argon2id$v=19$m=8,t=1,p=999${hashed}", "costs too much"),
            (f"$argon2id$v=19$m=8,t=1,p=16${hashed}", "cannot be used"),  # below what the algorithm allows
        ):
            with (
                self.subTest(stored[:40]),
                self.assertLogs("porter.server", "ERROR") as logged,
                mock.patch.object(self.passwords._context, "verify", wraps=self.passwords._context.verify) as verify,
            ):
                self.assertEqual((False, None), self.passwords.verify("correct horse", stored))
                self.assertEqual(1, len(logged.records))
                self.assertIn(reason, logged.output[0])
                verify.assert_called_with("correct horse", self.passwords._dummy_hash)

    def test_the_most_common_passwords_are_refused_in_upper_and_lower_case(self) -> None:
        for common in ("password1", "PassWord123", "12345678", "trustno1"):
            with self.subTest(common), self.assertRaisesRegex(Refusal, "most common"):
                self.passwords.check_new(common)
        self.passwords.check_new("password1 and more")
        with self.assertRaisesRegex(Refusal, "most common"):
            self.made(QUICK, min_length=4).check_new("1234")

    def test_a_refusal_takes_at_least_the_shortest_time(self) -> None:
        self.passwords._shortest_refusal = scaled(0.05)
        start = time.monotonic()
        with self.assertRaises(Refusal), self.passwords.turn():
            raise Refusal("no")
        self.assertGreaterEqual(time.monotonic() - start, scaled(0.05))
        self.passwords._shortest_refusal = PATIENCE
        for other in (Busy("busy"), KeyError()):
            with self.assertRaises(type(other)), self.passwords.turn():
                raise other
        with self.passwords.turn():
            pass
        self.assertLess(time.monotonic() - start, PATIENCE)

    def test_the_shortest_time_of_a_refusal_grows_with_the_cost_of_a_hash(self) -> None:
        self.assertLess(self.passwords._shortest_refusal, self.made(Argon2Options())._shortest_refusal)
