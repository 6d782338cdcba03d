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
        """`accept` waits a while for a connection, None if none came; `refuse` gets it and why no thread is left.

        What `accept` does with a connection, such as entering it in a register, is done when `close` returns.
        """
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
        if not self._waiting:
            self.start()

    def start(self) -> None:
        """Start a thread that waits, unless closed; raises RuntimeError or MemoryError if there can be none."""
        if not self._begin_waiting():
            return
        try:
            threading.Thread(target=self._run, name="connection", daemon=True).start()
        except BaseException:
            self._stop_waiting()
            raise

    def close(self, timeout: float) -> bool:
        """Accept no more; whether nobody is in `accept` any longer, within `timeout` seconds."""
        with self._changed:
            self._is_open = False
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def _run(self) -> None:
        """What a thread does, which counts as one that waits from before it runs: `close` must not miss it."""
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
        """False if there is nothing to wait for any more."""
        with self._changed:
            self._waiting += self._is_open
            return self._is_open

    def _stop_waiting(self) -> bool:
        """Whether nobody waits now."""
        with self._changed:
            self._waiting -= 1
            if not self._is_open:
                self._changed.notify_all()
            return not self._waiting

    def _serve_or_refuse(self, connection: _Connection, was_last: bool) -> None:
        """Serve a connection, and have somebody wait meanwhile."""
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
