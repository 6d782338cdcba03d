"""A moment by which something must have happened, on the monotonic clock, and the error if it has not.

It knows nothing of sockets; whoever waits asks it how long.
"""

import math
import time

from common.errors import PorterError

_LONGEST_POLL = 2**31 - 1


def poll_milliseconds(seconds: float | None) -> int | None:
    """What poll() takes for so many seconds: rounded up, and no more than it can; who waits longer looks again."""
    if seconds is None or seconds == math.inf:
        return None
    return min(max(0, math.ceil(seconds * 1000)), _LONGEST_POLL)


class Deadline:
    """`seconds` from now, or from `since` (None: never); once it is over, `remaining` raises `error`.

    `text` may name the seconds: `{:g}`. A class and a text, and no function that would hold on to whoever waits.
    """

    def __init__(
        self, seconds: float | None, error: type[PorterError], text: str = "", since: float | None = None
    ) -> None:
        start = time.monotonic() if since is None else since
        self._moment = math.inf if seconds is None else start + seconds
        self._error = error
        self._text = text
        self._seconds = seconds

    def remaining(self) -> float | None:
        """Seconds left, None for ever; raises the deadline's error when none are left."""
        if self._moment == math.inf:
            return None
        left = self._moment - time.monotonic()
        if left <= 0:
            raise self._error(self._text.format(self._seconds))
        return left

    def or_earlier(self, other: "Deadline | None") -> "Deadline":
        """Whichever of the two comes first."""
        return self if other is None or self._moment <= other._moment else other
