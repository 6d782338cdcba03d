"""What a new connection gets, and what it knows of its handler and of the server."""

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from common.addresses import canonical
from common.language import ENGLISH, Language
from common.wire.journal import Journal
from server.settings import Limits


@dataclass(frozen=True)
class Proxies:
    """The networks from which each connection begins with a PROXY header, within `timeout` seconds."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    timeout: float = 3.0

    def trusts(self, host: str) -> bool:
        address = ipaddress.ip_address(canonical(host))
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class Plan:
    """What a new connection gets. A reload gives the server another plan; open connections keep the old one.

    `handler` is called as socketserver calls a handler class. `has_turns` tells whether it makes a handler of ours
    (a Speaker, see connection.py); any other one does all in its `__init__`, in a thread of its own.
    """

    handler: Callable[[Any, Any, Any], Any]
    limits: Limits
    tls: ssl.SSLContext | None
    has_turns: bool = True
    proxies: Proxies = Proxies()
    language: Language = ENGLISH


class Speaker(Protocol):
    """What the engine knows of a handler."""

    converses: bool
    answers: bool

    def setup(self) -> None: ...
    def handle(self) -> None: ...
    def received(self, message: str) -> None: ...
    def finish(self) -> None: ...


class Owner(Protocol):
    """Whom a connection tells of its states; the server is one."""

    def journal(self, peer: str) -> Journal: ...
    def open(self, connection: Any) -> bool: ...
    def fail(self, connection: Any) -> None: ...
    def close_request(self, request: Any) -> None: ...
