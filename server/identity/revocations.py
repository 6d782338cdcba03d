"""The rules for revocations, by which the open connections of ended sessions are found. It knows no sockets.

A session that is ended on purpose gets a revocation. Revocations are numbered in the order in which they are
committed. A login remembers the latest number at its time. A later revocation ends the login if it names the account,
and either the same session or none. A session that only expires, or is replaced by a newer one, gets no revocation
and so ends no connection.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from server.store.database import Store
from server.store.tables import revocations

_LATEST = select(func.max(revocations.c.number))
REVISION = func.coalesce(_LATEST.scalar_subquery(), 0)
"""The number of the latest revocation, 0 if there is none, within another query."""


@dataclass(frozen=True)
class Login:
    """A user who is logged in. `revision` is the latest revocation at the login: only a later one can end it.

    `canonical` is the name as accounts are locked by it.

    `token` is the new token for the client to keep, or None if its present one stays valid.
    """

    account_id: int
    name: str
    canonical: str
    session_id: int
    revision: int
    token: str | None


@dataclass(frozen=True)
class Revocation:
    """The end of one session, or of all sessions of the account if `session_id` is None."""

    number: int
    account_id: int
    session_id: int | None

    def ends(self, login: Login) -> bool:
        """Return whether this revocation ends `login`."""
        return (
            self.number > login.revision
            and self.account_id == login.account_id
            and self.session_id in (None, login.session_id)
        )


class Revocations:
    """Adds and reads revocations, in the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, transaction: Connection, account_id: int, session_id: int | None = None) -> None:
        # A reader that has seen one number asks only for later ones, so an earlier one must be committed by then.
        self._store.lock(transaction, "revocations")
        row = {"account_id": account_id, "session_id": session_id, "created": self._store.now(transaction)}
        transaction.execute(self._store.insert(revocations).values(row))

    def revision(self, transaction: Connection) -> int:
        """Return the number of the latest revocation, 0 if there is none."""
        return transaction.scalar(_LATEST) or 0

    def since(self, transaction: Connection, revision: int) -> list[Revocation]:
        """Return the revocations after number `revision`, in order."""
        columns = (revocations.c.number, revocations.c.account_id, revocations.c.session_id)
        later = select(*columns).where(revocations.c.number > revision).order_by(revocations.c.number)
        return [Revocation(*row) for row in transaction.execute(later)]

    def has_ended(self, transaction: Connection, login: Login) -> bool:
        """Return whether a revocation has ended `login`."""
        return any(revocation.ends(login) for revocation in self.since(transaction, login.revision))
