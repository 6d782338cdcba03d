"""The rule of how many may be new: accounts and identify's names, from one source in an hour and in all.

It counts rows of the table it is given, in the caller's transaction; it knows neither names nor sockets.
"""

from sqlalchemy import Connection, Table, func, select

from common.errors import Refusal
from server.settings import RegistrationLimits

_HOUR = 3600.0


def refuse_too_many(
    transaction: Connection, table: Table, limits: RegistrationLimits, source: str, now: float
) -> None:
    """Raise Refusal, naming the limit, if `table` may not have one more row from `source`."""
    rows = select(func.count()).select_from(table)
    recent = rows.where(table.c.source == source, table.c.created > now - _HOUR)
    if transaction.execute(recent).scalar_one() >= limits.per_address_per_hour:
        raise Refusal(f"no more than {limits.per_address_per_hour} new names from one address in an hour")
    if transaction.execute(rows).scalar_one() >= limits.total:
        raise Refusal(f"no more than {limits.total} names in all: ask the administrator")
