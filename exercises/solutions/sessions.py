"""A token is 32 random bytes from `secrets`: nobody guesses it. The server keeps its hash only: a thief cannot log
in with that. A quick hash is enough here, since a random token cannot be found in a list of words.
"""

import hashlib
import secrets
import time
from collections.abc import Callable

LIFETIME = 3600.0


class Sessions:
    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._sessions: dict[bytes, tuple[str, float]] = {}  # by the token's hash: name, end

    def open(self, name: str) -> str:
        """Open a session for a user who has given the right password. Return its token."""
        token = secrets.token_urlsafe(32)
        self._sessions[_hash(token)] = (name, self._now() + LIFETIME)
        return token

    def find(self, token: str) -> str | None:
        """Return the name of the user whose session this is, or None."""
        name, end = self._sessions.get(_hash(token), ("", 0.0))
        if self._now() < end:
            return name
        self.end(token)
        return None

    def end(self, token: str) -> None:
        """End a session, if there is one."""
        self._sessions.pop(_hash(token), None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
