"""The name that a logging.yaml of yours may hold for the file handler; it lives in common/log/logfile.py."""

from common.log.logfile import RotatingFileHandler

__all__ = ["RotatingFileHandler"]
