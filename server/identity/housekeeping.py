"""Deletes old rows, so that the store does not grow for ever, even under attack. It knows no sockets.

Sessions need no deletion here: a login ends the oldest ones, so an account has at most `per_user`.
"""

from sqlalchemy import and_, delete, func, or_, select

from server.identity.lockout import ELSEWHERE
from server.store.database import Store
from server.store.tables import accounts, failures, logins, revocations

_HOUR = 3600.0
_DAY = 86400.0
_MOST_ADDRESSES = 100  # per account, the latest ones


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
