"""A handler that writes behind: it puts each record into a queue, and a thread passes it on to another handler.

conf/logging.yaml puts it in front of the handler that writes the file, so that no connection waits for the disk. It
does not know what the records say.
"""

import logging
import logging.handlers
import threading
from collections import deque
from collections.abc import Iterator

from common.log.logfile import RotatingFileHandler
from common.log.logs import Configuration

_CLASS = f"{__name__}.WriteBehind"
_CLIENTS = "porter.client"  # the client writes its few lines itself
_GATHER_SECONDS = 0.02
_MAX_BATCH = 50  # records; each write lets other threads run, and those that answer clients must not wait for long
_PATIENCE = 1.0  # seconds


class WriteBehind(logging.handlers.MemoryHandler):
    """Passes records on to its target, many at once. After `start` this happens in a thread of its own.

    Before `start`, and after `stop`, the thread that logs passes the record on itself: the parent of workers must
    have no thread when it forks. A thread that logs waits only if `capacity` records are waiting, and for one second
    at most. A record that finds no room after that is counted as lost.
    """

    def __init__(self, capacity: int = 20_000, target: logging.Handler | None = None) -> None:
        """`capacity` is a number of records. logging.config resolves `target`, as for each MemoryHandler."""
        super().__init__(capacity, target=target)
        self._waiting: deque[logging.LogRecord | threading.Event] = deque()
        self._writing = threading.RLock()  # a target may log, too
        self._is_wanted = threading.Event()
        self._has_room = threading.Event()
        self._is_stopping = threading.Event()
        self._is_closed = False
        self._is_stuck = False
        self._written = 0
        self._lost = 0
        self.lost_in_all = 0
        self._counting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread if it does not run yet."""
        if self._thread is None:
            self._is_stopping.clear()
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have all that waits written, and end the thread. A thread that hangs in the target is left behind."""
        if not self.drain() or self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._is_stopping.set()
        self._is_wanted.set()
        thread.join(_PATIENCE)
        if not thread.is_alive():
            self._write_all()  # records that came while the thread ended

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record. Unlike the library's method, this waits for no lock that the thread may hold."""
        if not self.filter(record):
            return False
        if len(self._waiting) >= self.capacity and not self._wait_for_room():
            with self._counting:
                self._lost += 1
                self.lost_in_all += 1
            return False
        self._waiting.append(record)
        if self._thread is None:
            self._write_all()
            if self._is_closed and isinstance(self.target, RotatingFileHandler):
                # A thread that logs while dictConfig exchanges the handlers may still use this one. Not `close`: it
                # takes the lock of the logging module, which dictConfig holds while it waits for the target's lock.
                self.target.close_file()
        elif not self._is_wanted.is_set():
            self._is_wanted.set()
        return True

    def drain(self) -> bool:
        """Wait until the target has all earlier records. Return False if it makes no progress for a second."""
        if self._thread is None:
            self._write_all()
            return True
        mark = threading.Event()
        self._waiting.append(mark)
        self._is_wanted.set()
        written = self._written
        while not mark.wait(_PATIENCE):
            if written == self._written:
                return False
            written = self._written
        return True

    def flush(self) -> None:
        self.drain()

    def close(self) -> None:
        """End the thread. The logging library closes the target itself, after this handler."""
        self.stop()
        self._is_closed = True
        logging.Handler.close(self)

    def _wait_for_room(self) -> bool:
        """Wait for room, one second at most. After a wait in vain no thread waits until a record is written again."""
        if self._is_stuck or self._thread is None:
            return self._thread is None
        self._has_room.clear()
        if len(self._waiting) >= self.capacity and not self._has_room.wait(_PATIENCE):
            self._is_stuck = True
            return False
        return True

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            self._is_wanted.wait()
            self._is_wanted.clear()
            self._write_all()
            self._is_stopping.wait(_GATHER_SECONDS)  # records that come meanwhile are written together

    def _write_all(self) -> None:
        """Write the records that wait now. Records that come meanwhile may stay in the queue."""
        with self._writing:
            for _ in range(0, len(self._waiting), _MAX_BATCH):
                self._write_some()

    def _write_some(self) -> None:
        records: list[logging.LogRecord] = []
        mark: threading.Event | None = None
        while self._waiting and len(records) < _MAX_BATCH and mark is None:
            entry = self._waiting.popleft()
            if isinstance(entry, threading.Event):
                mark = entry
            else:
                records.append(entry)
        self._pass_on(records)
        self._is_stuck = False
        self._has_room.set()
        if mark is not None:
            mark.set()
        if self._waiting:
            self._is_wanted.set()
        if self._lost:
            with self._counting:
                lost, self._lost = self._lost, 0
            text = "%d log records were lost before: more came than could be written"
            # `handle` might find no room for this record.
            self._waiting.append(logging.LogRecord("porter", logging.WARNING, "", 0, text, (lost,), None))
            self._is_wanted.set()

    def _pass_on(self, records: list[logging.LogRecord]) -> None:
        """Pass the records on; never raise. An error would end the thread, and all later records would be lost."""
        target = self.target
        if target is None:
            return
        records = [record for record in records if record.levelno >= target.level]
        if isinstance(target, RotatingFileHandler):
            target.handle_all(records)
            self._written += len(records)
            return
        for record in records:
            try:
                target.handle(record)
            except Exception:
                target.handleError(record)
            self._written += 1


def behind(configuration: Configuration) -> Configuration:
    """Return a logging configuration in which each handler of a logger is behind a WriteBehind.

    A user's file need not name WriteBehind: it is added here, so that a handler that hangs blocks no connection.
    """
    handlers = dict(configuration.get("handlers") or {})
    changed = {**configuration, "handlers": handlers}
    if "root" in configuration:
        changed["root"] = _behind(configuration["root"], handlers)
    if "loggers" in configuration:
        changed["loggers"] = {
            name: logger if name == _CLIENTS else _behind(logger, handlers)
            for name, logger in (configuration["loggers"] or {}).items()
        }
    return changed


def _behind(logger: Configuration, handlers: Configuration) -> Configuration:
    if not isinstance(logger, dict) or not isinstance(logger.get("handlers", []), list):
        return logger  # dictConfig reports the error
    names = []
    for name in logger.get("handlers", []):
        entry = handlers.get(name)
        if isinstance(entry, dict) and entry.get("class") != _CLASS:
            name, target = f"{name}, written behind", name
            handlers[name] = {"class": _CLASS, "target": target}
        names.append(name)
    return {**logger, "handlers": names} if "handlers" in logger else logger


def writers(logger: logging.Logger) -> Iterator[WriteBehind]:
    """Yield each WriteBehind handler of `logger` and of the loggers above it."""
    above: logging.Logger | None = logger
    while above is not None:
        yield from (handler for handler in above.handlers if isinstance(handler, WriteBehind))
        above = above.parent if above.propagate else None
