"""The tokens that servers have given, like cookies: each one belongs to a host, a port and a certificate, or
to the fact that an authority signs for it.

So a token from a connection with TLS is never sent on one without TLS. Where others can listen, there are no tokens
at all. This module knows no sockets.
"""

from client.state import State, StateFolder
from client.trust import Endpoint, Peer

_FILE = "tokens.json"
_MAX_TOKEN = 4096  # characters
WITHOUT_TLS = "no TLS"
CERTIFIED = "certified"  # by an authority: the token outlives a renewal of the certificate


class Tokens:
    """The token for one server and certificate."""

    def __init__(self, state: State, peer: Peer) -> None:
        self._state = state
        self._peer = peer
        self._key = f"{peer.server} {CERTIFIED if peer.is_certified else peer.certificate}"

    def get(self) -> str:
        """Return the token, or an empty text if there is none that may be sent."""
        if not self._peer.is_private:
            return ""
        token = self._state.read(_FILE).get(self._key, "")
        return token if isinstance(token, str) else ""

    def set(self, token: str) -> None:
        """Store the token; an empty one deletes the stored token. Ignore a token that is too long."""
        if not self._peer.is_private or len(token) > _MAX_TOKEN:
            return
        if token:
            self._state.update(_FILE, lambda kept: kept.update({self._key: token}))
        elif self._key in self._state.read(_FILE):
            self._state.update(_FILE, lambda kept: kept.pop(self._key, None))


def forget(folder: StateFolder, server: Endpoint) -> bool:
    """Delete all tokens of a server, for every certificate. Return whether there were any."""
    ours = [key for key in folder.read(_FILE) if key.startswith(f"{server} ")]

    def drop(kept: dict[str, object]) -> None:
        for key in ours:
            kept.pop(key, None)

    if ours:
        folder.update(_FILE, drop)
    return bool(ours)
