"""Logging for both programs: one line for each event, set up by a YAML file through logging.config.dictConfig.

Text from a peer cannot forge a line: each unsafe character is escaped. This module knows neither which events there
are nor how a file is written.
"""

import json
import logging
import logging.config
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from common import yamlfile
from common.errors import ConfigurationError
from common.visible import visible

NO_PEER = "-"

Configuration = dict[str, Any]


class Logging:
    """Sets up logging, as often as needed. A wrong file changes nothing.

    `is_adapted` tells whether `adapt` had to change the file that was applied last.
    """

    def __init__(self, adapt: Callable[[Configuration], Configuration] = dict) -> None:
        """`adapt` changes the content of a file before it is applied. By default it changes nothing."""
        self._adapt = adapt
        self._applied: Configuration = {"version": 1, "disable_existing_loggers": False}
        self.is_adapted = False

    def configure(self, path: Path) -> None:
        """Set up logging from the YAML file `path`. Raise ConfigurationError if that is not possible."""
        document = yamlfile.read(path)
        if document.problems:
            raise ConfigurationError(document.problems)
        wanted = self._adapt(document.value)
        try:
            logging.config.dictConfig(wanted)
        except Exception as error:  # dictConfig imports and calls whatever the file names
            logging.config.dictConfig(self._applied)
            # dictConfig says "Unable to configure handler 'x'" and hides the reason in the cause.
            text = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
            raise ConfigurationError([document.problem((), text)]) from error
        self._applied = wanted
        self.is_adapted = wanted != document.value


class Events:
    """Logs events about peers at INFO, several for each connection.

    Its records are copies of one, since to make a LogRecord takes five microseconds, and each connection has four
    events: a seventh of its time. So each event names the thread that made this object.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._prototype = vars(logging.LogRecord(logger.name, logging.INFO, "", 0, "", None, None))

    def log(self, text: str, peer: str) -> None:
        """Log an event. `text` is written as it is, with no arguments."""
        if self._logger.isEnabledFor(logging.INFO):
            record = logging.LogRecord.__new__(logging.LogRecord)
            fields = vars(record)
            fields.update(self._prototype)
            fields["msg"] = text
            fields["peer"] = peer
            fields["created"] = now = time.time()
            fields["msecs"] = now % 1 * 1000
            self._logger.handle(record)


class Formatter(logging.Formatter):
    """Writes time with offset, level, peer and text in one line. A traceback follows as more such lines."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._second = (0, "", "")  # the last second that was formatted, and the text around its milliseconds

    def format(self, record: logging.LogRecord) -> str:
        start = f"{self._time(record.created)} {record.levelname} {getattr(record, 'peer', NO_PEER)}"
        line = visible(f"{start} {record.getMessage()}")
        if not record.exc_info:
            return line
        more = self.formatException(record.exc_info).splitlines()
        return "\n".join([line, *(visible(f"{start} {each}") for each in more)])

    def _time(self, created: float) -> str:
        """Return the local time with milliseconds and offset. `created` is in seconds since 1970."""
        whole, milliseconds = divmod(int(created * 1000), 1000)
        second, before, after = self._second
        if second != whole:
            text = datetime.fromtimestamp(whole).astimezone().isoformat()
            before, after = text[:19], text[19:]
            self._second = (whole, before, after)
        return f"{before}.{milliseconds:03d}{after}"


class JsonFormatter(Formatter):
    """Writes the same as one JSON object a line, for programs that collect logs; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self._time(record.created),
            "level": record.levelname,
            "peer": getattr(record, "peer", NO_PEER),
            "text": visible(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = visible(self.formatException(record.exc_info), keep="\n")
        return json.dumps(line, ensure_ascii=False)
