"""The rules against guessing: how many wrong passwords lock an account, and for how long. It knows no passwords.

A guess is counted as a failure before its password is checked, and forgiven if it was right. So a hundred guesses at
once count as a hundred. A source where the owner has logged in before has its own counter: a guesser elsewhere cannot
use it and cannot lock it. This module knows no sockets.
"""

import math
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, select

from server.settings import LockoutOptions
from server.store.database import Store
from server.store.tables import failures

ELSEWHERE = ""
"""The one counter for all sources where the owner has never logged in."""

MOST_FAILURES = 100
"""After this many consecutive failures elsewhere the password is blocked there (NIST SP 800-63B-4, 3.2.2)."""

_IS_COUNTER = and_(failures.c.canonical == bindparam("name"), failures.c.source == bindparam("from_source"))
_FAILURES = select(failures).where(_IS_COUNTER)
_FORGIVE = delete(failures).where(_IS_COUNTER)


@dataclass(frozen=True)
class Counter:
    """The key of a counter. Names are counted by their canonical form, whether or not they exist."""

    canonical: str
    source: str


@dataclass(frozen=True)
class Guess:
    """The decision on one guess: whether its password may be checked, and the lock in seconds if it is wrong.

    The lock is infinite after MOST_FAILURES: it lasts until an administrator enables the account.
    """

    is_allowed: bool
    locked_for: float


class Lockout:
    """Counts guesses and locks passwords, in the caller's transaction."""

    def __init__(self, store: Store, options: LockoutOptions) -> None:
        self._store = store
        self._options = options
        row = store.insert(failures)
        counted = {name: row.excluded[name] for name in ("guesses", "locked_until", "last")}
        self._upsert = row.on_conflict_do_update(index_elements=["canonical", "source"], set_=counted)

    def count(self, transaction: Connection, counter: Counter) -> Guess:
        """Count a guess as a failure until `forgive`. A guess at a locked password is not counted.

        The caller must commit the transaction before it checks the password.
        """
        now = self._store.now(transaction)
        key = {"name": counter.canonical, "from_source": counter.source}
        row = transaction.execute(_FAILURES, key).one_or_none()
        guesses = 0 if row is None else row.guesses
        locked_until = 0.0 if row is None else self._end_of_lock(counter, guesses, row.locked_until, now)
        is_allowed = locked_until <= now
        if is_allowed:
            guesses += 1
            locked_until = now + self._delay(counter, guesses)
        # The row is written in any case, because the time of a commit must not show which names are locked. `last` is
        # new each time, because SQLite does not write a row that has not changed.
        counted = {"guesses": guesses, "locked_until": locked_until, "last": now}
        transaction.execute(self._upsert, {"canonical": counter.canonical, "source": counter.source, **counted})
        return Guess(is_allowed, locked_until - now)

    def forgive(self, transaction: Connection, counter: Counter) -> None:
        """Reset one counter after a right password."""
        transaction.execute(_FORGIVE, {"name": counter.canonical, "from_source": counter.source})

    def forget(self, transaction: Connection, canonical: str) -> None:
        """Reset all counters of a name that has a new owner, or that an administrator unlocks."""
        transaction.execute(delete(failures).where(failures.c.canonical == canonical))

    def blocked(self, transaction: Connection) -> set[str]:
        """Return the canonical names whose password is blocked elsewhere until an administrator enables them."""
        return set(transaction.scalars(select(failures.c.canonical).where(failures.c.locked_until == math.inf)))

    def locked_names(self, transaction: Connection) -> dict[str, float]:
        """Return the canonical names that are locked for a time, and when the last of their locks ends.

        The end is in seconds since 1970. A name that is only `blocked` is not among them.
        """
        now = self._store.now(transaction)
        ends: dict[str, float] = {}
        is_locked = and_(failures.c.locked_until > now, failures.c.locked_until < math.inf)
        for row in transaction.execute(select(failures).where(is_locked)):
            end = self._end_of_lock(Counter(row.canonical, row.source), row.guesses, row.locked_until, now)
            if end > now:
                ends[row.canonical] = max(end, ends.get(row.canonical, 0.0))
        return ends

    def _end_of_lock(self, counter: Counter, guesses: int, locked_until: float, now: float) -> float:
        """Return `locked_until`, but no later than a lock that begins now would end.

        A clock that was a day ahead when it was written must not lock an account for a day.
        """
        return locked_until if locked_until == math.inf else min(locked_until, now + self._delay(counter, guesses))

    def _delay(self, counter: Counter, guesses: int) -> float:
        """Return the lock in seconds: 0 for the free attempts, then `first_delay`, doubled up to `max_delay`.

        Elsewhere it is infinite after MOST_FAILURES.
        """
        if counter.source == ELSEWHERE and guesses >= MOST_FAILURES:
            return math.inf
        over = guesses - self._options.free_attempts
        if over <= 0:
            return 0.0
        doublings = min(over - 1, 64)  # more would overflow a float, and max_delay is reached long before
        return min(self._options.first_delay * 2.0**doublings, self._options.max_delay)
