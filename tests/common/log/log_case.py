"""A log file in a folder of its own, for the tests of its lines and of its rotation."""

import logging

from common.log.logfile import RotatingFileHandler
from common.log.logs import Formatter
from tests.support import PorterTestCase


class LogTestCase(PorterTestCase):
    """A test that writes records into the file `new/a.log` and reads its lines."""

    def handler(self, **options: int) -> RotatingFileHandler:
        handler = RotatingFileHandler(str(self.folder / "new" / "a.log"), **options)
        handler.setFormatter(Formatter())
        self.addCleanup(handler.close)
        return handler

    def emit(self, handler: logging.Handler, text: str, *arguments: object, peer: str | None = None) -> None:
        record = logging.LogRecord("porter.server", logging.INFO, "", 0, text, arguments, None)
        if peer is not None:
            record.peer = peer
        handler.handle(record)

    def lines(self) -> list[str]:
        return (self.folder / "new" / "a.log").read_text().splitlines()
