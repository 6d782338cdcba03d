"""Logging in and out: accounts, passwords, the lockout, sessions and revocations work together."""

import threading
from functools import partial
from typing import Any
from unittest import mock

from sqlalchemy import Connection

from common.errors import Busy, Refusal, SessionEnded
from server.identity.accounts import Accounts
from server.identity.hashing import HashPool
from server.identity.lockout import Lockout
from server.identity.logins import IMPOSSIBLE, WRONG, Logins
from server.identity.names import AccountName, account_name
from server.identity.passwords import Passwords
from server.identity.revocations import Login, Revocations
from server.identity.sessions import Sessions
from server.identity.watcher import Watcher
from server.settings import Argon2Options, LockoutOptions, PasswordOptions, RegistrationLimits, SessionOptions
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE

ALICE = account_name("Alice")
HOME, AWAY = "10.0.0.1", "10.0.0.2"


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.hash_pool = HashPool()
        self.addCleanup(self.hash_pool.close)
        self.watcher = Watcher(self.store)
        self.addCleanup(self.watcher.close)
        self.logins = self.make(Argon2Options(memory_kib=8, time_cost=1, parallelism=1))
        self.first = self.logins.register(ALICE, "correct horse", HOME)

    def make(self: Any, argon2: Argon2Options) -> Logins:
        return Logins(
            self.store,
            Accounts(self.store, RegistrationLimits()),
            Passwords(PasswordOptions(argon2=argon2), self.hash_pool),
            Lockout(self.store, LockoutOptions(free_attempts=2, first_delay=30)),
            Sessions(self.store, SessionOptions(per_user=3, renew_after=600)),
            Revocations(self.store),
            self.watcher,
        )

    def try_password(self: Any, password: str, address: str = AWAY, name: AccountName = ALICE) -> bool:
        try:
            self.logins.log_in(name, password, address)
        except Refusal as refusal:
            self.assertEqual(WRONG, str(refusal))
            return False
        return True

    def account(self: Any) -> Any:
        with self.store.reading() as transaction:
            return self.logins.accounts.find(transaction, ALICE)

    def test_a_registration_logs_in_and_its_token_logs_in_again(self: Any) -> None:
        self.assertEqual("Alice", self.first.name)
        back = self.logins.resume(self.first.token)
        self.assertEqual(Login(self.first.account_id, "Alice", "alice", self.first.session_id, 0, None), back)
        self.assertFalse(self.logins.is_new(ALICE))

    def test_only_the_right_password_logs_in(self: Any) -> None:
        self.assertFalse(self.try_password("wrong horse"))
        self.assertTrue(self.try_password("correct horse"))

    def test_an_impossible_and_an_unknown_name_get_the_same_refusal(self: Any) -> None:
        self.assertFalse(self.try_password("correct horse", name=IMPOSSIBLE))
        self.assertFalse(self.try_password("correct horse", name=account_name("nobody")))

    def test_after_the_free_attempts_the_right_password_is_refused_for_a_while(self: Any) -> None:
        tries = ["wrong horse"] * 3 + ["correct horse"]
        self.assertEqual([False] * 4, [self.try_password(password) for password in tries])
        self.now += 31
        self.assertTrue(self.try_password("correct horse"))

    def test_an_unknown_name_is_locked_like_a_known_one(self: Any) -> None:
        nobody = account_name("nobody")
        with mock.patch.object(self.logins.passwords, "verify", wraps=self.logins.passwords.verify) as verify:
            for _ in range(5):
                self.try_password("wrong horse", name=nobody)
        self.assertEqual(5, verify.call_count)  # the same work, locked or not

    def test_guesses_from_elsewhere_do_not_lock_out_the_owner(self: Any) -> None:
        for _ in range(5):
            self.try_password("wrong horse", AWAY)
        self.assertFalse(self.try_password("correct horse", AWAY))
        self.assertTrue(self.try_password("correct horse", HOME))
        self.assertIsNotNone(self.logins.resume(self.first.token))

    def test_the_owners_address_gives_no_more_guesses_than_another(self: Any) -> None:
        for _ in range(5):
            self.try_password("wrong horse", HOME)
        self.assertFalse(self.try_password("correct horse", HOME))
        self.assertTrue(self.try_password("correct horse", AWAY))

    def test_a_login_at_home_does_not_forgive_the_guesses_from_elsewhere(self: Any) -> None:
        for _ in range(3):
            self.try_password("wrong horse", AWAY)
        self.assertTrue(self.try_password("correct horse", HOME))
        self.assertFalse(self.try_password("correct horse", AWAY))

    def test_a_busy_server_counts_no_failure(self: Any) -> None:
        with mock.patch.object(self.hash_pool, "turn", side_effect=Busy("busy")):
            for _ in range(5):
                self.assertRaises(Busy, self.logins.log_in, ALICE, "correct horse", AWAY)
            self.assertRaises(Busy, self.logins.log_in, IMPOSSIBLE, "correct horse", AWAY)
        self.assertTrue(self.try_password("correct horse"))

    def test_a_disabled_account_refuses_password_and_token(self: Any) -> None:
        with self.store.writing() as transaction:
            self.logins.accounts.set_disabled(transaction, self.first.account_id, True)
        self.assertFalse(self.try_password("correct horse"))
        self.assertIsNone(self.logins.resume(self.first.token))

    def test_an_account_that_changes_during_the_password_check_refuses_the_login(self: Any) -> None:
        accounts, account_id = self.logins.accounts, self.first.account_id
        for change in (
            lambda transaction: accounts.set_disabled(transaction, account_id, True),
            lambda transaction: accounts.set_password(transaction, account_id, "other"),
            lambda transaction: accounts.remove(transaction, account_id),
        ):

            def change_meanwhile(*_: object, change: Any = change) -> tuple[bool, None]:
                with self.store.writing() as transaction:
                    change(transaction)
                return True, None

            with mock.patch.object(self.logins.passwords, "verify", change_meanwhile):
                self.assertFalse(self.try_password("correct horse"))
            with self.store.writing() as transaction:
                accounts.set_disabled(transaction, account_id, False)

    def test_a_more_expensive_hash_is_stored_at_the_next_login(self: Any) -> None:
        self.logins = self.make(Argon2Options(memory_kib=16, time_cost=1, parallelism=1))
        self.assertTrue(self.try_password("correct horse"))
        self.assertIn("m=16", self.account().password_hash)

    def test_simultaneous_logins_all_succeed_while_the_hash_is_updated(self: Any) -> None:
        self.logins = self.make(Argon2Options(memory_kib=16, time_cost=1, parallelism=1))
        let_in: list[bool] = []
        threads = [
            threading.Thread(target=lambda: let_in.append(self.try_password("correct horse"))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([True] * 3, let_in)

    def test_a_busy_server_during_a_password_change_counts_no_failure(self: Any) -> None:
        with mock.patch.object(self.hash_pool, "turn", side_effect=Busy("busy")):
            for _ in range(5):
                with self.assertRaises(Busy):
                    self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertTrue(self.try_password("correct horse", HOME))

    def is_familiar(self: Any, transaction: Connection, address: str) -> bool:
        found: bool = self.logins.accounts.find_from(transaction, "alice", address)[1]
        return found

    def test_after_a_password_change_only_the_address_of_the_change_is_familiar(self: Any) -> None:
        self.assertTrue(self.try_password("correct horse", AWAY))
        self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        with self.store.reading() as transaction:
            familiar = partial(self.is_familiar, transaction)
            self.assertEqual((True, False), (familiar(HOME), familiar(AWAY)))
        self.assertEqual("Alice", self.logins.last_name_at(AWAY))
        self.assertTrue(self.try_password("another horse", AWAY))
        with self.store.reading() as transaction:
            self.assertTrue(self.logins.accounts.find_from(transaction, "alice", AWAY)[1])

    def test_a_refusal_has_its_reason_for_the_log(self: Any) -> None:
        def reason(name: AccountName) -> str:
            with self.assertRaises(Refusal) as caught:
                self.logins.log_in(name, "wrong horse", AWAY)
            return str(caught.exception.reason)

        self.assertEqual("no possible name", reason(IMPOSSIBLE))
        self.assertEqual("nobody does not exist", reason(account_name("nobody")))
        self.assertEqual("alice has another password", reason(ALICE))
        reason(ALICE)
        self.assertEqual("alice has another password, and is now locked for 30 seconds", reason(ALICE))
        self.assertEqual("alice is locked for 30 seconds", reason(ALICE))
        self.now += 31
        with self.store.writing() as transaction:
            self.logins.accounts.set_disabled(transaction, self.first.account_id, True)
            self.logins.lockout.forget(transaction, "alice")
        self.assertEqual("alice is disabled", reason(ALICE))

    def test_a_new_account_is_not_taken_for_a_removed_one(self: Any) -> None:
        with self.store.writing() as transaction:
            self.logins.accounts.remove(transaction, self.first.account_id)
        bob = self.logins.register(account_name("bob"), "correct horse", HOME)
        self.logins.log_out(self.first)
        self.logins.log_out_everywhere(self.first)
        with self.assertRaises(Refusal):
            self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertIsNotNone(self.logins.resume(bob.token))

    def test_the_number_of_an_ended_session_is_not_used_again(self: Any) -> None:
        self.logins.log_out(self.first)
        bob = self.logins.register(account_name("bob"), "correct horse", HOME)
        self.logins.log_out(self.first)
        self.assertIsNotNone(self.logins.resume(bob.token))

    def test_a_refused_registration_costs_no_hash(self: Any) -> None:
        with (
            mock.patch.object(self.logins.accounts, "refuse_too_many", side_effect=Refusal("no more")),
            mock.patch.object(self.logins.passwords, "hash") as hash,
            self.assertRaisesRegex(Refusal, "no more"),
        ):
            self.logins.register(account_name("bob"), "correct horse", HOME)
        hash.assert_not_called()

    def test_a_new_account_does_not_inherit_the_lock_of_its_name(self: Any) -> None:
        bob = account_name("bob")
        for _ in range(4):
            self.try_password("wrong horse", AWAY, bob)
        self.logins.register(bob, "correct horse", HOME)
        self.assertTrue(self.try_password("correct horse", AWAY, bob))

    def test_an_old_token_is_renewed_when_it_is_used(self: Any) -> None:
        self.now += 601
        renewed = self.logins.resume(self.first.token)
        self.assertNotIn(renewed.token, (None, self.first.token))
        self.assertEqual(renewed.session_id, self.logins.resume(renewed.token).session_id)

    def test_a_use_is_recorded_without_a_renewal_and_makes_no_address_familiar(self: Any) -> None:
        self.now += 61
        self.assertIsNone(self.logins.resume(self.first.token).token)
        with self.store.reading() as transaction:
            self.assertFalse(self.logins.sessions.find(transaction, self.first.token).note_due)
            self.assertFalse(self.logins.accounts.find_from(transaction, "alice", AWAY)[1])

    def test_logging_out_ends_only_this_session_with_all_its_tokens(self: Any) -> None:
        second = self.logins.log_in(ALICE, "correct horse", HOME)
        self.now += 601
        renewed = self.logins.resume(self.first.token)
        self.logins.log_out(renewed)
        found = [self.logins.resume(token) for token in (self.first.token, renewed.token, second.token)]
        self.assertEqual([True, True, False], [login is None for login in found])

    def test_logging_out_everywhere_ends_all_sessions(self: Any) -> None:
        second = self.logins.log_in(ALICE, "correct horse", HOME)
        self.logins.log_out_everywhere(second)
        self.assertEqual([None, None], [self.logins.resume(token) for token in (self.first.token, second.token)])

    def test_a_changed_password_ends_all_other_sessions_and_tokens(self: Any) -> None:
        changed = self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertIsNone(self.logins.resume(self.first.token))
        self.assertIsNotNone(self.logins.resume(changed.token))
        self.assertEqual([False, True], [self.try_password(word) for word in ("correct horse", "another horse")])

    def test_a_wrong_old_or_a_bad_new_password_changes_nothing(self: Any) -> None:
        for present, new in (("wrong horse", "another horse"), ("correct horse", "short")):
            self.assertRaises(Refusal, self.logins.change_password, self.first, present, new, HOME)
        self.assertTrue(self.try_password("correct horse"))

    def test_a_password_changed_during_the_check_is_not_overwritten(self: Any) -> None:
        def change_meanwhile(*_: object) -> tuple[bool, None]:
            with self.store.writing() as transaction:
                self.logins.accounts.set_password(transaction, self.first.account_id, "another's")
            return True, None

        with mock.patch.object(self.logins.passwords, "verify", change_meanwhile), self.assertRaises(Refusal):
            self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertEqual("another's", self.account().password_hash)

    def test_a_session_ended_elsewhere_cannot_change_the_password(self: Any) -> None:
        other = self.logins.resume(self.first.token)
        self.logins.log_out(other)
        with self.assertRaises(SessionEnded):
            self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertTrue(self.try_password("correct horse"))

    def test_a_removed_account_cannot_change_its_password(self: Any) -> None:
        with self.store.writing() as transaction:
            self.logins.accounts.remove(transaction, self.first.account_id)
        with self.assertRaisesRegex(Refusal, "does not exist any more"):
            self.logins.change_password(self.first, "correct horse", "another horse", HOME)
        self.assertIsNone(self.logins.resume(self.first.token))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    def test_a_logout_between_the_reads_of_a_resume_ends_the_session(self) -> None:
        find = self.logins.sessions.find

        def find_and_log_out(*arguments: Any) -> Any:
            found = find(*arguments)
            self.logins.log_out(self.first)
            return found

        with mock.patch.object(self.logins.sessions, "find", find_and_log_out):
            login = self.logins.resume(self.first.token)
        assert login is not None
        self.assertRaises(SessionEnded, self.watcher.watch, login, self.fail)
