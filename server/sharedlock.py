"""A lock between the processes of one server. What it protects is not known here."""

import fcntl
import os
import tempfile
import threading
import time

_BETWEEN_TRIES = 0.0005  # seconds


class SharedLock:
    """A lock of a process and its forks. The kernel frees it when its holder is killed.

    The lock of a file is its process's, so a second lock keeps threads apart; whoever forks must have no other
    threads. The wait has an end, because the holder may be stopped (SIGSTOP).
    """

    def __init__(self) -> None:
        self._threads = threading.Lock()
        # A file without a folder, where the system has them: the folder for temporary files may be missing.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("porter")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())

    def acquire(self, seconds: float) -> bool:
        """Return whether the lock could be had within `seconds`."""
        latest = time.monotonic() + seconds
        if not self._threads.acquire(timeout=seconds):
            return False
        is_locked = False
        try:
            while not (is_locked := self._try()) and time.monotonic() < latest:
                time.sleep(_BETWEEN_TRIES)
            return is_locked
        finally:
            if not is_locked:
                self._threads.release()

    def _try(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        os.close(self._file)
