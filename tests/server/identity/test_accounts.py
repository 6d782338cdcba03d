"""Accounts: which of them exist, and under which names."""

import threading
from typing import Any

from sqlalchemy import func, select

from common.errors import Refusal
from server.identity.accounts import Account, Accounts
from server.identity.names import account_name
from server.identity.sessions import Sessions
from server.settings import RegistrationLimits, SessionOptions
from server.store import tables
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.accounts = Accounts(self.store, RegistrationLimits(per_address_per_hour=3))

    def add(self: Any, name: str, address: str | None = None) -> Account:
        with self.store.writing() as transaction:
            return self.accounts.add(transaction, account_name(name), "hash", address)

    def find(self: Any, name: str) -> Account | None:
        with self.store.reading() as transaction:
            return self.accounts.find(transaction, account_name(name))

    def test_an_account_is_found_by_any_spelling_and_shown_as_first_typed(self: Any) -> None:
        added = self.add("Alice")
        self.assertEqual(added, self.find("ａLICE"))
        self.assertEqual("Alice", self.find("alice").name)
        self.assertIsNone(self.find("bob"))

    def test_not_even_an_administrator_adds_a_name_that_begins_with_a_mark(self: Any) -> None:
        with self.assertRaisesRegex(Refusal, "a name must not begin with a combining mark"):
            self.add("\u0301")
        self.assertIsNone(self.find("\u0301"))

    def test_no_two_accounts_have_the_same_name_or_a_similar_one(self: Any) -> None:
        self.add("coco")
        self.add("Paypal")
        for name, reason in (
            ("COCO", "exists"),
            ("сосо", "looks like"),
            ("paypaI", "looks like"),
            ("c0c0", "looks like"),
        ):
            with self.subTest(name), self.assertRaisesRegex(Refusal, reason):
                self.add(name)
        with self.assertRaisesRegex(Refusal, "one script"):
            self.add("cоco")

    def test_a_refused_name_leaves_nothing_behind(self: Any) -> None:
        self.add("coco")
        with self.assertRaises(Refusal):
            self.add("сосо")
        self.assertIsNone(self.find("сосо"))
        with self.store.reading() as transaction:
            self.assertEqual(1, transaction.scalar(select(func.count()).select_from(tables.skeletons)))

    def test_one_of_many_simultaneous_variants_gets_the_name(self: Any) -> None:
        outcomes: list[object] = []

        def register(name: str) -> None:
            try:
                outcomes.append(self.add(name))
            except Refusal as refusal:
                outcomes.append(str(refusal))

        names = ["coco", "Coco", "сосо", "COCO", "ｃｏｃｏ", "c0c0", "СОСО", "coCo"]
        threads = [threading.Thread(target=register, args=[name]) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(1, sum(isinstance(outcome, Account) for outcome in outcomes), outcomes)
        self.assertEqual(8, len(outcomes))

    def test_one_address_has_a_limit_and_the_administrator_has_none(self: Any) -> None:
        for name in ("anna", "bert", "carl"):
            self.add(name, "10.0.0.1")
        with self.assertRaisesRegex(Refusal, "may register 3 names"):
            self.add("dora", "10.0.0.1")
        self.add("dora")

    def test_a_removal_deletes_all_rows_of_the_account_and_frees_the_name(self: Any) -> None:
        account = self.add("alice")
        with self.store.writing() as transaction:
            Sessions(self.store, SessionOptions()).open(transaction, account.id)
            self.accounts.note_login(transaction, account.id, "10.0.0.1")
            self.accounts.remove(transaction, account.id)
        with self.store.reading() as transaction:
            for table in (tables.accounts, tables.skeletons, tables.sessions, tables.logins):
                self.assertEqual(0, transaction.scalar(select(func.count()).select_from(table)), table)
        self.add("Alice")

    def test_the_last_name_at_an_address_is_that_of_the_last_login(self: Any) -> None:
        alice, bob = self.add("alice"), self.add("bob")
        with self.store.reading() as transaction:
            self.assertIsNone(self.accounts.last_name_at(transaction, "10.0.0.1"))
        for account in (alice, bob, alice):
            self.now += 1
            with self.store.writing() as transaction:
                self.accounts.note_login(transaction, account.id, "10.0.0.1")
        with self.store.reading() as transaction:
            self.assertEqual("alice", self.accounts.last_name_at(transaction, "10.0.0.1"))
            self.assertTrue(self.accounts.find_from(transaction, "bob", "10.0.0.1")[1])
            self.assertFalse(self.accounts.find_from(transaction, "bob", "10.0.0.2")[1])
            self.assertFalse(self.accounts.find_from(transaction, "carol", "10.0.0.1")[1])

    def test_the_whole_network_of_an_ipv6_address_is_familiar(self: Any) -> None:
        account = self.add("alice")
        with self.store.writing() as transaction:
            self.accounts.note_login(transaction, account.id, "2001:db8::1")
            self.assertTrue(self.accounts.find_from(transaction, "alice", "2001:db8::ffff")[1])
            self.assertFalse(self.accounts.find_from(transaction, "alice", "2001:db8:0:1::1")[1])

    def test_an_overview_has_all_fields_for_the_administrator(self: Any) -> None:
        account = self.add("alice")
        with self.store.writing() as transaction:
            self.accounts.set_disabled(transaction, account.id, True)
            self.accounts.set_password(transaction, account.id, "other")
            self.accounts.note_login(transaction, account.id, "10.0.0.1")
        with self.store.reading() as transaction:
            (overview,) = self.accounts.overviews(transaction)
        self.assertEqual((account.id, "alice", "alice", True, self.now, self.now), tuple(vars(overview).values()))
        found = self.find("alice")
        self.assertEqual(("other", 2, True), (found.password_hash, found.password_version, found.disabled))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
