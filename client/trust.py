"""Decides which certificate is trusted. As with ssh, the user confirms the first one, and later only it is trusted.

It decides before anything is sent. It knows no sockets and no terminal.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.state import State, StateFolder
from common.addresses import format_endpoint
from common.errors import PorterError, TrustError, UsageError
from common.wire.tls import client_context

_FILE = "servers.json"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_CHANGED = """\
THE CERTIFICATE OF {server} HAS CHANGED. Somebody may have intercepted the connection. Nothing was sent.
  known:     {known}
  presented: {presented}
If the server has a new certificate, compare the presented one with the fingerprint that the server printed at its
start. If both are equal, run this command and connect again:
  ./run.sh client --forget {options}"""


@dataclass(frozen=True)
class Endpoint:
    """The host and port of a server, as the user gives them."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_endpoint(self.host, self.port)

    @property
    def options(self) -> str:
        """Return the options of the client for this server."""
        return f"--host {self.host} --port {self.port}"


@dataclass(frozen=True)
class Peer:
    """The server at the other end, after it is trusted. `certificate` is its fingerprint.

    `is_private` tells that others cannot listen: the connection has TLS, or the server is on this machine.
    `is_certified` tells that an authority has signed for the certificate.
    """

    server: Endpoint
    certificate: str
    is_private: bool
    is_certified: bool = False

    @property
    def has_tls(self) -> bool:
        return self.certificate.startswith("SHA256:")


@dataclass(frozen=True)
class Policy:
    """The decision about a certificate. `confirm` asks the user about an unknown one, by its server and fingerprint.

    With `authority`, a file, the certificate must be signed by one in it and name the host, and nothing else counts.
    """

    pin: str | None = None
    accept_new: bool = False
    confirm: Callable[[str, str], bool] | None = None
    authority: Path | None = None


class Trust:
    """The certificates that the client trusts."""

    def __init__(self, state: State) -> None:
        self._state = state

    def check(self, server: Endpoint, presented: str, *, is_loopback: bool, policy: Policy) -> None:
        """Raise TrustError unless the server with the fingerprint `presented` is trusted. Store the fingerprint."""
        known = self._state.read(_FILE).get(str(server))
        if policy.pin is not None:
            if presented != policy.pin:
                raise TrustError(
                    "{server} presented the certificate {presented}, not {pin} as in --pin. Nothing was sent.",
                    server=server,
                    presented=presented,
                    pin=policy.pin,
                )
        elif known is not None:
            if presented != known:
                raise TrustError(_CHANGED, server=server, known=known, presented=presented, options=server.options)
        elif not (is_loopback or policy.accept_new):
            self._ask(server, presented, policy)
        if presented != known:
            self._state.update(_FILE, lambda kept: kept.update({str(server): presented}))

    def _ask(self, server: Endpoint, presented: str, policy: Policy) -> None:
        if policy.confirm is None:
            raise TrustError(
                "the certificate of {server} is not known: {presented}\n"
                "Compare it with the fingerprint that the server printed at its start. If both are equal, use\n"
                "  --pin {presented}\n"
                "or --accept-new to trust every unknown server. Nothing was sent.",
                server=server,
                presented=presented,
            )
        if not policy.confirm(str(server), presented):
            raise TrustError("{server} is not trusted. Nothing was sent.", server=server)


def forget(folder: StateFolder, server: Endpoint) -> bool:
    """Delete the certificate of a server. Return whether there was one. Raise Unavailable if that is not possible."""
    if str(server) not in folder.read(_FILE):
        return False
    folder.update(_FILE, lambda kept: kept.pop(str(server), None))
    return True


def checked_pin(text: str) -> str:
    """Return `text` if it is a fingerprint. Raise UsageError otherwise."""
    if not _FINGERPRINT.fullmatch(text):
        raise UsageError(
            "--pin: a fingerprint is SHA256: and 43 letters, digits, + or /, not {text!r}; "
            "copy the one that the server printed at its start",
            text=text[:60],
        )
    return text


def authority_problem(file: Path) -> PorterError | None:
    """Return why `file` cannot be used as the authorities of certificates, or None."""
    try:
        client_context(file)
    except ssl.SSLError:
        return UsageError("there is no certificate in PEM in it")
    except OSError as error:
        return UsageError("cannot be read: {reason}", reason=error.strerror)
    return None
