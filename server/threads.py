"""Threads that each accept a connection, serve it, and come back for the next: leader and followers.

The kernel wakes one of those that wait in accept(), and nobody hands anything over: a thread that accepts for all
others has to wake another for each connection, and half the time of a short one goes into that. What is accepted,
and what becomes of it, is not known here.
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

LOG = logging.getLogger("porter.server")

_Connection = TypeVar("_Connection")


class AcceptingThreads(Generic[_Connection]):
    """As many as serve somebody, and one more that waits; of those that wait in vain all but one end."""

    def __init__(
        self,
        accept: Callable[[], _Connection | None],
        serve: Callable[[_Connection], None],
        refuse: Callable[[_Connection, str], None],
    ) -> None:
        """`accept` waits a while for a connection, None if none came; `refuse` gets it and why no thread is left."""
        self._accept = accept
        self._serve = serve
        self._refuse = refuse
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0
        self._is_open = True

    def heal(self) -> None:
        """To be called now and then: start a thread if nobody waits any more, as after one could not be started.

        Raises RuntimeError or MemoryError if there can be none.
        """
        if self._is_open and not self._waiting:
            self.start()

    def start(self) -> None:
        """Start a thread that waits; raises RuntimeError or MemoryError if there can be none."""
        threading.Thread(target=self._run, name="connection", daemon=True).start()

    def close(self, timeout: float) -> bool:
        """Accept no more; whether nobody waits in `accept` any longer, within `timeout` seconds."""
        self._is_open = False
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def _run(self) -> None:
        is_needed = True
        while is_needed and self._is_open:
            is_needed = self._take_one()

    def _take_one(self) -> bool:
        """Serve one connection; whether this thread is to wait for another."""
        with self._changed:
            self._waiting += 1
        connection = None
        try:
            connection = self._accept()
        except BaseException:
            LOG.exception("accepting failed")
        finally:
            with self._changed:
                self._waiting -= 1
                was_last = not self._waiting
                if not self._is_open:
                    self._changed.notify_all()
        if connection is None:
            return was_last
        try:
            if was_last and self._is_open and (shortage := self._start_another()):
                self._refuse(connection, shortage)
            else:
                self._serve(connection)
        except BaseException:
            LOG.exception("a connection's thread failed")
        return True

    def _start_another(self) -> str | None:
        """Have somebody wait while this thread serves; None, or why that cannot be."""
        try:
            self.start()
        except (RuntimeError, MemoryError) as error:
            return str(error) or "no memory"
        return None
