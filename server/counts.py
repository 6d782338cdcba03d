"""What is counted while a server runs, in memory that all its processes share. Who reads it is not known here.

Each process writes its own row. The counts of a process that has ended stay, and the one that replaces it goes on
with them: so a counter never goes down. Its gauges are cleared.
"""

import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, auto
from time import monotonic

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of logins, in seconds; what is longer counts in the last bucket, without a bound."""


class Count(IntEnum):
    """What is counted. The first ones are gauges."""

    PID = 0
    CONNECTIONS = auto()
    STORE_IS_DOWN = auto()
    TURNED_AT = auto()  # seconds of time.monotonic()
    CONNECTED = auto()
    REFUSED_FULL = auto()
    REFUSED_ADDRESS = auto()
    REFUSED_OTHER = auto()
    RECEIVED = auto()
    SENT = auto()
    RECEIVED_BYTES = auto()
    SENT_BYTES = auto()
    LOGIN_PASSWORD = auto()
    LOGIN_TOKEN = auto()
    LOGIN_REGISTERED = auto()
    LOGIN_REFUSED = auto()
    LOGIN_BUSY = auto()
    LOGIN_MICROSECONDS = auto()
    RECORDS_LOST = auto()
    LOGIN_BUCKETS = auto()  # the first of them


_GAUGES = (Count.PID, Count.CONNECTIONS, Count.STORE_IS_DOWN, Count.TURNED_AT)
_ROW = Count.LOGIN_BUCKETS + len(BUCKETS) + 1


class SharedCounts:
    """The rows of all processes. A server of one process has one row."""

    def __init__(self, processes: int = 1) -> None:
        self._cells = memoryview(mmap.mmap(-1, processes * _ROW * 8)).cast("Q")
        self._processes = processes

    def of(self, process: int) -> "Counts":
        """Return the row of one process."""
        return Counts(self, self._cells[process * _ROW : (process + 1) * _ROW])

    def column(self, count: int) -> list[int]:
        """Return one count of each process."""
        return [self._cells[process * _ROW + count] for process in range(self._processes)]

    def sum(self, count: int) -> int:
        """Return one count of all processes together."""
        return sum(self.column(count))

    def clear_gauges(self, process: int) -> None:
        """Forget what a process that has ended had open."""
        for gauge in _GAUGES:
            self._cells[process * _ROW + gauge] = 0


class Counts:
    """The row of one process. Any thread may use it."""

    def __init__(self, all_rows: SharedCounts, cells: memoryview) -> None:
        self.all_rows = all_rows
        self._cells = cells
        self._lock = threading.Lock()

    def add(self, count: int, number: int = 1) -> None:
        with self._lock:
            self._cells[count] += number

    def set(self, count: Count, value: int) -> None:
        self._cells[count] = value

    def get(self, count: Count) -> int:
        return int(self._cells[count])

    @contextmanager
    def login(self, success: Count, refusals: dict[type[Exception], Count]) -> Iterator[None]:
        """Count a login, and its time, by how the block inside ends: well, or with one of the errors."""
        start = monotonic()
        try:
            yield
        except tuple(refusals) as error:
            self._note_login(next(count for kind, count in refusals.items() if isinstance(error, kind)), start)
            raise
        self._note_login(success, start)

    def _note_login(self, outcome: Count, start: float) -> None:
        seconds = monotonic() - start
        self.add(outcome)
        self.add(Count.LOGIN_MICROSECONDS, round(seconds * 1e6))
        self.add(Count.LOGIN_BUCKETS + sum(seconds > bound for bound in BUCKETS))
