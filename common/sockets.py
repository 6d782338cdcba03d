"""The plain socket with messages, tuned for the wait that is most of a connection's life: the one for a message.

What it does not do itself, it does as messages.py has it.
"""

import math
import socket
import struct
from functools import lru_cache
from typing import Any, Self

from common.errors import ConnectionLost, DeadlineExceeded
from common.framing import sole_text
from common.messages import LARGEST_CHUNK, SILENT, STATE, MessageMixin
from common.waiting import Timeouts

_SMALL_CHUNK = 4096
_BASE: Any = socket.SocketType


@lru_cache(16)
def timeval(seconds: float | None) -> bytes:
    """A time as SO_RCVTIMEO takes it; None is for ever."""
    fraction, whole = math.modf(seconds or 0)
    return struct.pack("@ll", int(whole), math.ceil(fraction * 1e6))


class MessageSocket(MessageMixin, socket.socket):
    """A socket.socket with `send_message` and `receive_message`; everything else is as it was.

    Between two messages the kernel keeps the time (SO_RCVTIMEO): a Python timeout, like a poll() of our own, would
    be one more system call and two more looks at the interpreter's lock for each message.
    """

    __slots__ = (*STATE, "_is_waiting", "_kernels_timeouts", "_takes_much")

    _kernels_timeouts: Timeouts | None
    _is_waiting: bool
    _takes_much: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        self._kernels_timeouts = None
        self._is_waiting = False
        self._takes_much = False
        return self

    @classmethod
    def adopt(cls, connection: socket.socket) -> Self:
        """Take over an open socket, which is left without its descriptor; accept() returns only the base class."""
        if connection.gettimeout() is not None:
            connection.settimeout(None)  # which the descriptor would keep, and nobody know of
        # By the getters of C: those of socket.socket make an enum of each, which takes as long as accept() does.
        family, kind = _BASE.family.__get__(connection), _BASE.type.__get__(connection)
        return cls(family, kind, connection.proto, fileno=connection.detach())

    def wake(self) -> None:
        # Either this sees that the other thread waits, or that one, which says so first, sees the stop flag.
        if self._is_waiting:
            self._end_input()

    def _receive_more(self) -> str | None:
        # The usual case in one piece, since calls are half of what a message costs: no part of one is here, nobody
        # is in a hurry, and then one comes and no more. All else is for messages.py.
        if self._rest or self._takes_much or self.overall is not None:
            return super()._receive_more()
        if self._outgoing:
            self.flush()
        self._last = None
        data = self._wait_and_read()
        text = sole_text(data, self.max_message)
        if text is None or self._interruption is not None:
            self._take_in(data)
            return super()._receive_more()
        self.messages_received += 1
        self.bytes_received += len(data)
        if self.is_followed:
            self._show_journal()
        return text

    def _receive_first(self) -> bytes:
        return super()._receive_first() if self.overall is not None else self._wait_and_read()

    def _wait_and_read(self) -> bytes:
        if self.timeouts is not self._kernels_timeouts:
            self._tell_kernel()
        self._is_waiting = True
        try:
            if self.stop is not None and self.stop.is_set:
                return super()._receive_first()
            if not self._takes_much:
                data = self.recv(_SMALL_CHUNK)
            else:
                self.recv(1, socket.MSG_PEEK)  # so that who waits keeps no large buffer
                data = self.recv(LARGEST_CHUNK, socket.MSG_DONTWAIT)
            self._takes_much = len(data) >= _SMALL_CHUNK
            return data
        except BlockingIOError:
            if self.gettimeout() is not None:  # it is the owner's wish not to block, and says nothing of the time
                return super()._receive_first()
            raise DeadlineExceeded(SILENT.format(self.timeouts.idle)) from None
        except OSError as error:
            raise ConnectionLost(error.strerror or str(error)) from error
        finally:
            self._is_waiting = False

    def _send_all(self, data: bytes | memoryview) -> None:
        try:
            sent = self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ConnectionLost(error.strerror or str(error)) from error
        if sent < len(data):
            super()._send_all(memoryview(data)[sent:])

    def _tell_kernel(self) -> None:
        self._kernels_timeouts = self.timeouts
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(self.timeouts.idle))

    def _read_now(self, size: int) -> bytes:
        return self.recv(size, socket.MSG_DONTWAIT)

    def _write_now(self, data: memoryview) -> int:
        return self.send(data, socket.MSG_DONTWAIT)
