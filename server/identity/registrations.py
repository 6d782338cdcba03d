"""The limits on registrations, for accounts and for identify's names: per source and hour, and in all.

It counts the rows of a table, in the caller's transaction. A row that lies in the future, written while the clock was
wrong, counts only in all. It knows neither names nor sockets.
"""

from sqlalchemy import Connection, Table, func, select

from common.errors import Refusal
from server.settings import RegistrationLimits

HOUR = 3600.0  # seconds


def refuse_too_many(
    transaction: Connection, table: Table, limits: RegistrationLimits, source: str, now: float
) -> None:
    """Raise Refusal, which names the limit, if `table` may not have one more row from `source`."""
    rows = select(func.count()).select_from(table)
    recent = rows.where(table.c.source == source, table.c.created > now - HOUR, table.c.created <= now)
    if transaction.execute(recent).scalar_one() >= limits.per_address_per_hour:
        raise Refusal(
            "one address may register {most} names in an hour, and no more", most=limits.per_address_per_hour
        )
    if transaction.execute(rows).scalar_one() >= limits.total:
        raise Refusal("the server keeps {most} names, and no more: ask the administrator", most=limits.total)
