"""The steps of a session, each in a transaction of its own, for the tests on both databases."""

from typing import Any

from server.identity.sessions import Found


class SessionSteps:
    """A mixin for a StoreTestCase with `self.sessions`, and with the `self.account_id` that they belong to."""

    def open(self: Any) -> tuple[int, str]:
        with self.store.writing() as transaction:
            return self.sessions.open(transaction, self.account_id)

    def find(self: Any, token: str) -> Found | None:
        with self.store.reading() as transaction:
            return self.sessions.find(transaction, token)

    def renew(self: Any, session_id: int) -> str:
        with self.store.writing() as transaction:
            return self.sessions.renew(transaction, session_id)
