"""Refuses connections: tells each client the reason, and counts them in the log. It does not know the limits."""

import contextlib
import logging
import threading
import time
from dataclasses import dataclass

from common.errors import ConnectionRefused, PorterError
from common.log.logs import NO_PEER
from common.wire.kinds import Kind, compose
from common.wire.sockets import MessageSocket
from common.wire.tls import SecureMessageSocket
from common.wire.waiting import Timeouts

LOG = logging.getLogger("porter.server")
_LINGER = 1.0  # seconds
_MOST_LINGERING = 128
_LINES = 10
_PERIOD = 60.0  # seconds


class Refusals:
    """Refuses connections, each in its own thread. At most 128 of them linger at a time."""

    def __init__(self) -> None:
        self._lingering = threading.Semaphore(_MOST_LINGERING)
        self._log = SparingLog()

    def refuse(self, request: MessageSocket, peer: str, refusal: ConnectionRefused, *, linger: bool = True) -> None:
        """Take over the connection, send the reason and close; never raise. `request` is left without its descriptor.

        To close a socket with unread input resets the connection, and the client can lose the reason. So the server
        lingers: it reads on for a second. It does not if 128 connections linger already, or if `linger` is false,
        because the server is short of threads.
        """
        self._log.log(f"refused: {refusal}", peer)
        # Over TLS nothing can be sent before a handshake, and a refused client is not worth its cost.
        text = "" if isinstance(request, SecureMessageSocket) else str(refusal)
        taken = MessageSocket.adopt(request)
        if not linger or not self._lingering.acquire(blocking=False):
            _send_and_close(taken, text, linger=0)
            return
        try:
            _send_and_close(taken, text, _LINGER)
        finally:
            self._lingering.release()

    def service_actions(self) -> None:
        """Log the counts that are due; call this now and then."""
        self._log.report()

    def close(self) -> None:
        """Log all counts that are left."""
        self._log.report(at_once=True)


def _send_and_close(connection: MessageSocket, text: str, linger: float) -> None:
    if text:
        connection.timeouts = Timeouts(send=0)
        with contextlib.suppress(PorterError):
            connection.send_message(compose(Kind.ERROR, text))
    connection.finish(linger)


@dataclass
class _Line:
    until: float
    times: int = 0


class SparingLog:
    """Logs the first few of equal lines in a period, and at its end how many more there were."""

    def __init__(self, level: int = logging.WARNING, lines: int = _LINES, period: float = _PERIOD) -> None:
        self._level = level
        self._lines = lines
        self._period = period
        self._seen: dict[str, _Line] = {}

    def log(self, text: str, peer: str = NO_PEER) -> None:
        """Log a line, or only count it if there were enough of them."""
        line = self._seen.setdefault(text, _Line(time.monotonic() + self._period))
        line.times += 1
        if line.times <= self._lines:
            LOG.log(self._level, "%s", text, extra={"peer": peer})

    def report(self, at_once: bool = False) -> None:
        """Log the counts of the lines whose period is over, or of all lines."""
        now = time.monotonic()
        for text in [text for text, line in list(self._seen.items()) if at_once or line.until <= now]:
            more = self._seen.pop(text).times - self._lines
            if more > 0:
                LOG.log(self._level, "%s (%d more times within %g seconds)", text, more, self._period)
