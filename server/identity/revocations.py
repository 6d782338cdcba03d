"""The rule book of revocations: what was ended on purpose, for the connections that are still open with it.

Revocations are numbered in the order in which they are committed. A login remembers the latest number of its time;
any later one that names its account, and its session or none, ends it. So a session that merely expired, or gave
its place to a newer one, ends no connection. It knows no sockets.
"""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, func, select

from server.store.database import Store
from server.store.tables import revocations

_LATEST = select(func.max(revocations.c.number))


class Login(Protocol):
    """What a revocation may end; `revision` is the number of the latest revocation before it."""

    @property
    def account_id(self) -> int: ...
    @property
    def session_id(self) -> int: ...
    @property
    def revision(self) -> int: ...


@dataclass(frozen=True)
class Revocation:
    """`session_id` is None for all sessions of the account."""

    number: int
    account_id: int
    session_id: int | None

    def ends(self, login: Login) -> bool:
        return (
            self.number > login.revision
            and self.account_id == login.account_id
            and self.session_id in (None, login.session_id)
        )


class Revocations:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, transaction: Connection, account_id: int, session_id: int | None = None) -> None:
        row = {"account_id": account_id, "session_id": session_id, "created": self._store.now(transaction)}
        transaction.execute(self._store.insert(revocations).values(row))

    def revision(self, transaction: Connection) -> int:
        """The number of the latest revocation."""
        return transaction.scalar(_LATEST) or 0

    def since(self, transaction: Connection, revision: int) -> list[Revocation]:
        """What was ended after `revision`, in order."""
        columns = (revocations.c.number, revocations.c.account_id, revocations.c.session_id)
        later = select(*columns).where(revocations.c.number > revision).order_by(revocations.c.number)
        return [Revocation(*row) for row in transaction.execute(later)]

    def has_ended(self, transaction: Connection, login: Login) -> bool:
        return any(revocation.ends(login) for revocation in self.since(transaction, login.revision))
