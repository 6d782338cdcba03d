"""From a host and a port to a connected, trusted socket, before anything is sent. What is said is not known here."""

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterator

from client.tokens import WITHOUT_TLS
from client.trust import Peer, Policy, Server, Trust
from common.errors import ConnectionEnded, ConnectionLost, HandshakeFailed, ProtocolError, Unavailable, UnexpectedTLS
from common.wire.journal import Digest, Journal
from common.wire.sockets import MessageSocket
from common.wire.tls import SecureMessageSocket, client_context, fingerprint
from common.wire.waiting import Timeouts

LOG = logging.getLogger("porter.client")
_CONNECT_TIMEOUT = 10.0
_SEND_TIMEOUT = 60.0


def connect(server: Server, max_message: int, trust: Trust | None, policy: Policy) -> tuple[MessageSocket, Peer]:
    """A connection, with TLS unless `trust` is None, and who is at its other end.

    Raises Unavailable if nobody listens there, HandshakeFailed, and TrustError.
    """
    log = logging.LoggerAdapter(LOG, {"peer": str(server)})
    try:
        plain = socket.create_connection((server.host, server.port), timeout=_CONNECT_TIMEOUT)
    except (OSError, UnicodeError) as error:  # the latter for what can be no name of a host
        reason = getattr(error, "strerror", None) or str(error)
        log.info("cannot connect: %s", reason)
        raise Unavailable(f"cannot connect to {server}: {reason}; is the server running there?") from error
    log.info("connected")
    plain.settimeout(None)
    connection: MessageSocket
    if trust is None:
        peer = Peer(server, WITHOUT_TLS, is_private=_is_loopback(plain))
        connection = MessageSocket.adopt(plain)
    else:
        connection, certificate = _secure(plain, server, trust, policy)
        peer = Peer(server, certificate, is_private=True)
    connection.timeouts = Timeouts(send=_SEND_TIMEOUT)
    connection.max_message = max_message
    connection.journal = Journal(_note, str(server), Digest())
    connection.is_followed = True
    return connection, peer


@contextlib.contextmanager
def explained(server: Server, *, has_tls: bool) -> Iterator[None]:
    """Say of an error on the connection which server it is about, and what can be done."""
    try:
        yield
    except UnexpectedTLS as error:
        raise UnexpectedTLS(f"{server} speaks TLS: leave out --no-tls") from error
    except HandshakeFailed as error:
        raise HandshakeFailed(f"{server}: {error}; a server without TLS needs --no-tls") from error
    except ConnectionEnded as error:
        hint = "" if has_tls else "; if the server speaks TLS, leave out --no-tls"
        raise ConnectionLost(f"the connection to {server} is lost: {error}{hint}") from error
    except ProtocolError as error:
        raise type(error)(f"{server} does not keep to the protocol: {error}") from error


def _secure(plain: socket.socket, server: Server, trust: Trust, policy: Policy) -> tuple[SecureMessageSocket, str]:
    secure = SecureMessageSocket.adopt(plain)
    try:
        try:
            secure.handshake(client_context(), _CONNECT_TIMEOUT, server.host)
        except ValueError as error:  # a name that TLS cannot bear
            raise ConnectionLost(str(error)) from error
        presented = fingerprint(secure.peer_certificate())
        trust.check(server, presented, is_loopback=_is_loopback(secure), policy=policy)
    except BaseException as error:
        LOG.warning("not connected: %s", error, extra={"peer": str(server)})
        secure.finish(linger=0)
        raise
    return secure, presented


def _note(text: str, peer: str) -> None:
    LOG.info("%s", text, extra={"peer": peer})


def _is_loopback(connection: socket.socket) -> bool:
    """By the address that was reached, not by the name: what a name means is for others to say."""
    try:
        address = ipaddress.ip_address(connection.getpeername()[0].partition("%")[0])
    except OSError:  # reset already
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
