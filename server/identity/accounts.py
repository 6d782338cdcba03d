"""The rule book of accounts: who exists, under which name, and who may not log in. It knows no sockets.

Names are compared by their canonical form; that no two look alike is a constraint of the store, not a look before.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from common.addresses import source
from common.errors import Refusal
from server.identity.names import AccountName, refuse_mixed_scripts, skeletons
from server.identity.registrations import refuse_too_many
from server.settings import RegistrationLimits
from server.store.database import Store
from server.store.tables import accounts, logins
from server.store.tables import skeletons as skeleton_table

# What a login asks is put together once: that takes three times as long as to ask it.
_BY_ID = select(accounts).where(accounts.c.id == bindparam("account_id"))
_BY_NAME = select(accounts).where(accounts.c.canonical == bindparam("canonical"))
_FAMILIAR = (
    select(logins.c.last)
    .join(accounts)
    .where(accounts.c.canonical == bindparam("canonical"), logins.c.source == bindparam("from_source"))
    .limit(1)
)
_LAST_NAME = (
    select(accounts.c.name)
    .join(logins)
    .where(logins.c.address == bindparam("address"))
    .order_by(logins.c.last.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Account:
    id: int
    name: str
    canonical: str
    password_hash: str
    password_version: int
    disabled: bool


@dataclass(frozen=True)
class Overview:
    """What is kept of an account, and when its owner last logged in."""

    id: int
    name: str
    canonical: str
    disabled: bool
    created: float
    last_login: float | None


class Accounts:
    def __init__(self, store: Store, limits: RegistrationLimits) -> None:
        self._store = store
        self._limits = limits
        row = store.insert(logins)
        seen = {"source": row.excluded.source, "last": row.excluded.last}
        self._note_login = row.on_conflict_do_update(index_elements=["account_id", "address"], set_=seen)

    def find(self, transaction: Connection, name: AccountName) -> Account | None:
        return _account(transaction, _BY_NAME, {"canonical": name.canonical})

    def get(self, transaction: Connection, account_id: int) -> Account | None:
        return _account(transaction, _BY_ID, {"account_id": account_id})

    def refuse_too_many(self, transaction: Connection, address: str) -> None:
        """Raise Refusal, naming the limit, if nobody may be registered from `address` just now."""
        refuse_too_many(transaction, accounts, self._limits, source(address), self._store.now(transaction))

    def add(self, transaction: Connection, name: AccountName, password_hash: str, address: str | None) -> Account:
        """A new account, registered from `address` (None: by the administrator, whom no limit binds).

        Raises Refusal if the name cannot be had, and when there are too many.
        """
        refuse_mixed_scripts(name)
        if address is not None:
            self.refuse_too_many(transaction, address)
        row = {
            "name": name.shown,
            "canonical": name.canonical,
            "password_hash": password_hash,
            "password_version": 1,
            "disabled": False,
            "source": "" if address is None else source(address),
            "created": self._store.now(transaction),
        }
        insert = self._store.insert(accounts).values(row).on_conflict_do_nothing().returning(accounts.c.id)
        account_id = transaction.execute(insert).scalar()
        if account_id is None:
            raise Refusal("that name exists already")
        looks = sorted(skeletons(name))
        rows = [{"skeleton": skeleton, "account_id": account_id} for skeleton in looks]
        insert = self._store.insert(skeleton_table).values(rows).on_conflict_do_nothing()
        if len(transaction.execute(insert.returning(skeleton_table.c.skeleton)).all()) < len(looks):
            raise Refusal("that name looks like one that exists already")
        return Account(account_id, name.shown, name.canonical, password_hash, 1, False)

    def set_password(self, transaction: Connection, account_id: int, password_hash: str) -> None:
        """The hash of another password; where the one before was used is no longer familiar."""
        version = accounts.c.password_version + 1
        _change(transaction, account_id, {"password_hash": password_hash, "password_version": version})
        transaction.execute(update(logins).where(logins.c.account_id == account_id).values(source=""))

    def set_better_hash(self, transaction: Connection, account_id: int, password_hash: str) -> None:
        """Another hash of the same password."""
        _change(transaction, account_id, {"password_hash": password_hash})

    def set_disabled(self, transaction: Connection, account_id: int, disabled: bool) -> None:
        _change(transaction, account_id, {"disabled": disabled})

    def remove(self, transaction: Connection, account_id: int) -> None:
        """Remove the account with its sessions and what is known of its logins."""
        transaction.execute(delete(accounts).where(accounts.c.id == account_id))

    def note_login(self, transaction: Connection, account_id: int, address: str) -> None:
        now = self._store.now(transaction)
        row = {"account_id": account_id, "address": address, "source": source(address), "last": now}
        transaction.execute(self._note_login, row)

    def is_familiar(self, transaction: Connection, canonical: str, address: str) -> bool:
        """Whether the owner of the name has logged in from the source of this address before."""
        which = {"canonical": canonical, "from_source": source(address)}
        return transaction.scalar(_FAMILIAR, which) is not None

    def last_name_at(self, address: str) -> str | None:
        """The name that last logged in from this address."""
        with self._store.reading() as transaction:
            return transaction.scalar(_LAST_NAME, {"address": address})

    def overviews(self, transaction: Connection) -> list[Overview]:
        last = select(func.max(logins.c.last)).where(logins.c.account_id == accounts.c.id).scalar_subquery()
        columns = (accounts.c.id, accounts.c.name, accounts.c.canonical, accounts.c.disabled, accounts.c.created)
        query = select(*columns, last).order_by(accounts.c.canonical)
        return [Overview(*row) for row in transaction.execute(query)]


def _account(transaction: Connection, query: Select[Any], which: dict[str, Any]) -> Account | None:
    row = transaction.execute(query, which).one_or_none()
    if row is None:
        return None
    return Account(row.id, row.name, row.canonical, row.password_hash, row.password_version, row.disabled)


def _change(transaction: Connection, account_id: int, values: dict[str, Any]) -> None:
    transaction.execute(update(accounts).where(accounts.c.id == account_id).values(values))
