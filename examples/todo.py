"""A mode with a list for each user who is logged in, kept in the store."""

from typing import Any

from sqlalchemy import text

from server.handlers.auth import AuthHandler

STEPS = [  # what has been released is never changed, only added to
    "CREATE TABLE todo_items (account INTEGER NOT NULL, item TEXT NOT NULL)",
    "ALTER TABLE todo_items ADD COLUMN done INTEGER NOT NULL DEFAULT 0",
]
ADD = text("INSERT INTO todo_items (account, item) VALUES (:account, :item)")
ITEMS = text("SELECT item FROM todo_items WHERE account = :account AND done = 0")
DONE = text("UPDATE todo_items SET done = 1 WHERE account = :account AND item = :item")


class ToDo(AuthHandler):
    @classmethod
    def share(cls, options: Any, resources: Any) -> Any:
        resources.store.migrate("todo", STEPS)
        return resources.store

    def reply(self, text: str) -> None:
        """goes on your list"""
        with self.shared.writing() as store:
            store.execute(ADD, {"account": self.user.account, "item": text})
        self.say(f"noted: {text}")

    def do_list(self) -> None:
        """what is on your list"""
        with self.shared.reading() as store:
            items = store.scalars(ITEMS, {"account": self.user.account}).all()
        self.say("\n".join(items) or "nothing")

    def do_done(self, item: str) -> None:
        """take an item off your list"""
        with self.shared.writing() as store:
            store.execute(DONE, {"account": self.user.account, "item": item})
        self.do_list()
