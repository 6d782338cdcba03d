"""A notice board for users who are logged in: a new notice is kept, and pushed to all who are connected."""

from typing import Any, NamedTuple

from sqlalchemy import text

from server.handlers.auth import AuthHandler
from server.handlers.room import Room

STEPS = ["CREATE TABLE notices_lines (line TEXT NOT NULL)"]


class Board(NamedTuple):
    store: Any
    readers: Room[Any]


class NoticeBoard(AuthHandler):
    @classmethod
    def share(cls, options: Any, resources: Any) -> Board:
        resources.store.migrate("notices", STEPS)
        return Board(resources.store, Room())

    def greeted(self) -> None:
        with self.shared.store.reading() as store:
            lines = store.scalars(text("SELECT line FROM notices_lines")).all()
        self.say("\n".join(lines) or "no notices")
        self.shared.readers.join(self)

    def reply(self, line: str) -> None:
        """is a new notice"""
        notice = f"{self.user.name}: {line}"
        with self.shared.store.writing() as store:
            store.execute(text("INSERT INTO notices_lines VALUES (:line)"), {"line": notice})
        self.shared.readers.push(notice)
