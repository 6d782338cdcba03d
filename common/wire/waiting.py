"""Bytes through a socket, and waiting for them: for a while, beside a flag that stops it, open to an interruption.

What the bytes mean is not known here. A socket is touched by one thread only, but for `interrupt` and `wake`.
"""

import contextlib
import math
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Self, TypeVar

from common.errors import ConnectionLost, DeadlineExceeded, PorterError, Stopping
from common.wire.deadline import Deadline, poll_milliseconds
from common.wire.stopflag import StopFlag

LARGEST_CHUNK = 65536 + 4  # the longest message there is by default, with its header, in one read
_SMALL_CHUNK = 2048  # which each silent connection holds
_HEAD = 5  # bytes: of a message the header, of a record of TLS, too
_LINGER_CHUNK = 16384
_LINGER_LIMIT = 1_048_576
SILENT = "no message for {:g} seconds"
_SOON = 0.0002
_TIMES_ALONE = 16
_NOT_TAKEN = "the peer did not take what was sent within {:g} seconds"
_BASE: Any = socket.SocketType

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Timeouts:
    """In seconds; None waits for ever."""

    idle: float | None = None  # between two messages
    message: float | None = None  # from the first byte of a message to its last
    send: float | None = None  # until the peer has taken what is sent to it


_NO_TIMEOUTS = Timeouts()


@lru_cache(16)
def timeval(seconds: float | None) -> bytes:
    """A time as SO_RCVTIMEO takes it; None is for ever."""
    return struct.pack("@ll", *divmod(math.ceil((seconds or 0) * 1e6), 1_000_000))


class Neighbours:
    """Sockets that share a core: tells which of them is alone in using it, however many others are silent."""

    __slots__ = ("_latest", "_times")

    def __init__(self) -> None:
        self._latest = self._times = 0

    def is_alone(self, waiting: socket.socket) -> bool:
        """To be asked by each that is about to wait: whether it is the only one that was, sixteen times in a row."""
        if self._latest == id(waiting):
            self._times += 1
        else:
            self._latest = id(waiting)
            self._times = 0
        return self._times >= _TIMES_ALONE


