"""How quickly one client may go on: so many steps a second, after a burst (a token bucket). It knows no steps."""

import time

from server.handlers.request import Request


class Pace:
    """Lets a client take `burst` steps at once, and then `a_second`. Only its own thread may use it."""

    def __init__(self, a_second: float, burst: float) -> None:
        self._a_second = a_second
        self._burst = self._credit = burst
        self._counted_at = time.monotonic()

    def keep(self, request: Request, steps: int = 1) -> None:
        """Count steps; wait a moment if there is no credit for them. Nothing is read from the client meanwhile."""
        now = time.monotonic()
        self._credit = min(self._burst, self._credit + (now - self._counted_at) * self._a_second) - steps
        self._counted_at = now
        if self._credit < 0:
            request.step_aside()
            time.sleep(-self._credit / self._a_second)
