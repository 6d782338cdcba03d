"""A moment by which something must have happened, on the monotonic clock, and the error if it has not.

It knows nothing of sockets; whoever waits asks it how long.
"""

import math
import time
from collections.abc import Callable

from common.errors import PorterError


class Deadline:
    """`seconds` from now, or from `since` (None: never); once it is over, `remaining` raises what `error` makes."""

    def __init__(self, seconds: float | None, error: Callable[[], PorterError], since: float | None = None) -> None:
        start = time.monotonic() if since is None else since
        self._moment = math.inf if seconds is None else start + seconds
        self._error = error

    def remaining(self) -> float | None:
        """Seconds left, None for ever; raises the deadline's error when none are left."""
        if self._moment == math.inf:
            return None
        left = self._moment - time.monotonic()
        if left <= 0:
            raise self._error()
        return left

    def or_earlier(self, other: "Deadline | None") -> "Deadline":
        """Whichever of the two comes first."""
        return self if other is None or self._moment <= other._moment else other
