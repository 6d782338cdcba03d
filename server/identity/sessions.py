"""The rules for sessions. A session has a token, which works like a cookie until the session expires or is ended.

A token is 256 random bits; the store holds only its SHA-256. A session outlives its tokens: a renewal replaces the
hash, and the previous token stays valid for 30 seconds more, so that a client that misses the answer can come back.
A time that lies in the future comes from a clock that was wrong. It counts as now, and the next write corrects it.
This module knows no passwords and no sockets, and works in the caller's transaction.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Case, Column, Connection, and_, bindparam, case, delete, func, or_, select, update

from server.identity.revocations import REVISION, Login, Revocations
from server.settings import SessionOptions
from server.store.database import Store
from server.store.tables import accounts, sessions

PREVIOUS_TOKEN_LIFETIME = 30.0  # seconds
_LONGEST_TOKEN = 256  # characters

_IS_ALIVE = and_(sessions.c.created > bindparam("oldest"), sessions.c.last_used > bindparam("oldest_use"))
_IS_PREVIOUS = and_(
    sessions.c.previous_hash == bindparam("hash"),
    sessions.c.previous_until > bindparam("now"),
    sessions.c.previous_until <= bindparam("latest_end"),
)
_BY_TOKEN = (
    select(sessions, accounts.c.name, accounts.c.canonical, REVISION.label("revision"))
    .join(accounts)
    .where(or_(sessions.c.token_hash == bindparam("hash"), _IS_PREVIOUS), _IS_ALIVE, ~accounts.c.disabled)
)
_IS_OF_OWNER = sessions.c.account_id == bindparam("owner")
# By number and not by time: sessions of a clock that was ahead must not count as newer than one of today.
_NEWEST = select(sessions.c.id).where(_IS_OF_OWNER).order_by(sessions.c.id.desc())
_END_OLDEST = delete(sessions).where(_IS_OF_OWNER, sessions.c.id.not_in(_NEWEST.limit(bindparam("kept"))))


@dataclass(frozen=True)
class Found:
    """The login that a token resumes, and the writes that are due: a new token, or the time of its last use."""

    login: Login
    renewal_due: bool
    note_due: bool


class Sessions:
    """Opens, finds, renews and ends sessions, in the caller's transaction."""

    def __init__(self, store: Store, options: SessionOptions) -> None:
        self._store = store
        self._options = options
        self._revocations = Revocations(store)
        self._insert = store.insert(sessions).returning(sessions.c.id)

    def open(self, transaction: Connection, account_id: int) -> tuple[int, str]:
        """Open a session and return its id and token. End the oldest ones over `per_user`, not their connections."""
        now = self._store.now(transaction)
        token, token_hash = _new_token()
        row = {
            "account_id": account_id,
            "token_hash": token_hash,
            "token_issued": now,
            "created": now,
            "last_used": now,
        }
        session_id: int = transaction.execute(self._insert, row).scalar_one()
        transaction.execute(_END_OLDEST, {"owner": account_id, "kept": self._options.per_user})
        return session_id, token

    def find(self, transaction: Connection, token: str) -> Found | None:
        """Return what `token` resumes, or None if it is unknown, expired or revoked, or the account is disabled.

        The revision is of the same moment, so that any later revocation ends this login as well.
        """
        if not 0 < len(token) <= _LONGEST_TOKEN:
            return None
        now = self._store.now(transaction)
        token_hash = _hash(token)
        latest_end = now + PREVIOUS_TOKEN_LIFETIME
        values = {"hash": token_hash, "now": now, "latest_end": latest_end, **self._oldest_alive(now)}
        row = transaction.execute(_BY_TOKEN, values).one_or_none()
        if row is None:
            return None
        is_from_future = max(row.created, row.token_issued, row.last_used) > now
        is_previous = row.token_hash != token_hash
        return Found(
            login=Login(row.account_id, row.name, row.canonical, row.id, row.revision, None),
            renewal_due=is_previous or row.token_issued <= now - self._options.renew_after,
            note_due=is_from_future or row.last_used <= now - min(60.0, self._options.idle / 10),
        )

    def renew(self, transaction: Connection, session_id: int) -> str:
        """Return a new token for the session. The previous one stays valid for 30 seconds."""
        now = self._store.now(transaction)
        token, token_hash = _new_token()
        values: dict[str, Any] = {
            "previous_hash": sessions.c.token_hash,
            "previous_until": now + PREVIOUS_TOKEN_LIFETIME,
            "token_hash": token_hash,
            "token_issued": now,
            "created": _not_after(sessions.c.created, now),
            "last_used": now,
        }
        transaction.execute(update(sessions).where(sessions.c.id == session_id).values(values))
        return token

    def note_use(self, transaction: Connection, session_id: int) -> None:
        """Store that the session is used now, so that it does not expire."""
        now = self._store.now(transaction)
        values = {
            "token_issued": _not_after(sessions.c.token_issued, now),
            "created": _not_after(sessions.c.created, now),
            "last_used": now,
        }
        transaction.execute(update(sessions).where(sessions.c.id == session_id).values(values))

    def count(self, transaction: Connection) -> dict[int, int]:
        """Return how many sessions that have not expired each account has, by account id."""
        counts = select(sessions.c.account_id, func.count()).where(_IS_ALIVE).group_by(sessions.c.account_id)
        oldest = self._oldest_alive(self._store.now(transaction))
        return {row[0]: row[1] for row in transaction.execute(counts, oldest)}

    def _oldest_alive(self, now: float) -> dict[str, float]:
        """Return the values for `_IS_ALIVE`: a live session was created and used after these times."""
        return {"oldest": now - self._options.absolute, "oldest_use": now - self._options.idle}

    def end(self, transaction: Connection, account_id: int, session_id: int) -> None:
        """End one session, with all its tokens and open connections."""
        transaction.execute(delete(sessions).where(sessions.c.id == session_id))
        self._revocations.add(transaction, account_id, session_id)

    def end_all(self, transaction: Connection, account_id: int) -> int:
        """End all sessions of an account and their connections. Return how many sessions there were."""
        ended = transaction.execute(delete(sessions).where(sessions.c.account_id == account_id)).rowcount
        self._revocations.add(transaction, account_id)
        return ended


def _not_after(column: "Column[float]", now: float) -> "Case[float]":
    """Return an expression for the time in this column, or `now` if it lies in the future."""
    return case((column > now, now), else_=column)


def _new_token() -> tuple[str, bytes]:
    token = secrets.token_urlsafe(32)
    return token, _hash(token)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
