"""The log lines of one connection's messages: their length, never their text."""

import logging


class Journal:
    def __init__(self, log: "logging.LoggerAdapter[logging.Logger]") -> None:
        self._log = log

    def received(self, length: int) -> None:
        self._log.info("message received, %d bytes", length)

    def sent(self, length: int) -> None:
        self._log.info("message sent, %d bytes", length)
