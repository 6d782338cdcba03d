"""A log for lines that may come in floods: the first few, and then their number. It does not know what they say."""

import logging
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

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

    def failure(self, what: str, peer: str = NO_PEER) -> None:
        """Log the exception that is being handled, with its traceback. Those of one kind from one place are equal.

        Who finds out how to provoke one could otherwise drive all else out of the log, and out of its files.
        """
        error = sys.exception()
        assert error is not None
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        text = f"{what}: {type(error).__name__} in {Path(frame.f_code.co_filename).name}, line {line}"
        if self._is_one_of_the_first(text, text):
            LOG.log(self._level, "%s", text, exc_info=error, extra={"peer": peer})

    def log(self, text: str, peer: str = NO_PEER, subject: str = "") -> None:
        """Log a line, or only count it if there were enough of them: equal ones, or others of the same subject."""
        if self._is_one_of_the_first(text, subject or text):
            LOG.log(self._level, "%s", text, extra={"peer": peer})

    def _is_one_of_the_first(self, text: str, subject: str) -> bool:
        line = self._seen.setdefault(subject, _Line(text, time.monotonic() + self._period))
        line.times += 1
        return line.times <= self._lines

    def report(self, at_once: bool = False) -> None:
        """Log the counts of the lines whose period is over, or of all lines."""
        now = time.monotonic()
        for key in [key for key, line in list(self._seen.items()) if at_once or line.until <= now]:
            line = self._seen.pop(key)
            more = line.times - self._lines
            if more > 0:
                LOG.log(self._level, "%s (%d more times within %g seconds)", line.text, more, self._period)
