"""Logging for both programs: one line an event, set up by a YAML file through logging.config.dictConfig.

Text from elsewhere cannot forge a line: everything unsafe is made visible. Which events there are is not known here,
nor how a file is written.
"""

import logging
import logging.config
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from common import yamlfile
from common.errors import ConfigurationError
from common.visible import visible

NO_PEER = "-"


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


class Event(NamedTuple):
    """What happens with each connection, and often: less than a LogRecord, which takes five microseconds to make."""

    created: float
    peer: str
    text: str

    def record(self, name: str) -> logging.LogRecord:
        """The same for a handler or a formatter that wants a LogRecord."""
        own = {"name": name, "levelno": logging.INFO, "levelname": "INFO", "msg": self.text, "peer": self.peer}
        moment = {"created": self.created, "msecs": self.created % 1 * 1000}
        return logging.makeLogRecord(own | moment)


class Formatter(logging.Formatter):
    """Time with offset, level, peer, text: one line; a traceback follows as more such lines."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._second = (0, "", "")  # the last one that was shown, with what stands before and after its milliseconds

    def format(self, record: logging.LogRecord) -> str:
        peer = getattr(record, "peer", NO_PEER)
        lines = [record.getMessage()]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(self.line(record.created, record.levelname, peer, line) for line in lines)

    def line(self, created: float, level: str, peer: str, text: str) -> str:
        """One line; `created` is in seconds since 1970."""
        whole, milliseconds = divmod(int(created * 1000), 1000)
        second, before, after = self._second
        if second != whole:
            shown = datetime.fromtimestamp(whole).astimezone().isoformat()
            before, after = shown[:19], shown[19:]
            self._second = (whole, before, after)
        return visible(f"{before}.{milliseconds:03d}{after} {level} {peer} {text}")
