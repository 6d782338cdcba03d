"""The bus: what one process puts on it, all that share it hear, in one order. It does not know what is said.

How the entries get from one process to another is the carrier's business: memory.py between the workers of a machine,
rows.py between servers that share a database.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from common.errors import Unavailable
from common.log.sparing import SparingLog

LOG = logging.getLogger("porter.server")
_ROUNDS = 10  # of the thread, between two looks whether the numbers have gone back
_INTERVAL = 0.5  # seconds between two looks at the carrier, if nothing wakes the thread
_LONGEST = 1_048_576  # bytes of a text
MOST = 1000
"""Entries that are read at a time."""

Hear = Callable[[str, str], None]
"""Is called with the origin of an entry and its text. The calls come one after the other, and must not wait.

An empty text says that the process of this origin has just begun, or that it has ended: what was known of it is over.
"""


class Entry(NamedTuple):
    """An entry. One without a topic is for all."""

    number: int
    origin: str
    topic: str
    text: str


@dataclass(frozen=True, eq=False)
class _Waiting:
    """What waits to be carried; two equal ones are not the same."""

    topic: str
    text: str


class Carrier(Protocol):
    """Carries numbered entries, and keeps the last ones. `origin` is the name of this process.

    Only `wake` may be called by several threads at a time. `append` and `after` raise Unavailable.
    """

    origin: str

    def append(self, entries: Sequence[tuple[str, str]]) -> None:
        """Carry topics and texts to all processes, this one too."""

    def after(self, number: int) -> list[Entry]:
        """Return the entries after this number, in order, or the first MOST of them."""

    def latest(self) -> int:
        """Return the number of the last entry, 0 if there is none."""

    def wait(self, seconds: float) -> None:
        """Wait for an entry of another process, for `wake`, or until `seconds` have passed."""

    def wake(self) -> None:
        """End the wait of this process."""

    def close(self) -> None: ...


class Bus:
    """The bus as one process sees it. A thread of its own hears what others say."""

    def __init__(self, carrier: Carrier) -> None:
        """Start to hear. Raise Unavailable if the carrier fails."""
        self.origin = carrier.origin
        self._carrier = carrier
        self._hearers: dict[str, Hear] = {}
        self._outgoing: deque[_Waiting] = deque()
        self._lock = threading.Lock()  # held for a turn, so that all are heard in one order
        self._last = carrier.latest()
        self._failure: Unavailable | None = None
        self._next_try = 0.0
        self._faults = SparingLog(logging.ERROR)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    def subscribe(self, topic: str, hear: Hear) -> None:
        """Hear a topic: first what the carrier has kept of it, then an empty text of this process, then all the rest.

        Raise Unavailable if the carrier fails.
        """
        with self._lock:
            self._turn()
            number = 0
            while number < self._last and (entries := self._carrier.after(number)):
                number = entries[-1].number
                for entry in entries:
                    if entry.topic in (topic, "") and entry.number <= self._last:
                        hear(entry.origin, entry.text)
            self._hearers[topic] = hear
        self._outgoing.append(_Waiting(topic, ""))
        self._carrier.wake()

    def publish(self, topic: str, text: str) -> None:
        """Carry a text to all. When this returns, it was heard in this process, and will be in all others.

        Raise Unavailable if the carrier fails; if it fails at a bad moment, the text is carried all the same. Raise
        ValueError if the text is empty, longer than a million bytes, or cannot be UTF-8.
        """
        entry = _checked(topic, text)
        self._outgoing.append(entry)
        with self._lock:
            if entry in self._outgoing:  # another thread's turn may have carried it
                try:
                    self._turn()
                except BaseException:
                    if entry in self._outgoing:
                        self._outgoing.remove(entry)
                    raise

    def post(self, topic: str, text: str) -> None:
        """Carry a text to all, as soon as the carrier works. Do not wait. Raise ValueError as `publish` does."""
        self._outgoing.append(_checked(topic, text))
        self._carrier.wake()

    def carry(self) -> None:
        """Carry now what was posted. Raise Unavailable if the carrier fails; it is carried later then."""
        with self._lock:
            self._turn()

    def close(self) -> None:
        """Carry what was posted, if that is possible, and end the thread."""
        self._closing.set()
        self._carrier.wake()
        self._thread.join()
        self._faults.report(at_once=True)
        self._failure = None  # one more try, whatever was before
        with contextlib.suppress(Unavailable):
            self.carry()
        self._carrier.close()

    def _turn(self) -> None:
        """Put on the bus what waits, and hear what is new, with the lock held.

        Raise Unavailable if the carrier fails, or has failed within the last half second: all who wait for a database
        that hangs would else wait one after the other.
        """
        if self._failure is not None and time.monotonic() < self._next_try:
            raise Unavailable("{reason}", reason=self._failure)
        try:
            if waiting := list(self._outgoing):
                self._carrier.append([(entry.topic, entry.text) for entry in waiting])
                for _ in waiting:
                    self._outgoing.popleft()
            while entries := self._carrier.after(self._last):
                self._last = entries[-1].number
                for entry in entries:
                    self._hear(entry)
                if len(entries) < MOST:
                    break
        except Unavailable as error:
            if self._failure is None:
                LOG.warning("what is said here is not heard elsewhere: %s", error)
            self._failure, self._next_try = error, time.monotonic() + _INTERVAL
            raise
        if self._failure is not None:
            LOG.info("what is said here is heard elsewhere again")
            self._failure = None

    def _go_back(self) -> None:
        """Begin with the numbers that there are, if they have gone back: an older copy of the database runs now."""
        with self._lock:
            self._last = min(self._last, self._carrier.latest())

    def _hear(self, entry: Entry) -> None:
        for topic, hear in list(self._hearers.items()):
            if entry.topic in (topic, ""):
                try:
                    hear(entry.origin, entry.text)
                except Exception:  # a mode may fail in any way; the others must hear the rest
                    self._faults.failure(f"the mode {topic} failed to hear")

    def _run(self) -> None:
        for number in itertools.count():
            if self._closing.is_set():
                return
            try:
                self._carrier.wait(_INTERVAL)
                if number % _ROUNDS == 0:
                    self._faults.report()
                    self._go_back()
                self.carry()
            except Unavailable:
                continue  # it is logged; the next turn comes soon
            except Exception:  # this thread must survive any error of one turn
                LOG.exception("the bus failed")
                self._closing.wait(_INTERVAL)


def _checked(topic: str, text: str) -> _Waiting:
    """Return an entry. Raise ValueError if the text is empty, too long, or cannot be UTF-8."""
    if not 0 < len(text.encode()) <= _LONGEST:
        raise ValueError(f"a text on the bus has 1 to {_LONGEST} bytes")
    return _Waiting(topic, text)
