"""Which server's certificate is trusted: as ssh does it, on first sight and then only the same one.

It decides before anything is sent; it knows no sockets and no terminal.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from client.state import StateFolder
from common.errors import TrustError, UsageError

_FILE = "servers.json"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True)
class Server:
    """A server as the user calls it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def options(self) -> str:
        return f"--host {self.host} --port {self.port}"


@dataclass(frozen=True)
class Peer:
    """The server at the other end, once it is trusted; `certificate` names it for the tokens.

    `is_private` tells whether nobody can listen in: there is TLS, or the server is this machine.
    """

    server: Server
    certificate: str
    is_private: bool


@dataclass(frozen=True)
class Policy:
    """What to do with a certificate not seen before; `confirm` asks the user, None where there is none."""

    pin: str | None = None
    accept_new: bool = False
    saves: bool = True
    confirm: Callable[[str], bool] | None = None


class Trust:
    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def check(self, server: Server, presented: str, *, is_loopback: bool, policy: Policy) -> None:
        """Return if the server with this fingerprint is to be trusted, and keep it; raise TrustError otherwise."""
        known = self._folder.read(_FILE).get(str(server))
        if policy.pin is not None:
            if presented != policy.pin:
                raise TrustError(f"{server} shows {presented}, not the pinned {policy.pin}: nothing was sent")
        elif known is not None:
            if presented != known:
                raise TrustError(_changed(server, str(known), presented))
        elif not (is_loopback or policy.accept_new):
            self._ask(server, presented, policy)
        if policy.saves and presented != known:
            self._folder.update(_FILE, lambda kept: kept.update({str(server): presented}))

    def forget(self, server: Server) -> bool:
        """Drop the server's certificate; whether there was one."""
        if str(server) not in self._folder.read(_FILE):
            return False
        self._folder.update(_FILE, lambda kept: kept.pop(str(server), None))
        return True

    def _ask(self, server: Server, presented: str, policy: Policy) -> None:
        if policy.confirm is None:
            raise TrustError(
                f"the certificate of {server} is not known: {presented}\n"
                f"Compare it with what the server printed at its start, then use --pin {presented}\n"
                "(or --accept-new to take any on first sight). Nothing was sent."
            )
        question = (
            f"The certificate of {server} is not known:\n  {presented}\n"
            "Compare it with what the server printed at its start."
        )
        if not policy.confirm(question):
            raise TrustError(f"{server} is not trusted: nothing was sent")


def checked_pin(text: str) -> str:
    """The fingerprint that `text` is; raises UsageError for anything else."""
    if not _FINGERPRINT.fullmatch(text):
        raise UsageError(f"a fingerprint looks like SHA256: and 43 letters, digits, + or /, not {text[:60]!r}")
    return text


def _changed(server: Server, known: str, presented: str) -> str:
    return (
        f"THE CERTIFICATE OF {server} HAS CHANGED. Somebody may be listening in. Nothing was sent.\n"
        f"  known:     {known}\n"
        f"  presented: {presented}\n"
        "If the server was set up anew, compare the second with what it printed at its start, and then:\n"
        f"  ./run.sh client --forget {server.options}"
    )
