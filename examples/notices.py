"""A notice board for users who are logged in: a new notice is kept, and pushed to all who are connected."""

from typing import Any

from sqlalchemy import text

from server.handlers.auth import AuthHandler
from server.handlers.room import Room

STEPS = ["CREATE TABLE notices_lines (line TEXT NOT NULL)"]


class Board:
    def __init__(self, resources: Any) -> None:
        self.store, self.bus = resources.store, resources.bus
        self.readers: Room[Any] = Room()  # those of this process; the bus tells all processes
        self.store.migrate("notices", STEPS)
        self.bus.subscribe("notices", self.hear)

    def hear(self, origin: str, line: str) -> None:
        if line:  # else the process `origin` begins or has ended
            self.readers.push(line)


class NoticeBoard(AuthHandler):
    @classmethod
    def share(cls, options: Any, resources: Any) -> Any:
        return resources.kept("notices", lambda: Board(resources))

    def greeted(self) -> None:
        with self.shared.store.reading() as store:
            lines = store.scalars(text("SELECT line FROM notices_lines")).all()
        self.say("\n".join(lines) or "no notices")
        self.shared.readers.join(self)

    def reply(self, line: str) -> None:
        """is a new notice"""
        notice = f"{self.user.name}: {line}"
        self.request.step_aside()
        with self.shared.store.writing() as store:
            store.execute(text("INSERT INTO notices_lines VALUES (:line)"), {"line": notice})
        self.shared.bus.publish("notices", notice)
