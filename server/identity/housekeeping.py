"""Deletes old rows, so that the store does not grow for ever, and corrects times that lie in the future.

Sessions need no deletion: a login ends the oldest ones, so an account has at most `per_user`. It knows no sockets.
"""

from sqlalchemy import and_, delete, func, or_, select, update

from server.identity.lockout import ELSEWHERE
from server.identity.sessions import PREVIOUS_TOKEN_LIFETIME
from server.store.database import Store
from server.store.tables import accounts, addresses, bus_processes, failures, logins, revocations, servers, sessions

_HOUR = 3600.0
_DAY = 86400.0
_MOST_ADDRESSES = 100  # per account, the latest ones
_PAST = (  # times at which something happened, so they cannot lie in the future
    addresses.c.created,
    accounts.c.created,
    logins.c.last,
    sessions.c.token_issued,
    sessions.c.created,
    sessions.c.last_used,
    revocations.c.created,
    bus_processes.c.seen,
    servers.c.seen,
)


def clear(store: Store) -> None:
    """Delete the rows that have no use any more, in short transactions. Raise StoreUnavailable if the store fails."""
    with store.writing() as transaction:
        an_hour_ago = store.now(transaction) - _HOUR
        # All processes have read these revocations long ago. The latest one stays: when its number goes down, the
        # watcher knows that an older copy of the store was restored.
        latest = select(func.max(revocations.c.number)).scalar_subquery()
        old = and_(revocations.c.created < an_hour_ago - _DAY, revocations.c.number < latest)
        transaction.execute(delete(revocations).where(old))
    with store.writing() as transaction:
        # An attacker can guess any number of names that do not exist. And a source keeps its counter when it is no
        # longer familiar.
        exists = failures.c.canonical.in_(select(accounts.c.canonical))
        is_familiar = (
            select(logins.c.source)
            .join(accounts)
            .where(accounts.c.canonical == failures.c.canonical, logins.c.source == failures.c.source)
            .exists()
        )
        useless = or_(~exists, and_(failures.c.source != ELSEWHERE, ~is_familiar))
        transaction.execute(delete(failures).where(failures.c.last < an_hour_ago, useless))
    with store.reading() as transaction:
        counted = select(logins.c.account_id).group_by(logins.c.account_id)
        over_limit = list(transaction.scalars(counted.having(func.count() > _MOST_ADDRESSES)))
    for account_id in over_limit:
        with store.writing() as transaction:
            mine = logins.c.account_id == account_id
            kept = select(logins.c.address).where(mine).order_by(logins.c.last.desc()).limit(_MOST_ADDRESSES)
            transaction.execute(delete(logins).where(mine, logins.c.address.not_in(kept)))


def correct_future(store: Store) -> None:
    """Set each time that lies in the future to now, in short transactions. Raise StoreUnavailable if the store fails.

    They were written while the clock was ahead. No lock, session or limit lasts longer, from now on, than it may.
    """
    for column in _PAST:
        with store.writing() as transaction:
            now = store.now(transaction)
            transaction.execute(update(column.table).where(column > now).values({column: now}))
    with store.writing() as transaction:
        latest = store.now(transaction) + PREVIOUS_TOKEN_LIFETIME
        until = sessions.c.previous_until
        transaction.execute(update(sessions).where(until > latest).values({until: latest}))
    with store.writing() as transaction:
        now = store.now(transaction)
        # A lock may end in the future. It is moved with the guess that it was written with.
        moved = {"locked_until": failures.c.locked_until - (failures.c.last - now), "last": now}
        transaction.execute(update(failures).where(failures.c.last > now).values(moved))
