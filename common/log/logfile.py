"""A rotating log file that several processes may share. A file that cannot be written stops no process.

This module does not know what the records say.
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

_ROLLOVER_RETRY = 60.0  # seconds after a rotation that failed
_ROLLOVER_BUSY = 1.0  # seconds, while another process rotates
_REPORT_INTERVAL = 60.0  # seconds between two reports of a loss on standard error
_MAX_LINE = 65536  # bytes


class RotatingFileHandler(logging.handlers.RotatingFileHandler):
    """The library's handler, with paths relative to the project's root, and without a flood of errors.

    With a full disk the library prints a traceback for each record. This handler reports a loss once, and then at
    most once a minute.
    """

    def __init__(self, filename: str, **options: Any) -> None:
        """`filename` starts at the project's root; the options are those of the library's handler."""
        path = PROJECT_ROOT / filename
        if not path.parent.is_dir():
            with contextlib.suppress(OSError):  # a log that cannot be written says so when it loses a line
                path.parent.mkdir(parents=True, exist_ok=True)
                if os.geteuid() == 0:
                    os.chown(path.parent, *_owner(path.parent.parent), follow_symlinks=False)
        super().__init__(path, **{"encoding": "utf-8", "errors": "backslashreplace", "delay": True, **options})
        self.is_quiet = False
        self._lost = 0
        self._rotating_path = f"{self.baseFilename}.rotating"
        self._rollover_after = 0.0
        self._next_report = 0.0

    def _open(self) -> TextIOWrapper:
        """Open the file. If root makes it, it belongs to the owner of the folder: the server may not be root's."""
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # it exists, which is the rule
                new = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                try:
                    os.fchown(new, *_owner(os.path.dirname(self.baseFilename)))
                finally:
                    os.close(new)
        return super()._open()

    def close_file(self) -> None:
        """Close the file. The next record opens it again."""
        with self.lock or contextlib.nullcontext():
            stream, self.stream = self.stream, None
            if stream is not None:
                stream.close()

    def emit(self, record: logging.LogRecord) -> None:
        self._write([self._encode(record)])

    def handle_all(self, records: Iterable[logging.LogRecord]) -> None:
        """Handle all records with as few writes as possible: one write costs more than ten lines."""
        with self.lock or contextlib.nullcontext():
            lines = []
            for record in records:
                try:
                    if self.filter(record):
                        lines.append(self._encode(record))
                except Exception:  # the text does not fit its arguments: a bug in the code that logs
                    self.handleError(record)
            self._write(lines)

    def _encode(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}{self.terminator}".encode(self.encoding or "utf-8", self.errors or "strict")

    def _write(self, lines: list[bytes]) -> None:
        """Write all lines, or count them as lost. After a loss, add a line with the number of lost records."""
        at = 0
        while at < len(lines):
            try:
                end = self._make_room(lines, at)
            except OSError as error:
                self._count_lost(len(lines) - at, error)
                return
            lost = self._lost
            if not self._append(lines[at:end]):
                self._count_lost(len(lines) - end, None)
                return
            at = end
            if lost:
                self._lost -= lost
                words = "record was" if lost == 1 else "records were"
                text = f"{lost} log {words} lost before"
                lines.insert(at, self._encode(logging.LogRecord("", logging.WARNING, "", 0, text, None, None)))

    def _report(self, text: str) -> None:
        if not self.is_quiet:
            _print_error(text)

    def _make_room(self, lines: list[bytes], start: int) -> int:
        """Return the end of the lines that fit into the file. If not even the first one fits, rotate the file first.

        Raise OSError if the file cannot be opened.
        """
        if self.stream is not None and not self._is_current():  # another process rotated it, or a user moved it
            with contextlib.suppress(OSError):  # if the folder is gone, the old file is better than none
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
        """Write the lines, and count those that cannot be written as lost. Return whether all were written."""
        # The layers of the stream would not tell how much was written.
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
            self._count_lost(len(lines), error)
            with contextlib.suppress(OSError, ValueError):
                self._drop_half_line()
            return False
        return True

    def _count_lost(self, count: int, error: OSError | None) -> None:
        if error is not None and not self._lost and time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + _REPORT_INTERVAL
            self._report(f"cannot write {self.baseFilename}: {error}")
        self._lost += count

    def _drop_half_line(self) -> None:
        """Cut a half line off the end of the file, and close the file. The next record opens it again."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        try:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return
            with open(self.baseFilename, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - _MAX_LINE))
                half_line = file.read().rpartition(b"\n")[2]
            if 0 < len(half_line) < _MAX_LINE:
                os.ftruncate(stream.fileno(), end - len(half_line))
        finally:
            stream.close()

    def doRollover(self) -> None:
        """Rotate the file. If another process has just rotated it, only open the new one.

        If this fails, continue with the same file and try again later.
        """
        folder = None
        try:
            folder = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_current():
                self._reopen()
            else:
                # This comes first, since it may fail: otherwise each try would move the older files on, until none
                # is left.
                if self.backupCount and not os.path.exists(self._rotating_path):
                    os.rename(self.baseFilename, self._rotating_path)
                super().doRollover()
        except BlockingIOError:  # another process rotates the file now
            self._rollover_after = time.monotonic() + _ROLLOVER_BUSY
        except OSError as error:
            with contextlib.suppress(OSError):
                if not os.path.exists(self.baseFilename):
                    os.rename(self._rotating_path, self.baseFilename)
            self._rollover_after = time.monotonic() + _ROLLOVER_RETRY
            self._report(f"cannot rotate {self.baseFilename}: {error}")
        finally:
            if folder is not None:
                os.close(folder)

    def rotate(self, source: str, dest: str) -> None:
        """Rename the file. The library calls this after it has moved the older files on."""
        os.rename(self._rotating_path, dest)

    def _reopen(self) -> None:
        stream, self.stream = self.stream, self._open()
        if stream is not None:
            stream.close()

    def _is_current(self) -> bool:
        """Return whether the open file still has its name in the folder."""
        try:
            return self.stream is not None and os.path.samestat(
                os.fstat(self.stream.fileno()), os.stat(self.baseFilename)
            )
        except FileNotFoundError:
            return False


def _owner(folder: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the numbers of the user and the group to whom the folder belongs."""
    status = os.stat(folder)
    return status.st_uid, status.st_gid


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed as well
        print(f"porter: {text}", file=sys.stderr)
