"""An older name for the file handler, for a logging.yaml of your own; the code is in common/log/logfile.py."""

from common.log.logfile import RotatingFileHandler

__all__ = ["RotatingFileHandler"]
