"""Which servers run on a store, and which certificate each of them shows. It knows no certificates."""

import contextlib

from sqlalchemy import delete, select

from common.errors import StoreUnavailable
from server.store.database import Store
from server.store.tables import servers


def enlist(store: Store, name: str, fingerprint: str) -> list[str]:
    """Note that a server runs. Return the names of the others that show another certificate."""
    with store.writing("servers") as transaction:
        row = store.insert(servers).values(name=name, fingerprint=fingerprint, seen=store.now(transaction))
        changed = {key: row.excluded[key] for key in ("fingerprint", "seen")}
        transaction.execute(row.on_conflict_do_update(index_elements=["name"], set_=changed))
        differing = select(servers.c.name).where(servers.c.fingerprint != fingerprint).order_by(servers.c.name)
        return list(transaction.scalars(differing))


def strike_off(store: Store, name: str) -> None:
    """Note that a server runs no more. If the store fails, its row stays until it runs again."""
    with contextlib.suppress(StoreUnavailable), store.noting() as transaction:
        transaction.execute(delete(servers).where(servers.c.name == name))
