"""Identify's rule book: which name an address bears."""

import threading
from typing import Any

from common.errors import Refusal
from server.identity.visitors import Client, Clients
from server.settings import RegistrationLimits
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.clients = Clients(self.store, RegistrationLimits(per_address_per_hour=2))

    def test_who_is_introduced_is_known(self: Any) -> None:
        self.assertIsNone(self.clients.name_of("10.0.0.1"))
        self.assertEqual("Bob the B", self.clients.introduce("10.0.0.1", " Bob  the B "))
        self.assertEqual("Bob the B", self.clients.name_of("10.0.0.1"))

    def test_two_addresses_may_bear_one_name(self: Any) -> None:
        self.clients.introduce("10.0.0.1", "Bob")
        self.clients.introduce("10.0.0.2", "Bob")
        found = [(client.address, client.name) for client in self.clients.list()]
        self.assertEqual([("10.0.0.1", "Bob"), ("10.0.0.2", "Bob")], found)
        self.assertIsInstance(self.clients.list()[0], Client)

    def test_of_two_introductions_at_once_one_is_stored_and_both_hear_it(self: Any) -> None:
        heard: list[str] = []
        names = [f"name {number}" for number in range(8)]
        threads = [
            threading.Thread(target=lambda name=name: heard.append(self.clients.introduce("10.0.0.1", name)))
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual({self.clients.name_of("10.0.0.1")}, set(heard))

    def test_a_name_that_cannot_be_had_stores_nothing(self: Any) -> None:
        with self.assertRaises(Refusal):
            self.clients.introduce("10.0.0.1", "a\nb")
        self.assertIsNone(self.clients.name_of("10.0.0.1"))

    def test_one_network_cannot_fill_the_store(self: Any) -> None:
        self.clients.introduce("2001:db8::1", "a")
        self.clients.introduce("2001:db8::2", "b")
        with self.assertRaisesRegex(Refusal, "no more than 2"):
            self.clients.introduce("2001:db8::3", "c")

    def test_who_is_forgotten_is_asked_again(self: Any) -> None:
        self.clients.introduce("10.0.0.1", "Bob")
        self.assertEqual([True, False], [self.clients.forget("10.0.0.1") for _ in range(2)])
        self.assertIsNone(self.clients.name_of("10.0.0.1"))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