class WaitingSocket(socket.socket):
    """A socket.socket that waits within `timeouts`.

    `stop` ends a wait between two messages with Stopping. `has_ended` tells whether the peer has closed its side.
    `neighbours`, if the owner gives any, are the same for all sockets that are served by one process.
    """

    # On a subclass of a socket an attribute in a slot is found three times as fast.
    __slots__ = (
        *("timeouts", "stop", "has_ended", "neighbours"),
        *("_interruption", "_has_ended_input", "_is_waiting", "_kernels_timeouts", "_soon", "_takes_much"),
    )

    timeouts: Timeouts
    stop: StopFlag | None
    has_ended: bool
    neighbours: Neighbours | None
    _interruption: PorterError | None
    _kernels_timeouts: Timeouts | None

    # Also where a subclass has others by the usual names.
    _receive_bytes = socket.socket.recv
    _send_bytes = socket.socket.send

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeouts = _NO_TIMEOUTS
        self.stop = self._interruption = self._kernels_timeouts = None
        self.neighbours = None
        self.has_ended = self._has_ended_input = self._is_waiting = self._takes_much = False
        self._soon = 0.0

    @classmethod
    def adopt(cls, connection: socket.socket) -> Self:
        """Take over an open socket, which is left without its descriptor; accept() returns only the base class."""
        if connection.gettimeout() is not None:
            connection.settimeout(None)  # which the descriptor would keep, and nobody know of
        # By the getters of C: those of socket.socket make an enum of each, which takes as long as accept() does.
        family, kind = _BASE.family.__get__(connection), _BASE.type.__get__(connection)
        return cls(family, kind, connection.proto, fileno=connection.detach())

    def interrupt(self, error: PorterError) -> None:
        """Have the present or the next wait for a message raise `error`; for another thread.

        It must not be called once the socket may be closed.
        """
        self._interruption = error
        self._end_input()

    def wake(self) -> None:
        """Have a wait between two messages look at the stop flag; for another thread, too."""
        # Either this sees that the other thread waits, or that one, which says so first, sees the stop flag.
        if self._is_waiting:
            try:
                socket.socket.recv(self, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._end_input()
            except OSError:
                pass
            # Whoever has something to read, or the peer's end, wakes up by itself: our end would come in the middle
            # of a message, and after the peer's end it would look as if the peer were still there.

    def _end_input(self) -> None:
        # This wakes poll() and recv(): whoever is woken finds the reason.
        self._has_ended_input = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RD)

    def _heed_interruption(self) -> None:
        if self._interruption is not None:
            raise self._interruption

    def _wait_and_read(self) -> bytes | None:
        """What comes next between two messages, nothing at the end; None if that must be waited for otherwise.

        The kernel keeps the time (SO_RCVTIMEO): a Python timeout, like a poll() of our own, would be one more
        system call and two more looks at the interpreter's lock for each message.
        """
        if self.timeouts is not self._kernels_timeouts:
            self._kernels_timeouts = self.timeouts
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(self.timeouts.idle))
        self._is_waiting = True
        try:
            if self.stop is not None and self.stop.is_set:
                return None
            if self.neighbours is not None and self.neighbours.is_alone(self):
                self._await_what_comes_soon()
            if not self._takes_much:
                data = self._receive_bytes(_SMALL_CHUNK)
            else:
                head = self._receive_bytes(_HEAD, socket.MSG_PEEK)  # so that who waits keeps no large buffer
                data = self._receive_bytes(self._next_chunk(head), socket.MSG_DONTWAIT)
            self._takes_much = len(data) >= _SMALL_CHUNK
            return data
        except BlockingIOError:
            if self.gettimeout() is not None:  # it is the owner's wish not to block, and says nothing of the time
                return None
            raise DeadlineExceeded(SILENT.format(self.timeouts.idle)) from None
        except OSError as error:
            raise self._lost(error) from error
        finally:
            self._is_waiting = False

    def _next_chunk(self, head: bytes) -> int:
        """How much to read of what begins so."""
        return LARGEST_CHUNK

    def _await_what_comes_soon(self) -> None:
        """If the last came at once, stay awake for the next: to put a core to sleep and wake it up takes longer than
        a message, 45 us where that takes 25. In vain this is done once, and again only after one that came at once.

        Raises what recv() raises; it must not be lost, since the kernel tells of a reset only once.
        """
        now = time.monotonic()
        came_soon = now < self._soon
        self._soon = now + _SOON
        while came_soon and time.monotonic() < self._soon:
            try:
                socket.socket.recv(self, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                return
            except BlockingIOError:
                pass

    def _await_bytes(self, count: int, deadline: Deadline) -> None:
        """Leave what comes to the kernel until it is so much, or all there will be; raises what `deadline` raises."""
        with contextlib.suppress(OSError):  # of a connection that is gone; poll() tells
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        try:
            self._wait(select.POLLIN, deadline, None)
            deadline.remaining()
        finally:
            with contextlib.suppress(OSError):
                self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _read_now(self, size: int) -> bytes:
        return self._receive_bytes(size, socket.MSG_DONTWAIT)

    def _send_all(self, data: bytes, deadline: Deadline | None = None) -> None:
        """Have the peer take all of it, by `deadline` or within the timeout."""
        try:
            sent = self._send_bytes(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._lost(error) from error
        if sent < len(data):
            deadline = deadline or self._deadline_to_send()
            rest = memoryview(data)[sent:]
            while rest:
                sent = self._retry(partial(self._send_bytes, rest, socket.MSG_DONTWAIT), select.POLLOUT, deadline)
                rest = rest[sent:]

    def _deadline_to_send(self) -> Deadline:
        return Deadline(self.timeouts.send, ConnectionLost, _NOT_TAKEN)

    def _retry(
        self, attempt: Callable[[], _Result], event: int, deadline: Deadline, stop: StopFlag | None = None
    ) -> _Result:
        """What `attempt` gives, waiting whenever it would block; a dead connection becomes ConnectionLost."""
        while True:
            try:
                return attempt()
            except BlockingIOError:
                self._wait(event, deadline, stop)
            except OSError as error:
                raise self._lost(error) from error

    def _wait(self, event: int, deadline: Deadline, stop: StopFlag | None) -> None:
        poller = select.poll()
        poller.register(self, event)
        if stop is not None:
            poller.register(stop, select.POLLIN)
        ready = poller.poll(poll_milliseconds(deadline.remaining()))
        if event == select.POLLIN:
            self._heed_interruption()
        if ready and stop is not None and all(descriptor == stop.fileno() for descriptor, _ in ready):
            raise Stopping

    def _lost(self, error: OSError) -> ConnectionLost:
        return ConnectionLost(error.strerror or str(error))

    def _drop_input(self, linger: float) -> None:
        """Read and forget until the peer ends, `linger` is over or the limit is reached."""
        deadline = Deadline(linger, Stopping)
        dropped = 0
        while not self.has_ended and dropped < _LINGER_LIMIT:
            try:
                data = self._receive_bytes(_LINGER_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, None)
                continue
            dropped += len(data)
            self.has_ended = not data
