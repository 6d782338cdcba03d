"""A lock between the processes of one server. What it protects is not known here."""

import fcntl
import os
import tempfile
import time

_BETWEEN_TRIES = 0.0005  # seconds


class SharedLock:
    """A lock of a process and its forks. The kernel frees it when its holder is killed.

    It keeps no threads of one process apart. The wait for it has an end, because its holder may be stopped (SIGSTOP).
    """

    def __init__(self) -> None:
        # A file without a folder, where the system has them: the folder for temporary files may be missing.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("porter")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())

    def acquire(self, seconds: float) -> bool:
        """Return whether the lock could be had within `seconds`."""
        latest = time.monotonic() + seconds
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= latest:
                    return False
                time.sleep(_BETWEEN_TRIES)
            else:
                return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
