"""Lets others watch this process: it keeps the counts of a worker up to date, and serves them by HTTP."""

import socket
import threading
from typing import Protocol

from server.counts import SharedCounts
from server.engine.listening import listen
from server.monitoring.exposition import Exposition
from server.monitoring.serving import Monitoring, Views
from server.monitoring.watching import health
from server.settings import MonitoringSettings

_INTERVAL = 0.5  # seconds


class Watched(Protocol):
    """Who is watched; a service is."""

    @property
    def unready(self) -> str: ...
    def note_counts(self) -> None: ...


def listen_for_watchers(settings: MonitoringSettings) -> socket.socket | None:
    """Return a socket that listens for those who watch, or None if nobody shall. Raise Unavailable."""
    if not settings.address:
        return None
    host, _, port = settings.address.rpartition(":")
    return listen(host.strip("[]"), int(port), "fail")


class Watch:
    """Serves on a socket that listens until `close`. Whichever process answers, the others are half a second old."""

    def __init__(self, listener: socket.socket, counts: SharedCounts, watched: Watched) -> None:
        self._watched = watched
        self._closing = threading.Event()
        exposition = Exposition(counts)

        def metrics() -> bytes:
            watched.note_counts()
            return exposition.text()

        views = Views(metrics, lambda: health(counts), lambda: watched.unready)
        self._thread = threading.Thread(target=self._run, name="counting", daemon=True)
        self._thread.start()
        self._monitoring = Monitoring(listener, views)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._monitoring.close()

    def _run(self) -> None:
        while not self._closing.wait(_INTERVAL):
            self._watched.note_counts()
