"""Logging for both programs: one line an event, set up by a YAML file through logging.config.dictConfig.

Text from elsewhere cannot forge a line: everything unsafe is made visible. Which events there are is not known here.
"""

import contextlib
import fcntl
import io
import logging
import logging.config
import logging.handlers
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from common import PROJECT_ROOT, yamlfile
from common.errors import ConfigurationError
from common.visible import visible

NO_PEER = "-"
_ROLLOVER_RETRY = 60.0
_ROLLOVER_BUSY = 1.0
_QUIET = 60.0
_LONGEST_LINE = 65536


def configure(path: Path) -> dict[str, Any]:
    """Set logging up as the YAML file `path` says, and return what it says.

    Raises ConfigurationError if it cannot; `apply` then brings back what was before.
    """
    document = yamlfile.read(path)
    if document.problems:
        raise ConfigurationError(document.problems)
    try:
        apply(document.value)
    except Exception as error:  # it imports and calls whatever the file names
        # dictConfig says "Unable to configure handler 'x'" and hides why in the cause.
        text = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise ConfigurationError([document.problem((), text)]) from error
    configuration: dict[str, Any] = document.value
    return configuration


def apply(configuration: dict[str, Any]) -> None:
    logging.config.dictConfig(configuration)


class Formatter(logging.Formatter):
    """Time with offset, level, peer, text: one line; a traceback follows as more such lines."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        peer = getattr(record, "peer", NO_PEER)
        start = f"{moment} {record.levelname} {visible(peer)} "
        lines = [record.getMessage()]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(start + visible(line) for line in lines)


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

    def doRollover(self) -> None:
        """Rotate, unless another process that writes the same file has just done so: then go on with its new one.

        Where that cannot be, go on in the same file, and try again later.
        """
        folder = None
        try:
            folder = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_current():
                self.close()
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
            print(f"porter: cannot rotate {self.baseFilename}: {error}", file=sys.stderr)
        finally:
            if folder is not None:
                os.close(folder)

    def rotate(self, source: str, dest: str) -> None:
        """Called by the library when the older files have been moved on."""
        os.rename(self._aside, dest)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        return time.monotonic() >= self._rollover_after and bool(super().shouldRollover(record))

    def _is_current(self) -> bool:
        """Whether the open file is still the one that bears the name."""
        try:
            return self.stream is not None and os.path.samestat(
                os.fstat(self.stream.fileno()), os.stat(self.baseFilename)
            )
        except FileNotFoundError:
            return False

    def emit(self, record: logging.LogRecord) -> None:
        lost = self._lost
        super().emit(record)
        if lost and self._lost == lost:
            self._lost = 0
            lines = "record was" if lost == 1 else "records were"
            note = logging.LogRecord("", logging.WARNING, "", 0, f"{lost} log {lines} lost before", None, None)
            super().emit(note)

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._lost and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET
            error = sys.exc_info()[1]
            print(f"porter: cannot write {self.baseFilename}: {error}", file=sys.stderr)
        self._lost += 1
        with contextlib.suppress(OSError, ValueError):
            self._drop_unwritten()

    def _drop_unwritten(self) -> None:
        """Forget what the buffers still hold of a record that is counted as lost, and the half line on the disk."""
        stream, self.stream = self.stream, None  # the next record opens it again
        if stream is None:
            return
        # Without the layers above it, which would try to write once more.
        raw: io.FileIO = stream.buffer.raw  # type: ignore[attr-defined]
        try:
            with open(self.baseFilename, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - _LONGEST_LINE))
                half_line = file.read().rpartition(b"\n")[2]
            if 0 < len(half_line) < _LONGEST_LINE:
                raw.truncate(end - len(half_line))
        finally:
            raw.close()
