"""Turning connections away: each is told why, and the log counts them. Which limit was reached is not known here."""

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
_LINGER = 1.0
_MOST_LINGERING = 128
_LINES = 10
_PERIOD = 60.0


class Refusals:
    """In the threads of those who are refused; a hundred of them wait a moment for goodbyes, and no more."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(_MOST_LINGERING)
        self._log = SparingLog()

    def refuse(self, request: MessageSocket, peer: str, refusal: ConnectionRefused, *, linger: bool = True) -> None:
        """Take the connection over, say why and close; never raises. `request` is left without its descriptor.

        A moment is given to read it, since closing with unread input would reset the connection: but not to more
        than a hundred at a time, and not where no other thread can be had (`linger`).
        """
        self._log.log(f"refused: {refusal}", peer)
        # Over TLS nothing can be said before a handshake, and whoever is refused is not worth one.
        text = "" if isinstance(request, SecureMessageSocket) else str(refusal)
        taken = MessageSocket.adopt(request)
        if not linger or not self._places.acquire(blocking=False):
            _say_and_close(taken, text, linger=0)
            return
        try:
            _say_and_close(taken, text, _LINGER)
        finally:
            self._places.release()

    def service_actions(self) -> None:
        """To be called now and then."""
        self._log.report()

    def close(self) -> None:
        self._log.report(at_once=True)


def _say_and_close(connection: MessageSocket, text: str, linger: float) -> None:
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
    """Of lines that say the same, the first few of a minute; then how many more there were."""

    def __init__(self, level: int = logging.WARNING, lines: int = _LINES, period: float = _PERIOD) -> None:
        self._level = level
        self._lines = lines
        self._period = period
        self._seen: dict[str, _Line] = {}

    def log(self, text: str, peer: str = NO_PEER) -> None:
        line = self._seen.setdefault(text, _Line(time.monotonic() + self._period))
        line.times += 1
        if line.times <= self._lines:
            LOG.log(self._level, "%s", text, extra={"peer": peer})

    def report(self, at_once: bool = False) -> None:
        """Tell of those whose minute is over, or of all."""
        now = time.monotonic()
        for text in [text for text, line in list(self._seen.items()) if at_once or line.until <= now]:
            more = self._seen.pop(text).times - self._lines
            if more > 0:
                LOG.log(self._level, "%s (%d more times within %g seconds)", text, more, self._period)
