"""An older name for the formatter, for a logging.yaml of your own; the code is in common/log/logs.py."""

from common.log.logs import Formatter

__all__ = ["Formatter"]
