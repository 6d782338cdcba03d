"""The rules for accounts: which ones exist, under which names, and which are disabled. It knows no sockets.

Names are compared by their canonical form. A unique column in the store refuses look-alikes: a check before the
insert would be a race.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, select, update

from common.addresses import source
from common.errors import Refusal
from server.identity.names import AccountName, refuse_malformed, skeletons
from server.identity.registrations import refuse_too_many
from server.identity.revocations import REVISION
from server.settings import RegistrationLimits
from server.store.database import Store
from server.store.tables import accounts, logins
from server.store.tables import skeletons as skeleton_table

# The queries of a login are built once: to build one takes three times as long as to run it.
_BY_ID = select(accounts).where(accounts.c.id == bindparam("account_id"))
_BY_NAME = select(accounts).where(accounts.c.canonical == bindparam("canonical"))
_HAS_LOGIN_FROM_SOURCE = (
    select(logins.c.last)
    .where(logins.c.account_id == accounts.c.id, logins.c.source == bindparam("from_source"))
    .exists()
    .label("is_familiar")
)
_BY_NAME_WITH_SOURCE = select(accounts, _HAS_LOGIN_FROM_SOURCE).where(accounts.c.canonical == bindparam("canonical"))
_WITH_REVISION = select(accounts, REVISION.label("revision")).where(accounts.c.id == bindparam("account_id"))
_LAST_NAME = (
    select(accounts.c.name)
    .join(logins)
    .where(logins.c.address == bindparam("address"), logins.c.last <= bindparam("now"))
    .order_by(logins.c.last.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Account:
    """An account as a login needs it."""

    id: int
    name: str
    canonical: str
    password_hash: str
    password_version: int
    disabled: bool


@dataclass(frozen=True)
class Overview:
    """An account as the administrator's list shows it. Times are seconds since 1970."""

    id: int
    name: str
    canonical: str
    disabled: bool
    created: float
    last_login: float | None


class Accounts:
    """Reads and changes accounts, in the caller's transaction."""

    def __init__(self, store: Store, limits: RegistrationLimits) -> None:
        self._store = store
        self._limits = limits
        row = store.insert(logins)
        changed = {"source": row.excluded.source, "last": row.excluded.last}
        self._upsert_login = row.on_conflict_do_update(index_elements=["account_id", "address"], set_=changed)

    def find(self, transaction: Connection, name: AccountName) -> Account | None:
        return _find_account(transaction, _BY_NAME, {"canonical": name.canonical})

    def get(self, transaction: Connection, account_id: int) -> Account | None:
        return _find_account(transaction, _BY_ID, {"account_id": account_id})

    def find_from(self, transaction: Connection, canonical: str, address: str) -> tuple[Account | None, bool]:
        """Return an account, and whether its owner has logged in before from the source of this address."""
        row = transaction.execute(
            _BY_NAME_WITH_SOURCE, {"canonical": canonical, "from_source": source(address)}
        ).one_or_none()
        return (None, False) if row is None else (_account(row), bool(row.is_familiar))

    def get_with_revision(self, transaction: Connection, account_id: int) -> tuple[Account | None, int]:
        """Return an account, and the number of the latest revocation."""
        row = transaction.execute(_WITH_REVISION, {"account_id": account_id}).one_or_none()
        return (None, 0) if row is None else (_account(row), row.revision)

    def refuse_too_many(self, transaction: Connection, address: str) -> None:
        """Raise Refusal, which names the limit, if no more accounts may be registered from `address` now."""
        refuse_too_many(transaction, accounts, self._limits, source(address), self._store.now(transaction))

    def add(self, transaction: Connection, name: AccountName, password_hash: str, address: str | None) -> Account:
        """Add an account that is registered from `address`, and return it.

        With None for `address` (the administrator adds the account) no limit applies. Raise Refusal if the name mixes
        scripts, exists already or looks like an existing one, or if there are too many accounts.
        """
        refuse_malformed(name)
        if address is not None:
            self._store.lock(transaction, "registrations")  # so that two at once do not both get the last place
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
            raise Refusal("this name exists already")
        looks = sorted(skeletons(name))
        rows = [{"skeleton": skeleton, "account_id": account_id} for skeleton in looks]
        insert = self._store.insert(skeleton_table).values(rows).on_conflict_do_nothing()
        if len(transaction.execute(insert.returning(skeleton_table.c.skeleton)).all()) < len(looks):
            raise Refusal("this name looks like one that exists already")
        return Account(account_id, name.shown, name.canonical, password_hash, 1, False)

    def set_password(self, transaction: Connection, account_id: int, password_hash: str) -> None:
        """Store the hash of a new password. The addresses of earlier logins are no longer familiar."""
        version = accounts.c.password_version + 1
        _update_account(transaction, account_id, {"password_hash": password_hash, "password_version": version})
        transaction.execute(update(logins).where(logins.c.account_id == account_id).values(source=""))

    def set_better_hash(self, transaction: Connection, account_id: int, password_hash: str) -> None:
        """Store a better hash of the same password."""
        _update_account(transaction, account_id, {"password_hash": password_hash})

    def set_disabled(self, transaction: Connection, account_id: int, disabled: bool) -> None:
        _update_account(transaction, account_id, {"disabled": disabled})

    def remove(self, transaction: Connection, account_id: int) -> None:
        """Remove the account, its sessions and the addresses of its logins."""
        transaction.execute(delete(accounts).where(accounts.c.id == account_id))

    def note_login(self, transaction: Connection, account_id: int, address: str) -> None:
        """Store that the owner logs in from `address` now."""
        now = self._store.now(transaction)
        row = {"account_id": account_id, "address": address, "source": source(address), "last": now}
        transaction.execute(self._upsert_login, row)

    def last_name_at(self, transaction: Connection, address: str) -> str | None:
        """Return the name that last logged in from this address, or None.

        A login from the future, written while the clock was wrong, must not stand before a login of today.
        """
        return transaction.scalar(_LAST_NAME, {"address": address, "now": self._store.now(transaction)})

    def all(self, transaction: Connection) -> list[tuple[Account, float]]:
        """Return all accounts in the order of their canonical names, and when each was made."""
        rows = transaction.execute(select(accounts).order_by(accounts.c.canonical))
        return [(_account(row), row.created) for row in rows]

    def set_created(self, transaction: Connection, account_id: int, created: float) -> None:
        """Store when an account was made, which may have been elsewhere."""
        _update_account(transaction, account_id, {"created": created})

    def overviews(self, transaction: Connection) -> list[Overview]:
        """Return all accounts in the order of their canonical names."""
        last = select(func.max(logins.c.last)).where(logins.c.account_id == accounts.c.id).scalar_subquery()
        columns = (accounts.c.id, accounts.c.name, accounts.c.canonical, accounts.c.disabled, accounts.c.created)
        query = select(*columns, last).order_by(accounts.c.canonical)
        return [Overview(*row) for row in transaction.execute(query)]


def _find_account(transaction: Connection, query: Select[Any], parameters: dict[str, Any]) -> Account | None:
    row = transaction.execute(query, parameters).one_or_none()
    return None if row is None else _account(row)


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, row.canonical, row.password_hash, row.password_version, row.disabled)


def _update_account(transaction: Connection, account_id: int, values: dict[str, Any]) -> None:
    transaction.execute(update(accounts).where(accounts.c.id == account_id).values(values))
