"""A rotating log file that several processes may share, and that stops nobody when it cannot be written.

Records come one at a time or many at once; what they say is not known here.
"""

import contextlib
import fcntl
import logging
import logging.handlers
import os
import stat
import sys
import time
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any

from common import PROJECT_ROOT
from common.log.logs import Event, Formatter

_ROLLOVER_RETRY = 60.0
_ROLLOVER_BUSY = 1.0
_QUIET = 60.0
_LONGEST_LINE = 65536


class RotatingFileHandler(logging.handlers.RotatingFileHandler):
    """The library's, with paths from the project's root, and quiet when it cannot write.

    A full disk must not flood standard error with a traceback a record: a loss is told once, and once a minute.
    """

    def __init__(self, filename: str, **options: Any) -> None:
        path = PROJECT_ROOT / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, **{"encoding": "utf-8", "errors": "backslashreplace", "delay": True, **options})
        self._lost = 0
        self._aside = f"{self.baseFilename}.rotating"
        self._rollover_after = 0.0
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self._write([self._encoded(record)])

    def handle_all(self, entries: Iterable[logging.LogRecord | Event], name: str) -> None:
        """What `handle` does with each, in as few writes as can be: a write costs more than ten lines.

        `name` is that of the logger, for the events.
        """
        with self.lock or contextlib.nullcontext():
            formatter = self.formatter
            lines = []
            for entry in entries:
                if isinstance(entry, Event):
                    if isinstance(formatter, Formatter) and not self.filters:
                        line = formatter.line(entry.created, "INFO", entry.peer, entry.text) + self.terminator
                        lines.append(line.encode(self.encoding or "utf-8", self.errors or "strict"))
                        continue
                    entry = entry.record(name)
                try:
                    if self.filter(entry):
                        lines.append(self._encoded(entry))
                except Exception:  # its text and its arguments do not fit: a fault of whoever logs it
                    self.handleError(entry)
            self._write(lines)

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}{self.terminator}".encode(self.encoding or "utf-8", self.errors or "strict")

    def _write(self, lines: list[bytes]) -> None:
        """Write what each record came to, or count it as lost."""
        at = 0
        while at < len(lines):
            try:
                end = self._room_for(lines, at)
            except OSError as error:
                self._lose(len(lines) - at, error)
                return
            lost = self._lost
            if not self._append(lines[at:end]):
                self._lose(len(lines) - end, None)
                return
            at = end
            if lost:
                self._lost -= lost
                words = "record was" if lost == 1 else "records were"
                text = f"{lost} log {words} lost before"
                lines.insert(at, self._encoded(logging.LogRecord("", logging.WARNING, "", 0, text, None, None)))

    def _room_for(self, lines: list[bytes], start: int) -> int:
        """Up to where the lines fit into the file, rotated if not one of them does; raises OSError if it has none."""
        if self.stream is not None and not self._is_current():  # another process has rotated it, or somebody moved it
            with contextlib.suppress(OSError):  # as when the folder is gone: the old file is better than none
                self._reopen()
        status = os.fstat(self._open_stream().fileno())
        if self.maxBytes <= 0 or time.monotonic() < self._rollover_after:
            return len(lines)
        if not stat.S_ISREG(status.st_mode):
            return len(lines)
        left = self.maxBytes - status.st_size
        if status.st_size and len(lines[start]) > left:
            self.doRollover()
            left = self.maxBytes
        for end in range(start, len(lines)):
            left -= len(lines[end])
            if left < 0:
                return max(end, start + 1)
        return len(lines)

    def _open_stream(self) -> TextIOWrapper:
        if self.stream is None:
            self.stream = self._open()
        return self.stream

    def _append(self, lines: list[bytes]) -> bool:
        """Whether all were written; those that were not are counted."""
        # Not through the layers of the stream: they would not tell how much of it was written.
        data = b"".join(lines)
        written = 0
        try:
            descriptor = self._open_stream().fileno()
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError as error:
            for line in lines:
                written -= len(line)
                if written < 0:
                    break
                lines = lines[1:]
            self._lose(len(lines), error)
            with contextlib.suppress(OSError, ValueError):
                self._drop_half_line()
            return False
        return True

    def _lose(self, count: int, error: OSError | None) -> None:
        if error is not None and not self._lost and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET
            _complain(f"cannot write {self.baseFilename}: {error}")
        self._lost += count

    def _drop_half_line(self) -> None:
        """Leave no half line on the disk; the next record opens the file again."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        try:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return
            with open(self.baseFilename, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - _LONGEST_LINE))
                half_line = file.read().rpartition(b"\n")[2]
            if 0 < len(half_line) < _LONGEST_LINE:
                os.ftruncate(stream.fileno(), end - len(half_line))
        finally:
            stream.close()

    def doRollover(self) -> None:
        """Rotate, unless another process that writes the same file has just done so: then go on with its new one.

        Where that cannot be, go on in the same file, and try again later.
        """
        folder = None
        try:
            folder = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_current():
                self._reopen()
            else:
                # First, since it may fail: the older files must not be moved on at each try until none is left.
                if self.backupCount and not os.path.exists(self._aside):
                    os.rename(self.baseFilename, self._aside)
                super().doRollover()
        except BlockingIOError:  # another process is at it
            self._rollover_after = time.monotonic() + _ROLLOVER_BUSY
        except OSError as error:
            with contextlib.suppress(OSError):
                if not os.path.exists(self.baseFilename):
                    os.rename(self._aside, self.baseFilename)
            self._rollover_after = time.monotonic() + _ROLLOVER_RETRY
            _complain(f"cannot rotate {self.baseFilename}: {error}")
        finally:
            if folder is not None:
                os.close(folder)

    def rotate(self, source: str, dest: str) -> None:
        """Called by the library when the older files have been moved on."""
        os.rename(self._aside, dest)

    def _reopen(self) -> None:
        stream, self.stream = self.stream, self._open()
        if stream is not None:
            stream.close()

    def _is_current(self) -> bool:
        """Whether the open file is still the one that bears the name."""
        try:
            return self.stream is not None and os.path.samestat(
                os.fstat(self.stream.fileno()), os.stat(self.baseFilename)
            )
        except FileNotFoundError:
            return False


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be gone as well
        print(f"porter: {text}", file=sys.stderr)
