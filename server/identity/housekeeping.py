"""What the store need not keep for ever, whoever fills it. Run now and then; it knows no sockets.

Sessions need none of it: a login drops the oldest over `per_user`, so there are never more than accounts times that.
"""

from sqlalchemy import and_, delete, func, or_, select

from server.identity.lockout import ELSEWHERE
from server.store.database import Store
from server.store.tables import accounts, failures, logins, revocations

_HOUR = 3600.0
_DAY = 86400.0
_MOST_ADDRESSES = 100
"""The latest addresses that are remembered of an account."""


def clear(store: Store) -> None:
    """Delete what is of no use any more, in steps that hold nobody up; raises StoreUnavailable."""
    with store.writing() as transaction:
        an_hour_ago = store.now(transaction) - _HOUR
        # Every process that could ask has seen these long ago. The latest stays: that its number has gone down tells
        # that the store was put back.
        latest = select(func.max(revocations.c.number)).scalar_subquery()
        old = and_(revocations.c.created < an_hour_ago - _DAY, revocations.c.number < latest)
        transaction.execute(delete(revocations).where(old))
    with store.writing() as transaction:
        # Guessers may invent any number of names, and counters of addresses outlive what made them familiar.
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
        roaming = list(transaction.scalars(counted.having(func.count() > _MOST_ADDRESSES)))
    for account_id in roaming:
        with store.writing() as transaction:
            mine = logins.c.account_id == account_id
            kept = select(logins.c.address).where(mine).order_by(logins.c.last.desc()).limit(_MOST_ADDRESSES)
            transaction.execute(delete(logins).where(mine, logins.c.address.not_in(kept)))
