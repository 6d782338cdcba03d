"""Who is connected to this process, for `./run.sh clients`, and how an administrator ends a connection."""

import itertools
import os
import time
from typing import Any
from weakref import WeakKeyDictionary

from common.addresses import canonical
from common.errors import Disconnected
from common.wire.inbox import bodies
from server.engine.connection import Connection, State
from server.engine.server import Server


class Roll:
    """The list of the connections. A connection has a number from the first time that it is listed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._numbers: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
        self._next = itertools.count(1)

    def answer(self, question: dict[str, Any]) -> object:
        """Return the rows of all connections, or of those that were ended, as the question wants."""
        rows = [(connection, self._row(connection)) for connection in self._connections()]
        if question.get("do") != "kick":
            return [row for _, row in rows]
        kicked = [(connection, row) for connection, row in rows if _is_meant(row, question)]
        for connection, _ in kicked:
            connection.interrupt(Disconnected("an administrator has ended this connection"))
        return [row for _, row in kicked]

    def _connections(self) -> list[Connection]:
        every = self._server.connections.all()
        return [each for each in every if isinstance(each, Connection) and each.state is not State.ENDING]

    def _row(self, connection: Connection) -> dict[str, Any]:
        number = self._numbers.get(connection) or self._numbers.setdefault(connection, next(self._next))
        handler, tls = connection.handler, connection.channel.tls
        received, received_bytes, sent, sent_bytes = connection.counts
        to_wall = time.time() - time.monotonic()
        return {
            "id": f"{os.getpid()}-{number}",
            "address": connection.peer,
            "account": getattr(handler, "who", None),
            "mode": getattr(getattr(handler, "mode", None), "name", None),
            "since": round(connection.opened_at + to_wall, 3),
            "last": round(connection.deadlines.quiet_since + to_wall, 3),
            "received": received,
            "sent": sent,
            "received_bytes": bodies(received, received_bytes),
            "sent_bytes": bodies(sent, sent_bytes),
            "tls": None if tls is None or not tls.is_agreed else tls.version,
        }


def _is_meant(row: dict[str, Any], question: dict[str, Any]) -> bool:
    if "name" in question:
        return row["account"] is not None and str(row["account"]).casefold() == str(question["name"]).casefold()
    if "address" in question:
        return question["address"] == row["address"] or _is_host(question["address"], row["address"])
    return bool(row["id"] == question.get("id"))


def _is_host(text: str, address: str) -> bool:
    """Return whether a text is a spelling of the host in an address with a port."""
    try:
        return canonical(text.strip("[]")) == address.rpartition(":")[0].strip("[]")
    except ValueError:
        return False
