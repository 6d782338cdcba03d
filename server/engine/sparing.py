"""A log for lines that may come in floods: the first few, and then their number. It does not know what they say."""

import logging
import time
from dataclasses import dataclass

from common.log.logs import NO_PEER

LOG = logging.getLogger("porter.server")
_LINES = 10
_PERIOD = 60.0  # seconds


@dataclass
class _Line:
    text: str
    until: float
    times: int = 0


class SparingLog:
    """Logs the first few of equal lines in a period, and at its end how many more there were."""

    def __init__(self, level: int = logging.WARNING, lines: int = _LINES, period: float = _PERIOD) -> None:
        self._level = level
        self._lines = lines
        self._period = period
        self._seen: dict[str, _Line] = {}

    def log(self, text: str, peer: str = NO_PEER, subject: str = "") -> None:
        """Log a line, or only count it if there were enough of them: equal ones, or others of the same subject."""
        line = self._seen.setdefault(subject or text, _Line(text, time.monotonic() + self._period))
        line.times += 1
        if line.times <= self._lines:
            LOG.log(self._level, "%s", text, extra={"peer": peer})

    def report(self, at_once: bool = False) -> None:
        """Log the counts of the lines whose period is over, or of all lines."""
        now = time.monotonic()
        for key in [key for key, line in list(self._seen.items()) if at_once or line.until <= now]:
            line = self._seen.pop(key)
            more = line.times - self._lines
            if more > 0:
                LOG.log(self._level, "%s (%d more times within %g seconds)", line.text, more, self._period)
