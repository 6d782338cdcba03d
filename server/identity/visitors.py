"""The rules of identify: an address has one name, and two addresses may have the same. It knows no sockets."""

from dataclasses import dataclass

from sqlalchemy import Connection, Select, delete, select, update

from common.addresses import source
from server.identity.names import label
from server.identity.registrations import HOUR, refuse_too_many
from server.settings import RegistrationLimits
from server.store.database import Store
from server.store.tables import addresses


@dataclass(frozen=True)
class Visitor:
    """An address and its name. `created` is in seconds since 1970."""

    address: str
    name: str
    created: float


class Visitors:
    """Reads and changes the names of addresses. Each method raises StoreUnavailable if the store fails."""

    def __init__(self, store: Store, limits: RegistrationLimits) -> None:
        self._store = store
        self._limits = limits

    def name_of(self, address: str) -> str | None:
        """Return the name of this address, or None."""
        with self._store.reading() as transaction:
            return transaction.scalar(_select_name(address))

    def introduce(self, address: str, typed: str) -> str:
        """Store the typed name for `address` and return the stored one: another connection may have been quicker.

        Raise Refusal if the text cannot be a name, or if there are too many names.
        """
        name = label(typed)
        with self._store.writing(f"address {source(address)}") as transaction:
            now = self._store.now(transaction)
            self._store.lock(transaction, "registrations")
            _correct_future(transaction, source(address), now)
            refuse_too_many(transaction, addresses, self._limits, source(address), now)
            row = {"address": address, "name": name, "source": source(address), "created": now}
            transaction.execute(self._store.insert(addresses).values(row).on_conflict_do_nothing())
            stored: str = transaction.execute(_select_name(address)).scalar_one()
            return stored

    def list(self) -> list[Visitor]:
        """Return all visitors in the order of their addresses."""
        with self._store.reading() as transaction:
            rows = transaction.execute(select(addresses).order_by(addresses.c.address))
            return [Visitor(row.address, row.name, row.created) for row in rows]

    def forget(self, address: str) -> bool:
        """Delete the name of the address, so that identify asks again. Return whether there was one."""
        with self._store.writing() as transaction:
            return transaction.execute(delete(addresses).where(addresses.c.address == address)).rowcount > 0


def _correct_future(transaction: Connection, from_source: str, now: float) -> None:
    """Set names of this source that lie in the future to an hour ago, so that they never count for the hourly limit.

    They were written while the clock was wrong. For accounts the watcher does this; identify has none.
    """
    is_future = (addresses.c.source == from_source) & (addresses.c.created > now)
    transaction.execute(update(addresses).where(is_future).values(created=now - HOUR))


def _select_name(address: str) -> Select[str]:
    return select(addresses.c.name).where(addresses.c.address == address)
