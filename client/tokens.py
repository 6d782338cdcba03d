"""The tokens that servers have given, like cookies: each belongs to host, port and certificate.

One kept over TLS is therefore never found for a connection without, and where somebody may listen in there are
none at all. It knows no sockets.
"""

from client.state import StateFolder
from client.trust import Peer, Server

_FILE = "tokens.json"
_LONGEST_TOKEN = 4096
WITHOUT_TLS = "no TLS"


class Tokens:
    """The token for one server and certificate. With `saves` off, a new one lives as long as this object."""

    def __init__(self, folder: StateFolder, peer: Peer, *, saves: bool = True) -> None:
        self._folder = folder
        self._peer = peer
        self._key = f"{peer.server} {peer.certificate}"
        self._saves = saves
        self._unsaved: str | None = None

    def get(self) -> str:
        """The token, empty if there is none that may be sent."""
        if not self._peer.is_private:
            return ""
        if self._unsaved is not None:
            return self._unsaved
        token = self._folder.read(_FILE).get(self._key, "")
        return token if isinstance(token, str) else ""

    def set(self, token: str) -> None:
        """Keep the token, or with an empty one forget; one of absurd length is not kept."""
        if not self._peer.is_private or len(token) > _LONGEST_TOKEN:
            return
        if not self._saves:
            self._unsaved = token
        elif token:
            self._folder.update(_FILE, lambda kept: kept.update({self._key: token}))
        elif self._key in self._folder.read(_FILE):
            self._folder.update(_FILE, lambda kept: kept.pop(self._key, None))


def forget(folder: StateFolder, server: Server) -> bool:
    """Drop all tokens of a server, whatever its certificate; whether there were any."""
    ours = [key for key in folder.read(_FILE) if key.startswith(f"{server} ")]

    def drop(kept: dict[str, object]) -> None:
        for key in ours:
            kept.pop(key, None)

    if ours:
        folder.update(_FILE, drop)
    return bool(ours)
