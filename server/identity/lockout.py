"""The rule book of guessing: how many wrong passwords an account bears, and for how long it is then locked.

A guess is counted before its password is looked at, and forgiven when it was right, so that a hundred guesses at
once are a hundred guesses. A source where the owner has logged in before has a counter of its own: others can
neither use nor fill it. It knows no passwords and no sockets.
"""

import math
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, select

from server.settings import LockoutOptions
from server.store.database import Store
from server.store.tables import failures

ELSEWHERE = ""
"""The counter of all sources where the owner has never logged in."""

MOST_FAILURES = 100
"""So many consecutive failures elsewhere end the use of the password there (NIST SP 800-63B-4, 3.2.2)."""

_IS = and_(failures.c.canonical == bindparam("name"), failures.c.source == bindparam("from_source"))
_FAILURES = select(failures).where(_IS)
_FORGIVE = delete(failures).where(_IS)


@dataclass(frozen=True)
class Counter:
    """Which counter a guess falls on; names count by their canonical form, whether or not they exist."""

    canonical: str
    source: str


@dataclass(frozen=True)
class Guess:
    """Whether the password may be looked at, and for how many seconds others may not be, if it is wrong.

    The seconds are infinite after MOST_FAILURES: until an administrator enables the account.
    """

    is_allowed: bool
    locked_for: float


class Lockout:
    def __init__(self, store: Store, options: LockoutOptions) -> None:
        self._store = store
        self._options = options
        row = store.insert(failures)
        counted = {name: row.excluded[name] for name in ("guesses", "locked_until", "last")}
        self._write = row.on_conflict_do_update(index_elements=["canonical", "source"], set_=counted)

    def count(self, transaction: Connection, counter: Counter) -> Guess:
        """Count a guess as a failure, for now; one that comes while passwords are locked is not counted.

        The transaction must be committed before the password is looked at.
        """
        now = self._store.now(transaction)
        which = {"name": counter.canonical, "from_source": counter.source}
        row = transaction.execute(_FAILURES, which).one_or_none()
        guesses, locked_until = (0, 0.0) if row is None else (row.guesses, row.locked_until)
        is_allowed = locked_until <= now
        if is_allowed:
            guesses += 1
            locked_until = now + self._delay(counter, guesses)
        # Something is written in any case, since a commit takes its time: it must not tell what is locked. What is
        # the same as before, SQLite does not write.
        counted = {"guesses": guesses, "locked_until": locked_until, "last": now}
        transaction.execute(self._write, {"canonical": counter.canonical, "source": counter.source, **counted})
        return Guess(is_allowed, locked_until - now)

    def forgive(self, transaction: Connection, counter: Counter) -> None:
        """The password was right: the row of failures is over."""
        transaction.execute(_FORGIVE, {"name": counter.canonical, "from_source": counter.source})

    def forget(self, transaction: Connection, canonical: str) -> None:
        """A name has a new owner, or an administrator wants it so: all its counters are over."""
        transaction.execute(delete(failures).where(failures.c.canonical == canonical))

    def blocked(self, transaction: Connection) -> set[str]:
        """The canonical names whose password is of no use elsewhere any more."""
        return set(transaction.scalars(select(failures.c.canonical).where(failures.c.locked_until == math.inf)))

    def _delay(self, counter: Counter, guesses: int) -> float:
        """Nothing for the free attempts; then the first delay, doubling; after too many elsewhere, for ever."""
        if counter.source == ELSEWHERE and guesses >= MOST_FAILURES:
            return math.inf
        over = guesses - self._options.free_attempts
        if over <= 0:
            return 0.0
        doublings = min(over - 1, 64)  # more would overflow, and max_delay is reached long before
        return min(self._options.first_delay * 2.0**doublings, self._options.max_delay)
