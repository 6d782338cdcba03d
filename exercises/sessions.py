"""Task 8: sessions with tokens, like cookies.

A session ends an hour after it was opened. `now` returns seconds, as `time.time` does. What can somebody do who has
seen a few tokens, or who has stolen what the server keeps?
"""

import time
from collections.abc import Callable


class Sessions:
    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._names: dict[str, str] = {}

    def open(self, name: str) -> str:
        """Open a session for a user who has given the right password. Return its token."""
        token = f"token-{len(self._names) + 1}"
        self._names[token] = name
        return token

    def find(self, token: str) -> str | None:
        """Return the name of the user whose session this is, or None."""
        return self._names.get(token)

    def end(self, token: str) -> None:
        """End a session, if there is one."""
        del self._names[token]
