"""The names of the identify mode: which name an address has."""

import threading
from typing import Any

from common.errors import Refusal
from server.identity.visitors import Visitor, Visitors
from server.settings import RegistrationLimits
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PATIENCE


class Behaviour:
    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.clients = Visitors(self.store, RegistrationLimits(per_address_per_hour=2))

    def test_an_introduced_address_is_known(self: Any) -> None:
        self.assertIsNone(self.clients.name_of("10.0.0.1"))
        self.assertEqual("Bob the B", self.clients.introduce("10.0.0.1", " Bob  the B "))
        self.assertEqual("Bob the B", self.clients.name_of("10.0.0.1"))

    def test_two_addresses_may_have_the_same_name(self: Any) -> None:
        self.clients.introduce("10.0.0.1", "Bob")
        self.clients.introduce("10.0.0.2", "Bob")
        found = [(client.address, client.name) for client in self.clients.list()]
        self.assertEqual([("10.0.0.1", "Bob"), ("10.0.0.2", "Bob")], found)
        self.assertIsInstance(self.clients.list()[0], Visitor)

    def test_one_of_several_simultaneous_introductions_is_stored_and_all_get_its_name(self: Any) -> None:
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

    def test_an_invalid_name_is_not_stored(self: Any) -> None:
        with self.assertRaises(Refusal):
            self.clients.introduce("10.0.0.1", "a\nb")
        self.assertIsNone(self.clients.name_of("10.0.0.1"))

    def test_one_network_cannot_fill_the_store(self: Any) -> None:
        self.clients.introduce("2001:db8::1", "a")
        self.clients.introduce("2001:db8::2", "b")
        with self.assertRaisesRegex(Refusal, "may register 2 names"):
            self.clients.introduce("2001:db8::3", "c")

    def test_a_forgotten_address_is_unknown_again(self: Any) -> None:
        self.clients.introduce("10.0.0.1", "Bob")
        self.assertEqual([True, False], [self.clients.forget("10.0.0.1") for _ in range(2)])
        self.assertIsNone(self.clients.name_of("10.0.0.1"))


class OnSqlite(Behaviour, StoreTestCase):
    pass


@needs_postgres
class OnPostgres(Postgres, Behaviour, StoreTestCase):
    pass
