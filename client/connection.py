"""Connects to a server, and makes sure that it is trusted before anything is sent.

This module does not know what is said on the connection.
"""

import contextlib
import logging
import socket
from collections.abc import Iterator

from client.tokens import WITHOUT_TLS
from client.trust import Endpoint, Peer, Policy, Trust
from common.addresses import is_local
from common.errors import (
    ConnectionEnded,
    ConnectionLost,
    HandshakeFailed,
    ProtocolError,
    TrustError,
    Unavailable,
    UnexpectedTLS,
)
from common.language import Language
from common.log.logs import Events
from common.wire.journal import Journal
from common.wire.sockets import MessageSocket, Timeouts
from common.wire.tls import client_context, fingerprint, write_keys

LOG = logging.getLogger("porter.client")
_CONNECT_TIMEOUT = 10.0  # seconds, also for the TLS handshake
_SEND_TIMEOUT = 60.0  # seconds
_LOST = "the connection to {server} is lost: {reason}"
_LOST_WITHOUT_TLS = "the connection to {server} is lost: {reason}; if the server speaks TLS, leave out --no-tls"


def connect(server: Endpoint, max_message: int, trust: Trust | None, policy: Policy) -> tuple[MessageSocket, Peer]:
    """Return a connection, with TLS unless `trust` is None, and the server at its other end.

    `max_message` is in bytes. Raise Unavailable if no server can be reached, HandshakeFailed if the TLS handshake
    fails, TrustError if the certificate is not trusted, and ConnectionEnded if the connection ends meanwhile.
    """
    log = logging.LoggerAdapter(LOG, {"peer": str(server)})
    try:
        plain = socket.create_connection((server.host, server.port), timeout=_CONNECT_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer must not wait for an acknowledgement
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host name
        reason = getattr(error, "strerror", None) or str(error)
        log.info("cannot connect: %s", reason)
        raise Unavailable(
            "cannot connect to {server}: {reason}; is the server running there?", server=server, reason=reason
        ) from error
    connection = MessageSocket(plain)
    try:
        log.info("connected")
        if trust is None:
            peer = Peer(server, WITHOUT_TLS, is_private=_is_loopback(plain))
        else:
            presented = _secure(connection, server, trust, policy)
            peer = Peer(server, presented, is_private=True, is_certified=policy.authority is not None)
    except BaseException:  # also Ctrl-C
        connection.close()
        raise
    connection.timeouts = Timeouts(send=_SEND_TIMEOUT)
    connection.max_message = max_message
    connection.journal = Journal(Events(LOG).log, str(server), set())
    return connection, peer


@contextlib.contextmanager
def explained(server: Endpoint, *, has_tls: bool) -> Iterator[None]:
    """Add to an error inside which server it is about, and what the user can do."""
    try:
        yield
    except UnexpectedTLS as error:
        raise UnexpectedTLS(
            "{server} speaks TLS: leave out --no-tls, and set tls: true in conf/client.yaml", server=server
        ) from error
    except HandshakeFailed as error:
        raise HandshakeFailed(
            "{server}: {reason}; a server without TLS needs --no-tls", server=server, reason=error
        ) from error
    except ConnectionEnded as error:
        lost = _LOST if has_tls else _LOST_WITHOUT_TLS
        raise ConnectionLost(lost, server=server, reason=error) from error
    except ProtocolError as error:
        raise type(error)(
            "{server} breaks the protocol: {reason}; is it a Porter server?", server=server, reason=error
        ) from error


def description(connection: MessageSocket, peer: Peer, language: Language) -> str:
    """Return what protects the connection: TLS version, cipher and fingerprint, or that nothing does."""
    if connection.tls is None:
        return language.plain("without TLS")
    return f"{connection.tls.version}, {connection.tls.cipher}, {peer.certificate}"


def _secure(connection: MessageSocket, server: Endpoint, trust: Trust, policy: Policy) -> str:
    """Make the TLS handshake and check the certificate. Return its fingerprint."""
    try:
        try:
            context = client_context(policy.authority)
            if said := write_keys(context):
                LOG.warning("%s", said, extra={"peer": str(server)})
            tls = connection.handshake(context, _CONNECT_TIMEOUT, server.host)
        except ValueError as error:  # TLS does not allow this host name
            raise ConnectionLost("{reason}", reason=error) from error
        except TrustError as error:
            raise TrustError(
                "{server} is not trusted: {reason} ({file}). Nothing was sent.",
                server=server,
                reason=error,
                file=policy.authority,
            ) from error
        presented = fingerprint(tls.peer_certificate())
        if policy.authority is None:
            trust.check(server, presented, is_loopback=_is_loopback(connection.socket), policy=policy)
    except BaseException as error:
        LOG.warning("not connected: %s", error, extra={"peer": str(server)})
        connection.finish(linger=0)
        raise
    return presented


def _is_loopback(connection: socket.socket) -> bool:
    """Return whether the server is on this machine. Only the connected address counts: a name can point anywhere."""
    try:
        return is_local(connection.getpeername()[0])
    except OSError:  # the connection is already reset
        return False
