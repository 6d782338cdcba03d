"""A moment by which something must have happened, on the monotonic clock, and the error if it has not.

It knows nothing of sockets: the code that waits asks it how much time is left.
"""

import math
import time

from common.errors import PorterError

_MAX_POLL = 2**31 - 1  # milliseconds


def poll_milliseconds(seconds: float | None) -> int | None:
    """Return `seconds` in milliseconds for poll(), rounded up, or None to wait for ever.

    The result is at most 2**31 - 1, the maximum of poll() (24 days): a caller that waits longer polls again.
    """
    if seconds is None or seconds == math.inf:
        return None
    return min(max(0, math.ceil(seconds * 1000)), _MAX_POLL)


class Deadline:
    """A moment after which `remaining` raises an error.

    The error is a class and not a callable: a bound method would keep the socket alive in a reference cycle.
    """

    def __init__(
        self, seconds: float | None, error: type[PorterError], text: str = "", since: float | None = None
    ) -> None:
        """The deadline ends `seconds` after `since`, by default after now. With None it never ends.

        `text` is the template of the error and may contain `{seconds:g}`. `since` is a time of time.monotonic().
        """
        start = time.monotonic() if since is None else since
        self._moment = math.inf if seconds is None else start + seconds
        self._error = error
        self._text = text
        self._seconds = seconds

    def remaining(self) -> float | None:
        """Return the seconds that are left, or None for no limit. Raise the deadline's error if none are left."""
        if self._moment == math.inf:
            return None
        left = self._moment - time.monotonic()
        if left <= 0:
            raise self._error(self._text, seconds=self._seconds)
        return left
