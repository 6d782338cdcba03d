"""What an error that ended a connection means: a line in the log, a count, and a farewell. It knows no sockets.

A fault of the peer is one line, a fault of the server is a traceback. Lines that may come in floods are thinned out.
"""

import logging
import sys
from typing import Protocol

from common.errors import (
    ConnectionLost,
    ConnectionRefused,
    ConversationOver,
    DeadlineExceeded,
    Disconnected,
    HandshakeFailed,
    PeerClosed,
    PorterError,
    ProtocolError,
    SessionEnded,
    Stopping,
    Unavailable,
)
from common.log.sparing import SparingLog
from common.wire.journal import Journal
from server.counts import Count, Counts
from server.engine.plan import Plan

LOG = logging.getLogger("porter.server")
_REFUSED = {"full": Count.REFUSED_FULL, "address": Count.REFUSED_ADDRESS, "other": Count.REFUSED_OTHER}


class Faulty(Protocol):
    """A connection, as far as it matters here."""

    peer: str
    journal: Journal
    handler: object
    plan: Plan


class Faults:
    """Logs and counts the faults of a server."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._refusals = SparingLog()
        self._exhaustion = SparingLog(logging.ERROR, lines=1)
        self._unavailable = SparingLog(logging.ERROR, lines=1)
        self._failures = SparingLog(logging.ERROR)

    def farewell(self, connection: Faulty) -> str | None:
        """Log the exception that is being handled. Return what the peer may know of it, or None for nothing."""
        error = sys.exception()
        language = connection.plan.language
        peer = {"peer": connection.peer}
        match error:
            case PeerClosed() | ConversationOver():
                return None
            case Stopping():
                return language.text("the server is stopping")
            case HandshakeFailed() | ConnectionLost() | DeadlineExceeded() if connection.journal.is_silent:
                return None
            case HandshakeFailed():
                LOG.warning("%s", error, extra=peer)
                return None
            case ConnectionLost():
                LOG.info("connection lost: %s", error, extra=peer)
                return None
            case ProtocolError():
                LOG.warning("protocol error: %s", error, extra=peer)
            case DeadlineExceeded():
                LOG.info("%s", error, extra=peer)
            case SessionEnded():
                LOG.info("%s", error.reason, extra=peer)
            case Disconnected():
                LOG.info("ended by an administrator", extra=peer)
            case ConnectionRefused():
                self.refused(error, connection.peer)
            case Unavailable():
                self._unavailable.log(str(error), connection.peer, "unavailable")
                return language.text("temporarily unavailable, try again later")
            case _:
                subject = "a connection could not be served" if connection.handler is None else "a handler failed"
                self.failed(subject, connection.peer)
                return language.text("internal error")
        assert isinstance(error, PorterError)
        return language.error(error)

    def failed(self, what: str, peer: str) -> None:
        """Log the exception that is being handled, a fault of ours or of a handler, with its traceback."""
        self._failures.failure(what, peer)

    def refused(self, refusal: ConnectionRefused, peer: str) -> None:
        """Note that a connection has got no slot."""
        self._counts.add(_REFUSED[refusal.reason])
        self._refusals.log(f"refused: {refusal}", peer)

    def not_introduced(self, reason: str, peer: str, host: str) -> None:
        """Note that a trusted proxy has not said whose its connection is; counted by the proxy's address."""
        self._refusals.log(reason, peer, f"{reason} from {host}")

    def exhausted(self, reason: str) -> None:
        """Note that no connection can be accepted now."""
        self._exhaustion.log(f"cannot accept connections: {reason}")

    def report(self, at_once: bool = False) -> None:
        """Log how many lines were left out, if their time is over, or now."""
        for log in (self._refusals, self._exhaustion, self._unavailable, self._failures):
            log.report(at_once)
