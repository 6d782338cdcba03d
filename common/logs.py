"""The name that a logging.yaml of yours may hold for the formatter; it lives in common/log/logs.py."""

from common.log.logs import Formatter

__all__ = ["Formatter"]
