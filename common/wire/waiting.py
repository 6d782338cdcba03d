"""A socket that sends bytes and waits for bytes. A timeout, a stop flag or an interruption ends the wait.

It does not know what the bytes mean. Only one thread uses a socket, except for `interrupt` and `wake`.
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

LARGEST_CHUNK = 65536 + 4  # bytes: one read takes the longest message of the default limit, with its header
_SMALL_CHUNK = 2048  # bytes: each silent connection holds a buffer of this size
_HEAD = 5  # bytes: enough for the header of a message (4) and of a TLS record (5)
_LINGER_CHUNK = 16384
_LINGER_LIMIT = 1_048_576
SILENT = "no message came for {seconds:g} seconds"
_SOON = 0.0002
_TIMES_ALONE = 16
_NOT_TAKEN = "the peer did not take what was sent within {seconds:g} seconds"
_BASE: Any = socket.SocketType

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Timeouts:
    """The timeouts of a socket, in seconds; None waits for ever."""

    idle: float | None = None  # between two messages
    message: float | None = None  # from the first byte of a message to its last
    send: float | None = None  # until the peer has taken the sent bytes


_NO_TIMEOUTS = Timeouts()


@lru_cache(16)
def timeval(seconds: float | None) -> bytes:
    """Return `seconds` in the form of SO_RCVTIMEO; None means for ever."""
    return struct.pack("@ll", *divmod(math.ceil((seconds or 0) * 1e6), 1_000_000))


class Neighbours:
    """The sockets that share a core. It tells whether only one of them is active, however many others are silent."""

    __slots__ = ("_latest", "_times")

    def __init__(self) -> None:
        self._latest = self._times = 0

    def is_alone(self, waiting: socket.socket) -> bool:
        """Return whether `waiting` was the only caller for sixteen calls. Each socket calls this before it waits."""
        if self._latest == id(waiting):
            self._times += 1
        else:
            self._latest = id(waiting)
            self._times = 0
        return self._times >= _TIMES_ALONE


class WaitingSocket(socket.socket):
    """A socket.socket that waits within `timeouts`.

    A set flag `stop` ends a wait between two messages with Stopping. `has_ended` tells whether the peer has closed
    its side. `neighbours` is optional: all sockets that one process serves share one object.
    """

    # Slots: on a subclass of socket.socket, an attribute in a slot is found three times as fast.
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

    # A subclass may replace recv and send; these two names always reach the plain socket.
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
        """Take over the descriptor of an open socket; `connection` loses it. accept() returns only the base class."""
        if connection.gettimeout() is not None:
            connection.settimeout(
                None
            )  # otherwise the descriptor stays non-blocking, and the new socket does not know
        # Use the getters of C: those of socket.socket make an enum of each value, which takes as long as accept().
        family, kind = _BASE.family.__get__(connection), _BASE.type.__get__(connection)
        return cls(family, kind, connection.proto, fileno=connection.detach())

    def interrupt(self, error: PorterError) -> None:
        """Make the present or the next wait for a message raise `error`. Another thread calls this.

        The caller must make sure that the socket is not closed yet.
        """
        self._interruption = error
        self._end_input()

    def wake(self) -> None:
        """Make a wait between two messages check the stop flag. Another thread may call this, too."""
        # No race: the other thread first sets _is_waiting and then reads the stop flag. So either this thread sees
        # that the other one waits, or the other one sees the flag.
        if self._is_waiting:
            try:
                socket.socket.recv(self, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._end_input()
            except OSError:
                pass
            # A thread that has bytes to read, or the end of the peer's stream, wakes up without help. If we ended our
            # input then, it could end inside a message, and after the peer's end the peer would seem to be there.

    def _end_input(self) -> None:
        # This wakes poll() and recv(). The thread that wakes up then looks for the reason.
        self._has_ended_input = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RD)

    def _heed_interruption(self) -> None:
        if self._interruption is not None:
            raise self._interruption

    def _wait_and_read(self) -> bytes | None:
        """Return the next bytes, b"" at the end of the stream, or None if the caller must wait in another way.

        The kernel watches the timeout (SO_RCVTIMEO). A Python timeout or an own poll() would cost one more system
        call for each message, and would release and take the interpreter's lock once more.
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
                head = self._receive_bytes(_HEAD, socket.MSG_PEEK)  # wait without a large buffer
                data = self._receive_bytes(self._next_chunk(head), socket.MSG_DONTWAIT)
            self._takes_much = len(data) >= _SMALL_CHUNK
            return data
        except BlockingIOError:
            if self.gettimeout() is not None:  # the owner made the socket non-blocking: this is no timeout
                return None
            raise DeadlineExceeded(SILENT, seconds=self.timeouts.idle) from None
        except OSError as error:
            raise self._lost(error) from error
        finally:
            self._is_waiting = False

    def _next_chunk(self, head: bytes) -> int:
        """Return how many bytes to read of a message whose first bytes are `head`."""
        return LARGEST_CHUNK

    def _await_what_comes_soon(self) -> None:
        """Poll for the next message without sleeping, if the last one came soon after the one before it.

        Putting a core to sleep and waking it up takes 45 us; a message takes 25. A poll in vain is not repeated until
        a message has come soon again.

        Raise what recv() raises: the error must not be lost, since the kernel reports a reset only once.
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
        """Wait until the kernel holds `count` bytes or the end of the stream. After `deadline`, raise its error."""
        with contextlib.suppress(OSError):  # the connection is gone: poll() reports it
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        try:
            self._wait(select.POLLIN, deadline, None)
            deadline.remaining()
        finally:
            with contextlib.suppress(OSError):
                self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _read_now(self, size: int) -> bytes:
        """Return the bytes that are there. Raise BlockingIOError if there are none."""
        return self._receive_bytes(size, socket.MSG_DONTWAIT)

    def _send_all(self, data: bytes, deadline: Deadline | None = None) -> None:
        """Send all of `data`. Raise ConnectionLost if the peer does not take it before `deadline` or the timeout."""
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
        """Return the result of `attempt`; wait while it blocks. Raise ConnectionLost if the connection is dead."""
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
        return ConnectionLost("{reason}", reason=error.strerror or error)

    def _drop_input(self, linger: float) -> None:
        """Read and drop bytes until the peer ends, `linger` seconds are over, or the limit is reached."""
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
