"""The progress of a measurement, in one line on the terminal. Without a terminal nothing is shown."""

import sys
import time
from types import TracebackType
from typing import Self

_WIDTH = 30


class Progress:
    """Shows the progress on standard error: standard output is only for the result."""

    def __init__(self, seconds: float, label: str = "") -> None:
        self._seconds = seconds
        self._label = label
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._rates: dict[int, int] = {}
        self.tell(0)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._is_shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def tell(self, messages: int) -> None:
        """Add the number of answers that one process got in the last second, and show the sum of all processes."""
        if not self._is_shown:
            return
        past = time.monotonic() - self._start
        second = int(past + 0.5)
        self._rates[second] = self._rates.get(second, 0) + messages
        part = min(1.0, past / self._seconds)
        bar = "#" * int(part * _WIDTH)
        line = f"{self._label} [{bar:{_WIDTH}}] {part:4.0%}  {self._rates[second]:,} messages/s"
        print(f"\r\033[K{line.strip()}", end="", file=sys.stderr, flush=True)
