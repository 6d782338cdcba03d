"""The rule book of sessions: tokens like cookies, which let their holder in until they expire or are revoked.

A token is 256 random bits; the store holds only its SHA-256. A session outlives its tokens: a renewal replaces the
hash, and the previous token stays good once more for 30 seconds, so that a lost answer locks nobody out.
It knows no passwords and no sockets; everything happens in the caller's transaction.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from server.identity.revocations import Revocations
from server.settings import SessionOptions
from server.store.database import Store
from server.store.tables import sessions

_PREVIOUS_STAYS_GOOD = 30.0
_LONGEST_TOKEN = 256

_IS_ALIVE = and_(sessions.c.created > bindparam("oldest"), sessions.c.last_used > bindparam("oldest_use"))
_IS_PREVIOUS = and_(sessions.c.previous_hash == bindparam("hash"), sessions.c.previous_until > bindparam("now"))
_BY_TOKEN = select(sessions).where(or_(sessions.c.token_hash == bindparam("hash"), _IS_PREVIOUS), _IS_ALIVE)
_IS_OWNERS = sessions.c.account_id == bindparam("owner")
_NEWEST = select(sessions.c.id).where(_IS_OWNERS).order_by(sessions.c.created.desc(), sessions.c.id.desc())
_END_OLDEST = delete(sessions).where(_IS_OWNERS, sessions.c.id.not_in(_NEWEST.limit(bindparam("kept"))))


@dataclass(frozen=True)
class Found:
    """The session a token belongs to, and what is due at its next use."""

    session_id: int
    account_id: int
    renewal_due: bool
    note_due: bool


class Sessions:
    def __init__(self, store: Store, options: SessionOptions) -> None:
        self._store = store
        self._options = options
        self._revocations = Revocations(store)
        self._insert = store.insert(sessions).returning(sessions.c.id)

    def open(self, transaction: Connection, account_id: int) -> tuple[int, str]:
        """A new session: its number and its token. The oldest ones over `per_user` go; their connections stay."""
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
        """The session that `token` opens, or None if it is unknown, expired or revoked."""
        if not 0 < len(token) <= _LONGEST_TOKEN:
            return None
        now = self._store.now(transaction)
        token_hash = _hash(token)
        row = transaction.execute(_BY_TOKEN, {"hash": token_hash, "now": now, **self._oldest(now)}).one_or_none()
        if row is None:
            return None
        is_previous = row.token_hash != token_hash
        return Found(
            session_id=row.id,
            account_id=row.account_id,
            renewal_due=is_previous or row.token_issued <= now - self._options.renew_after,
            note_due=row.last_used <= now - min(60.0, self._options.idle / 10),
        )

    def renew(self, transaction: Connection, session_id: int) -> str:
        """A new token for the session; the one before stays good for a moment."""
        now = self._store.now(transaction)
        token, token_hash = _new_token()
        values: dict[str, Any] = {
            "previous_hash": sessions.c.token_hash,
            "previous_until": now + _PREVIOUS_STAYS_GOOD,
            "token_hash": token_hash,
            "token_issued": now,
            "last_used": now,
        }
        transaction.execute(update(sessions).where(sessions.c.id == session_id).values(values))
        return token

    def note_use(self, transaction: Connection, session_id: int) -> None:
        now = self._store.now(transaction)
        transaction.execute(update(sessions).where(sessions.c.id == session_id).values(last_used=now))

    def count(self, transaction: Connection) -> dict[int, int]:
        """How many sessions each account has that are not expired."""
        counts = select(sessions.c.account_id, func.count()).where(_IS_ALIVE).group_by(sessions.c.account_id)
        return dict(transaction.execute(counts, self._oldest(self._store.now(transaction))).tuples().all())

    def _oldest(self, now: float) -> dict[str, float]:
        """Of what is alive."""
        return {"oldest": now - self._options.absolute, "oldest_use": now - self._options.idle}

    def end(self, transaction: Connection, account_id: int, session_id: int) -> None:
        """End one session, with every token of it, and the connections that are open with it."""
        transaction.execute(delete(sessions).where(sessions.c.id == session_id))
        self._revocations.add(transaction, account_id, session_id)

    def end_all(self, transaction: Connection, account_id: int) -> int:
        """End all sessions of an account, and their connections; how many sessions there were."""
        ended = transaction.execute(delete(sessions).where(sessions.c.account_id == account_id)).rowcount
        self._revocations.add(transaction, account_id)
        return ended


def _new_token() -> tuple[str, bytes]:
    token = secrets.token_urlsafe(32)
    return token, _hash(token)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
