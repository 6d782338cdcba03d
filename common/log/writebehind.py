"""A thread that writes the log, so that nobody waits for the disk: what is logged costs a place in a queue.

It stands between one logger and the handlers that the configuration gave it, whatever they are.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator

from common.log.logfile import RotatingFileHandler
from common.log.logs import Event

_GATHER_SECONDS = 0.02
_MOST_AT_ONCE = 1000
_MOST_WAITING = 20_000
_LONGEST_WAIT = 1.0


class WriteBehind(logging.Handler):
    """In place of the handlers of `logger`, to which it gives the records in a thread of its own, many at once.

    Nobody waits, but for a second when twenty thousand records do; what then finds no place is counted as lost.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger
        self._targets: list[logging.Handler] = []
        self._had = (logger.handlers, logger.propagate)
        self._waiting: deque[logging.LogRecord | Event | threading.Event] = deque()
        self._wanted = threading.Event()
        self._has_room = threading.Event()
        self._is_stuck = False
        self._lost = 0
        self._counting = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        self._attach()

    def note(self, text: str, peer: str) -> None:
        """Log an event at INFO."""
        if self._logger.isEnabledFor(logging.INFO):
            event = Event(time.time(), peer, text)
            if not self._logger.filters or self._logger.filter(event.record(self._logger.name)):
                self._put(event)

    def handle(self, record: logging.LogRecord) -> bool:
        return self._put(record)

    def _put(self, entry: logging.LogRecord | Event) -> bool:
        if len(self._waiting) >= _MOST_WAITING and not self._wait_for_room():
            with self._counting:
                self._lost += 1
            return False
        self._waiting.append(entry)
        if not self._wanted.is_set():
            self._wanted.set()
        return True

    def flush(self) -> None:
        """Wait until all that was logged before is with the handlers."""
        written = threading.Event()
        self._waiting.append(written)
        self._wanted.set()
        while self._thread.is_alive() and not written.wait(_LONGEST_WAIT):
            pass

    @contextlib.contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the logger has its own handlers again, for logging.config to exchange them."""
        self.flush()  # first what there is, or what is logged meanwhile would overtake it
        self._logger.handlers, self._logger.propagate = self._had
        self.flush()
        try:
            yield
        finally:
            self._attach()

    def end(self) -> None:
        """Give the logger its handlers back, and end the thread; `close` is for logging.config, and does nothing."""
        if not self._closing.is_set():
            self._logger.handlers, self._logger.propagate = self._had
            self.flush()
            self._closing.set()
            self._wanted.set()
            self._thread.join()

    def _attach(self) -> None:
        self._had = (self._logger.handlers, self._logger.propagate)
        targets: list[logging.Handler] = []
        logger: logging.Logger | None = self._logger
        while logger is not None:
            targets += logger.handlers
            logger = logger.parent if logger.propagate else None
        self.flush()  # what was logged until now is for the handlers of until now, closed or not
        before, self._targets = self._targets, targets
        for target in before:
            if target not in targets:
                target.close()
        self._logger.handlers, self._logger.propagate = [self], False

    def _wait_for_room(self) -> bool:
        """Once it was in vain nobody waits again, until there is room: a disk that hangs must not hold all up."""
        if self._is_stuck:
            return False
        self._has_room.clear()
        if len(self._waiting) >= _MOST_WAITING and not self._has_room.wait(_LONGEST_WAIT):
            self._is_stuck = True
            return False
        return True

    def _write(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._wanted.clear()
            for _ in range(0, len(self._waiting), _MOST_AT_ONCE):
                self._write_some()
            if self._waiting:
                self._wanted.set()
            self._closing.wait(_GATHER_SECONDS)  # what comes meanwhile is written together

    def _write_some(self) -> None:
        entries: list[logging.LogRecord | Event] = []
        written: threading.Event | None = None
        while self._waiting and len(entries) < _MOST_AT_ONCE and written is None:
            entry = self._waiting.popleft()
            if isinstance(entry, threading.Event):
                written = entry
            else:
                entries.append(entry)
        for target in self._targets:
            _give(target, entries, self._logger.name)
        self._is_stuck = False
        self._has_room.set()
        if written is not None:
            written.set()
        if self._lost:
            with self._counting:
                lost, self._lost = self._lost, 0
            text = "%d log records were lost before: more came than could be written"
            # Not through `handle`, where it might find no place itself.
            self._waiting.append(logging.LogRecord(self._logger.name, logging.WARNING, "", 0, text, (lost,), None))


def _give(target: logging.Handler, entries: list[logging.LogRecord | Event], name: str) -> None:
    """Never raises: nobody above would hear of it, and of nothing that is logged later."""
    entries = [entry for entry in entries if _level(entry) >= target.level]
    if isinstance(target, RotatingFileHandler):
        target.handle_all(entries, name)
        return
    for entry in entries:
        record = entry.record(name) if isinstance(entry, Event) else entry
        try:
            target.handle(record)
        except Exception:
            target.handleError(record)


def _level(entry: logging.LogRecord | Event) -> int:
    return logging.INFO if isinstance(entry, Event) else entry.levelno
