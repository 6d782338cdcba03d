"""The rule book of identify: which name an address bears. Two addresses may bear one name. It knows no sockets."""

from dataclasses import dataclass

from sqlalchemy import Select, delete, select

from common.addresses import source
from server.identity.names import label
from server.identity.registrations import refuse_too_many
from server.settings import RegistrationLimits
from server.store.database import Store
from server.store.tables import addresses


@dataclass(frozen=True)
class Client:
    address: str
    name: str
    created: float


class Clients:
    def __init__(self, store: Store, limits: RegistrationLimits) -> None:
        self._store = store
        self._limits = limits

    def name_of(self, address: str) -> str | None:
        with self._store.reading() as transaction:
            return transaction.scalar(_name_of(address))

    def introduce(self, address: str, typed: str) -> str:
        """Store the name that was typed for `address`; what is then stored, if another connection was quicker.

        Raises Refusal for what can be no name, and when there are too many.
        """
        name = label(typed)
        with self._store.writing() as transaction:
            now = self._store.now(transaction)
            refuse_too_many(transaction, addresses, self._limits, source(address), now)
            row = {"address": address, "name": name, "source": source(address), "created": now}
            transaction.execute(self._store.insert(addresses).values(row).on_conflict_do_nothing())
            stored: str = transaction.execute(_name_of(address)).scalar_one()
            return stored

    def list(self) -> list[Client]:
        with self._store.reading() as transaction:
            rows = transaction.execute(select(addresses).order_by(addresses.c.address))
            return [Client(row.address, row.name, row.created) for row in rows]

    def forget(self, address: str) -> bool:
        """Whether the address was known; identify asks it again."""
        with self._store.writing() as transaction:
            return transaction.execute(delete(addresses).where(addresses.c.address == address)).rowcount > 0


def _name_of(address: str) -> Select[str]:
    return select(addresses.c.name).where(addresses.c.address == address)
