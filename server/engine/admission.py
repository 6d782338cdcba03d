"""The limits on connections, in all and from one source: counted in this process, or by all workers together.

What is said on a connection is not known here. A source is a client's address, or its network (IPv6).
"""

import contextlib
import hashlib
import mmap
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from common.errors import ConnectionRefused
from server.settings import Limits
from server.sharedlock import SharedLock

_BUCKETS = 65_536
"""Counters of each worker. Two sources in one bucket share their slots; of a thousand sources only a few do."""

_PATIENCE = 0.5
"""Seconds to wait for the lock. After one wait in vain nobody waits, until a thread gets the lock again."""

_Connection = TypeVar("_Connection")


class Slots(Protocol):
    """Counts connections and enforces the limits; only one thread may use it at a time."""

    def take(self, source: str, limits: Limits) -> None:
        """Take a slot for a connection. Raise ConnectionRefused, with a reason for the client, if none is free."""

    def give_back(self, source: str) -> None:
        """Free the slot of a connection from `source`."""

    def has_more_than_its_share(self) -> bool:
        """Return whether other processes on the same port have fewer connections, and should accept the next."""


class OwnSlots:
    """The slots of a server that is one process."""

    def __init__(self) -> None:
        self._count = 0
        self._by_source: Counter[str] = Counter()

    def take(self, source: str, limits: Limits) -> None:
        _check(source, self._count, self._by_source[source], limits)
        self._count += 1
        self._by_source[source] += 1

    def give_back(self, source: str) -> None:
        self._count -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    def has_more_than_its_share(self) -> bool:
        return False


class SharedSlots:
    """Counters in memory that all workers share. Each worker has its own, so that those of a dead one can be cleared.

    The wait for the lock is short. Without it, a few connections more than a limit may be admitted.
    """

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, workers * (1 + _BUCKETS) * 4)
        self._counts = memoryview(self._memory).cast("I")
        self._workers = workers
        self._key = os.urandom(16)
        self._lock = SharedLock()
        self._patience = _PATIENCE

    def close(self) -> None:
        self._lock.close()

    def of(self, worker: int) -> "WorkersSlots":
        """Return these slots for the use of one worker."""
        return WorkersSlots(self, worker)

    def clear(self, worker: int) -> None:
        """Free all slots of a worker that has ended."""
        with self.locked():
            start = worker * (1 + _BUCKETS)
            self._memory[start * 4 : (start + 1 + _BUCKETS) * 4] = bytes((1 + _BUCKETS) * 4)

    def bucket(self, source: str) -> int:
        """Return the number of the counter for `source`."""
        digest = hashlib.blake2b(source.encode(), digest_size=8, key=self._key).digest()
        return 1 + int.from_bytes(digest, "big") % _BUCKETS

    def total(self, slot: int) -> int:
        """Return the sum of a counter over all workers. Counter 0 is for all connections, each other for a bucket."""
        return sum(self._counts[worker * (1 + _BUCKETS) + slot] for worker in range(self._workers))

    def has_more_than_its_share(self, worker: int) -> bool:
        """Return whether a worker has two connections more than the mean of all."""
        return self._counts[worker * (1 + _BUCKETS)] * self._workers >= self.total(0) + 2 * self._workers

    def add(self, worker: int, slot: int, count: int) -> None:
        self._counts[worker * (1 + _BUCKETS) + slot] += count

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock inside, or nothing if it could not be had in time."""
        is_locked = self._lock.acquire(self._patience)
        self._patience = _PATIENCE if is_locked else 0.0
        try:
            yield
        finally:
            if is_locked:
                self._lock.release()


class WorkersSlots:
    """The shared slots, as one worker uses them."""

    def __init__(self, shared: SharedSlots, worker: int) -> None:
        self._shared = shared
        self._worker = worker

    def take(self, source: str, limits: Limits) -> None:
        bucket = self._shared.bucket(source)
        with self._shared.locked():
            _check(source, self._shared.total(0), self._shared.total(bucket), limits)
            self._shared.add(self._worker, 0, 1)
            self._shared.add(self._worker, bucket, 1)

    def give_back(self, source: str) -> None:
        # Without the lock: no other process writes the counters of this worker while it lives.
        self._shared.add(self._worker, 0, -1)
        self._shared.add(self._worker, self._shared.bucket(source), -1)

    def has_more_than_its_share(self) -> bool:
        return self._shared.has_more_than_its_share(self._worker)


def _check(source: str, count: int, of_source: int, limits: Limits) -> None:
    """Raise ConnectionRefused if there is no slot. A connection whose source is not known yet has none, ""."""
    if count >= limits.max_connections:
        raise ConnectionRefused("the server is full, try again later", reason="full")
    if source and of_source >= limits.max_connections_per_address:
        raise ConnectionRefused("too many connections from your address", reason="address")


class Connections(Generic[_Connection]):
    """The open connections, each with its slot."""

    def __init__(self, slots: Slots | None = None) -> None:
        """Begin with no connections. Other processes may share `slots`; by default this process has its own."""
        self._slots = slots or OwnSlots()
        self._sources: dict[_Connection, str] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, request: object) -> bool:
        return request in self._sources

    def admit(self, request: _Connection, source: str, limits: Limits) -> None:
        """Take a slot for a connection. Raise ConnectionRefused, with a reason for the client, if none is free."""
        with self._changed:
            self._slots.take(source, limits)
            self._sources[request] = source

    def replace(self, old: _Connection, new: _Connection, source: str, limits: Limits) -> None:
        """Let a connection have the slot of another one, now that its source is known. Raise ConnectionRefused."""
        with self._changed:
            self._slots.give_back(self._sources.pop(old))
            try:
                self._slots.take(source, limits)
                self._sources[new] = source
            finally:
                if not self._sources:
                    self._changed.notify_all()

    def has_more_than_its_share(self) -> bool:
        """Return whether another process should accept the next connection."""
        return self._slots.has_more_than_its_share()

    def remove(self, request: _Connection) -> bool:
        """Free the slot of a closed connection. Return False if it had none."""
        with self._changed:
            source = self._sources.pop(request, None)
            if source is None:
                return False
            self._slots.give_back(source)
            if not self._sources:
                self._changed.notify_all()
            return True

    def wait_until_none(self, timeout: float | None) -> bool:
        """Wait for the last connection to end. Return False if that takes longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sources, timeout)

    def all(self) -> list[_Connection]:
        """Return the connections that are open now."""
        with self._changed:
            return list(self._sources)
