"""How many connections there may be, in all and from one source: counted in this process, or by all workers together.

Who is connected, and what is said, is not known here.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from common.errors import ConnectionRefused
from common.wire.sockets import MessageSocket
from server.settings import Limits

_BUCKETS = 65_536
"""Counters of each worker; two sources that fall into one share their places, which few of any thousand do."""

_PATIENCE = 0.5
"""Seconds to wait for the lock; where that was in vain nobody waits again, until somebody gets it."""
_BETWEEN_TRIES = 0.0005


class Places(Protocol):
    """For one thread at a time."""

    def take(self, source: str, limits: Limits) -> None:
        """Count a connection in; raises ConnectionRefused, with a reason for the client, if there is no place."""

    def give_back(self, source: str) -> None: ...


class OwnPlaces:
    """Those of a server that is one process."""

    def __init__(self) -> None:
        self._count = 0
        self._by_source: Counter[str] = Counter()

    def take(self, source: str, limits: Limits) -> None:
        _check(self._count, self._by_source[source], limits)
        self._count += 1
        self._by_source[source] += 1

    def give_back(self, source: str) -> None:
        self._count -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


class SharedPlaces:
    """Counters in memory that all workers see, each with its own, so that one's can be cleared.

    The lock is a file's, which the kernel takes back from whoever is killed while holding it. It is not waited for
    without end: somebody may be stopped while holding it, and then a limit may be passed by a few.
    """

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, workers * (1 + _BUCKETS) * 4)
        self._counts = memoryview(self._memory).cast("I")
        self._workers = workers
        self._key = os.urandom(16)
        self._lock = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the server lives
        self._patience = _PATIENCE

    def of(self, worker: int) -> "WorkersPlaces":
        return WorkersPlaces(self, worker)

    def clear(self, worker: int) -> None:
        """Give back all that a worker had, which has ended."""
        with self.locked():
            start = worker * (1 + _BUCKETS)
            self._memory[start * 4 : (start + 1 + _BUCKETS) * 4] = bytes((1 + _BUCKETS) * 4)

    def bucket(self, source: str) -> int:
        digest = hashlib.blake2b(source.encode(), digest_size=8, key=self._key).digest()
        return 1 + int.from_bytes(digest, "big") % _BUCKETS

    def total(self, place: int) -> int:
        """Of all workers; place 0 counts all connections, the others those of the sources in a bucket."""
        return sum(self._counts[worker * (1 + _BUCKETS) + place] for worker in range(self._workers))

    def add(self, worker: int, place: int, count: int) -> None:
        self._counts[worker * (1 + _BUCKETS) + place] += count

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        is_locked = self._try_to_lock()
        self._patience = _PATIENCE if is_locked else 0.0
        try:
            yield
        finally:
            if is_locked:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _try_to_lock(self) -> bool:
        latest = time.monotonic() + self._patience
        while True:
            try:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= latest:
                    return False
                time.sleep(_BETWEEN_TRIES)
            else:
                return True


class WorkersPlaces:
    """Those that all workers share, for one of them."""

    def __init__(self, shared: SharedPlaces, worker: int) -> None:
        self._shared = shared
        self._worker = worker

    def take(self, source: str, limits: Limits) -> None:
        bucket = self._shared.bucket(source)
        with self._shared.locked():
            _check(self._shared.total(0), self._shared.total(bucket), limits)
            self._shared.add(self._worker, 0, 1)
            self._shared.add(self._worker, bucket, 1)

    def give_back(self, source: str) -> None:
        # Without the lock: nobody else writes the counters of this worker.
        self._shared.add(self._worker, 0, -1)
        self._shared.add(self._worker, self._shared.bucket(source), -1)


def _check(count: int, of_source: int, limits: Limits) -> None:
    if count >= limits.max_connections:
        raise ConnectionRefused("the server is full, try again later")
    if of_source >= limits.max_connections_per_address:
        raise ConnectionRefused("too many connections from your address")


class Connections:
    def __init__(self, places: Places | None = None) -> None:
        """`places` may be shared with other processes; by default they are this one's own.

        `served` is how many there have been so far.
        """
        self._places = places or OwnPlaces()
        self._sources: dict[MessageSocket, str] = {}
        self._changed = threading.Condition()
        self.served = 0

    def __len__(self) -> int:
        return len(self._sources)

    def admit(self, request: MessageSocket, source: str, limits: Limits) -> None:
        """Enter a connection; raises ConnectionRefused, with a reason for the client, if there is no place."""
        with self._changed:
            self._places.take(source, limits)
            self._sources[request] = source
            self.served += 1

    def remove(self, request: MessageSocket) -> bool:
        """Free the place of a closed connection; False if it had none."""
        with self._changed:
            source = self._sources.pop(request, None)
            if source is None:
                return False
            self._places.give_back(source)
            if not self._sources:
                self._changed.notify_all()
            return True

    def wait_until_none(self, timeout: float | None) -> bool:
        """Wait for the last connection to end; False if `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sources, timeout)

    def wake(self) -> None:
        """Have all who wait for a message look at the stop flag."""
        with self._changed:
            for request in self._sources:
                request.wake()

    def cut(self) -> int:
        """Break off what is still open, without goodbyes; how many there were."""
        with self._changed:
            for request in self._sources:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
            return len(self._sources)
