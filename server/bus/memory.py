"""A carrier between the workers of one machine: a ring in memory that they share. It knows no database."""

import json
import mmap
import struct
from collections.abc import Sequence

from common.errors import Unavailable
from common.wire.waker import Waker
from server.bus.bus import MOST, Entry
from server.sharedlock import SharedLock

_SIZE = 8 * 1024 * 1024  # bytes; memory that was never written costs none
_BOUNDS = struct.Struct("@QQ")
_LENGTH = struct.Struct("@I")
_PATIENCE = 1.0  # seconds to wait for the lock


class Ring:
    """The last 8 MiB of entries, in memory of a process and its forks.

    An entry's number is the place after its last byte, counted from the first that was ever written. The bounds are
    written last, so that a worker that is killed while it writes leaves no half entry.
    """

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, _BOUNDS.size + _SIZE)
        self._lock = SharedLock()
        self._wakers = [Waker() for _ in range(workers)]

    def of(self, worker: int) -> "SharedMemory":
        """Return the ring as the carrier of one worker."""
        return SharedMemory(self, worker, self._wakers[worker])

    def close(self) -> None:
        self._lock.close()
        for waker in self._wakers:
            waker.close()

    def append(self, entries: Sequence[bytes], worker: int) -> None:
        """Write entries and wake the other workers. Raise Unavailable if the lock cannot be had."""
        if not self._lock.acquire(_PATIENCE):
            raise Unavailable("a worker that is stopped holds the bus")
        try:
            for entry in entries:
                self._append(entry)
        finally:
            self._lock.release()
        for number, waker in enumerate(self._wakers):
            if number != worker:
                waker.wake()

    def _append(self, entry: bytes) -> None:
        data = _LENGTH.pack(len(entry)) + entry
        first, end = self.bounds()
        while end + len(data) - first > _SIZE:
            first += _LENGTH.size + self._length(first)
        _BOUNDS.pack_into(self._memory, 0, first, end)
        start = end % _SIZE
        part = data[: _SIZE - start]
        self._memory[_BOUNDS.size + start : _BOUNDS.size + start + len(part)] = part
        self._memory[_BOUNDS.size : _BOUNDS.size + len(data) - len(part)] = data[len(part) :]
        _BOUNDS.pack_into(self._memory, 0, first, end + len(data))

    def after(self, number: int) -> list[tuple[int, bytes]]:
        """Return MOST entries at most, after this number. Raise Unavailable if the lock cannot be had."""
        if number == self.bounds()[1]:
            return []
        if not self._lock.acquire(_PATIENCE):
            raise Unavailable("a worker that is stopped holds the bus")
        try:
            first, end = self.bounds()
            place = max(number, first)
            found: list[tuple[int, bytes]] = []
            while place < end and len(found) < MOST:
                start = place + _LENGTH.size
                place = start + self._length(place)
                found.append((place, self._read(start, place)))
            return found
        finally:
            self._lock.release()

    def bounds(self) -> tuple[int, int]:
        """Return the place of the first byte that is kept, and the place after the last one."""
        first, end = _BOUNDS.unpack_from(self._memory, 0)
        return first, end

    def _length(self, place: int) -> int:
        return int(_LENGTH.unpack(self._read(place, place + _LENGTH.size))[0])

    def _read(self, start: int, end: int) -> bytes:
        first, last = start % _SIZE, end % _SIZE
        if first <= last:
            return self._memory[_BOUNDS.size + first : _BOUNDS.size + last]
        return self._memory[_BOUNDS.size + first :] + self._memory[_BOUNDS.size : _BOUNDS.size + last]


class SharedMemory:
    """The ring, as the carrier of one worker. A worker that replaces another has its name."""

    def __init__(self, ring: Ring, worker: int, waker: Waker) -> None:
        self.origin = str(worker)
        self._ring = ring
        self._worker = worker
        self._waker = waker

    def append(self, entries: Sequence[tuple[str, str]]) -> None:
        self._ring.append([json.dumps([self.origin, *entry]).encode() for entry in entries], self._worker)

    def after(self, number: int) -> list[Entry]:
        return [Entry(place, *json.loads(entry)) for place, entry in self._ring.after(number)]

    def latest(self) -> int:
        return self._ring.bounds()[1]

    def wait(self, seconds: float) -> None:
        self._waker.wait(None, 0, seconds)

    def wake(self) -> None:
        self._waker.wake()

    def close(self) -> None:
        """Do nothing: the ring is its maker's."""
