"""A line on a terminal that shows how far a measurement is; where there is none, nothing is shown."""

import sys
import time
from types import TracebackType
from typing import Self

_WIDTH = 30


class Progress:
    """On standard error, so that standard output is the result's alone."""

    def __init__(self, seconds: float, what: str = "") -> None:
        self._seconds = seconds
        self._what = what
        self._shows = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._rates: dict[int, int] = {}
        self.tell(0)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._shows:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def tell(self, messages: int) -> None:
        """Show that so many answers came in the last second; each process tells its own."""
        if not self._shows:
            return
        past = time.monotonic() - self._start
        second = int(past + 0.5)
        self._rates[second] = self._rates.get(second, 0) + messages
        part = min(1.0, past / self._seconds)
        bar = "#" * int(part * _WIDTH)
        line = f"{self._what} [{bar:{_WIDTH}}] {part:4.0%}  {self._rates[second]:,} messages/s"
        print(f"\r\033[K{line.strip()}", end="", file=sys.stderr, flush=True)
