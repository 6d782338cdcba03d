"""How both sockets wait: for a while, beside a flag that stops them, and open to an interruption by another thread.

What is read and written is not known here.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from common.deadline import Deadline, poll_milliseconds
from common.errors import ConnectionLost, PorterError, Stopping
from common.stopflag import StopFlag

_LINGER_CHUNK = 16384
_LINGER_LIMIT = 1_048_576
_NOT_TAKEN = "the peer did not take what was sent within {:g} seconds"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Timeouts:
    """In seconds; None waits for ever."""

    idle: float | None = None  # between two messages
    message: float | None = None  # from the first byte of a message to its last
    send: float | None = None  # until the peer has taken what is sent to it


# At run time the mixin stands beside a socket class; for the type checker it is one.
if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object


class WaitingMixin(_Socket):
    """What a socket needs for it; the attributes are those of messages.py."""

    __slots__ = ()

    timeouts: Timeouts
    has_ended: bool
    _interruption: PorterError | None
    _has_ended_input: bool
    _is_mute: bool

    def interrupt(self, error: PorterError) -> None:
        """Have the present or the next `receive_message` raise `error`; the one method for another thread to call.

        It must not be called once the socket may be closed.
        """
        self._interruption = error
        self._end_input()

    def wake(self) -> None:
        """Have a wait between two messages look at the stop flag, if it does not poll it; for another thread, too."""

    def _end_input(self) -> None:
        # This wakes poll() and recv(), below TLS: whoever is woken finds the reason and does not read, so that the
        # channel stays intact for a farewell.
        self._has_ended_input = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RD)

    def _heed_interruption(self) -> None:
        if self._interruption is not None:
            raise self._interruption

    def _send_all(self, data: bytes | memoryview) -> None:
        if self._is_mute:
            raise ConnectionLost("there is no TLS to send it with")
        deadline = Deadline(self.timeouts.send, ConnectionLost, _NOT_TAKEN)
        rest = memoryview(data)
        while rest:
            sent = self._retry(partial(self._write_now, rest), select.POLLOUT, deadline)
            rest = rest[sent:]

    def _retry(
        self, attempt: Callable[[], _Result], event: int, deadline: Deadline, stop: StopFlag | None = None
    ) -> _Result:
        """What `attempt` gives, waiting whenever it would block; a dead connection becomes ConnectionLost."""
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            except BlockingIOError:
                pass
            except ssl.SSLEOFError as error:
                raise ConnectionLost("the peer ended it without close_notify") from error
            except OSError as error:
                raise ConnectionLost(error.strerror or str(error)) from error
            self._wait(event, deadline, stop)

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

    def _drop_input(self, linger: float) -> None:
        """Read and forget, below TLS, until the peer ends, `linger` is over or the limit is reached."""
        deadline = Deadline(linger, Stopping)
        dropped = 0
        while not self.has_ended and dropped < _LINGER_LIMIT:
            try:
                data = socket.socket.recv(self, _LINGER_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, None)
                continue
            dropped += len(data)
            self.has_ended = not data

    def _read_now(self, size: int) -> bytes:
        raise NotImplementedError

    def _write_now(self, data: memoryview) -> int:
        raise NotImplementedError

    def _say_goodbye(self) -> None:
        """What is sent between the last message and the end of the stream: nothing, without TLS."""
