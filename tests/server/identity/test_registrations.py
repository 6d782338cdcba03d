"""The limits on registrations: from one source in an hour, and in total."""

from common.errors import Refusal
from server.identity.registrations import refuse_too_many
from server.settings import RegistrationLimits
from server.store.tables import addresses
from tests.server.store_case import StoreTestCase


class Registrations(StoreTestCase):
    def try_one_more(self, source: str, address: str) -> None:
        with self.store.writing() as transaction:
            limits = RegistrationLimits(per_address_per_hour=2, total=4)
            refuse_too_many(transaction, addresses, limits, source, self.now)
            row = {"address": address, "name": "x", "source": source, "created": self.now}
            transaction.execute(self.store.insert(addresses).values(row))

    def test_one_source_has_a_limit_per_hour(self) -> None:
        self.try_one_more("a", "1")
        self.try_one_more("a", "2")
        with self.assertRaisesRegex(Refusal, "one address may register 2 names in an hour, and no more"):
            self.try_one_more("a", "3")
        self.try_one_more("b", "4")
        self.now += 3601
        self.try_one_more("a", "5")

    def test_all_sources_together_have_a_permanent_limit(self) -> None:
        for number in range(4):
            self.try_one_more(str(number), str(number))
        self.now += 1_000_000
        with self.assertRaisesRegex(Refusal, "the server keeps 4 names, and no more"):
            self.try_one_more("x", "x")
