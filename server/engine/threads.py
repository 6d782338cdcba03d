"""Threads that each accept a connection, serve it, and come back for the next: leader and followers.

The kernel wakes one of the threads in accept(), and this thread keeps the connection. A single thread that accepts
for all others would have to wake another one for each connection: half the time of a short connection. What is
accepted, and how it is served, is not known here.
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

LOG = logging.getLogger("porter.server")

_Connection = TypeVar("_Connection")


class AcceptingThreads(Generic[_Connection]):
    """A thread for each connection, and one more that waits. Of threads that wait in vain, all but one end."""

    def __init__(
        self,
        accept: Callable[[], _Connection | None],
        serve: Callable[[_Connection], None],
        refuse: Callable[[_Connection, str], None],
    ) -> None:
        """Start no thread yet.

        `accept` waits a while for a connection and returns it, or None if none came. `refuse` gets a connection and
        the reason why no thread is left. What `accept` does with a connection is done when `close` returns.
        """
        self._accept = accept
        self._serve = serve
        self._refuse = refuse
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0
        self._is_open = True

    def heal(self) -> None:
        """Start a thread if none waits, for example because one could not be started; call this now and then.

        Raise RuntimeError or MemoryError if it cannot be started.
        """
        if not self._waiting:
            self.start()

    def start(self) -> None:
        """Start a thread that waits, unless closed. Raise RuntimeError or MemoryError if it cannot be started."""
        if not self._begin_waiting():
            return
        try:
            threading.Thread(target=self._run, name="connection", daemon=True).start()
        except BaseException:
            self._stop_waiting()
            raise

    def close(self, timeout: float) -> bool:
        """Accept no more. Return whether all threads have left `accept` within `timeout` seconds."""
        with self._changed:
            self._is_open = False
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def _run(self) -> None:
        """Accept and serve connections. The thread counts as waiting before it runs: `close` must not miss it."""
        is_needed = True
        while is_needed:
            connection = None
            try:
                connection = self._accept()
            except BaseException:
                LOG.exception("accepting failed")
            was_last = self._stop_waiting()
            if connection is not None:
                self._serve_or_refuse(connection, was_last)
            is_needed = (was_last or connection is not None) and self._begin_waiting()

    def _begin_waiting(self) -> bool:
        """Count this thread as waiting. Return False if closed, when there is nothing to wait for."""
        with self._changed:
            self._waiting += self._is_open
            return self._is_open

    def _stop_waiting(self) -> bool:
        """Count this thread as waiting no more. Return whether no thread waits now."""
        with self._changed:
            self._waiting -= 1
            if not self._is_open:
                self._changed.notify_all()
            return not self._waiting

    def _serve_or_refuse(self, connection: _Connection, was_last: bool) -> None:
        """Serve a connection while another thread waits; refuse it if no such thread can be started."""
        try:
            if was_last:
                try:
                    self.start()
                except (RuntimeError, MemoryError) as error:
                    self._refuse(connection, str(error) or "no memory")
                    return
            self._serve(connection)
        except BaseException:
            LOG.exception("a connection's thread failed")
