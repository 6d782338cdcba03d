"""A connection: what has come on it, how long it may take, and how it waits and ends.

It is parked with the leader, which gives it turns, or a thread holds it; only whoever has it in hand reads it, times
it and ends it. Others may push a text, interrupt or stop it. What is said on it is the handler's business.
"""

import contextlib
import socket
import time
from enum import Enum, auto
from functools import partial
from typing import Any

from common.addresses import format_peer
from common.errors import (
    ConnectionLost,
    ConnectionRefused,
    DeadlineExceeded,
    PorterError,
    SessionEnded,
    Stopping,
)
from common.wire.deadline import Deadline
from common.wire.framing import encode
from common.wire.inbox import Inbox
from common.wire.journal import Counts
from common.wire.sockets import LARGEST_CHUNK, NO_HANDSHAKE
from common.wire.waker import Waker
from server.engine.channel import Channel
from server.engine.deadlines import Deadlines
from server.engine.ending import Ending
from server.engine.leader import Leader
from server.engine.plan import Owner, Plan, Speaker
from server.engine.polling import READ

# In bytes.
_SMALL = 4096  # what is read at a time, and frames that are gathered
_LARGE_MESSAGE = 1024  # from here on it is worth while to read much at a time
_MOST_UNSENT = 65536
_LONG = 0.002  # seconds
_MOST_GATHERED = 64  # frames
_MOST_AT_ONCE = 16  # messages in one turn
_NOT_TAKEN = "the peer did not take {limit} bytes of what others sent"


class State(Enum):
    HANDSHAKE = auto()
    SERVED = auto()
    ENDING = auto()


class Connection:
    """One connection, from accept to close.

    `max_message` and `overall` may be set by the handler. `handler` is None until the conversation begins.
    """

    __slots__ = (
        *("address", "channel", "deadlines", "events", "fd", "handler", "journal", "max_message", "opened_at"),
        *("overall", "peer", "plan", "socket", "state", "__weakref__", "_computes", "_error", "_inbox"),
        *("is_slow", "_gathered", "_gathers", "_leader", "_lock", "_owner", "_takes_long", "_takes_much", "_waker"),
    )

    def __init__(self, connection: socket.socket, address: Any, plan: Plan, leader: Leader, owner: Owner) -> None:
        """Take over a socket that does not block."""
        limits = plan.limits
        self.socket = connection
        self.fd = connection.fileno()
        self.address = address
        self.peer = format_peer(address)
        self.plan = plan
        self.handler: Speaker | None = None
        self.journal = owner.journal(self.peer)
        self.max_message = limits.max_message
        self.overall: Deadline | None = None
        self.opened_at = now = time.monotonic()
        self.is_slow = plan.tls is not None  # the turns of the handshake are
        self.state = State.HANDSHAKE if self.is_slow else State.SERVED
        self.events = READ
        self._leader = leader
        self._owner = owner
        self.channel = Channel(connection, plan.tls)
        # Read by whoever has the connection in hand.
        self._inbox = Inbox()
        self._takes_much = self._takes_long = self._computes = False
        self.deadlines = Deadlines(limits, self._inbox, self.channel, now)
        if plan.tls is not None:
            self.deadlines.moment = now + limits.handshake_timeout
        self._gathered: list[bytes] = []  # frames that will be sent together
        self._gathers = False
        # What others want, under the lock of the channel.
        self._lock = self.channel.lock
        self._error: PorterError | None = None
        self._waker: Waker | None = None  # of the thread that holds the connection and may wait

    @property
    def counts(self) -> Counts:
        return self._inbox.messages, self._inbox.bytes, self.channel.messages, self.channel.sent_bytes

    @property
    def deadline(self) -> float:
        return self.deadlines.moment

    # For the handler, in the thread that has the connection in hand.

    def send_message(self, text: str) -> None:
        """Send `text`: at once, or together with the other answers of this turn.

        If the peer has more than 64 KiB to take, wait until it has less. Raise ConnectionLost if the connection is
        dead or the peer takes too little within send_timeout, and NotText if `text` cannot be UTF-8.
        """
        frame = encode(text)
        # Without the lock: a list takes an append whole, and `flush` leaves alone what is appended meanwhile.
        self._gathered.append(frame)
        if self._gathers and len(frame) < _SMALL and len(self._gathered) < _MOST_GATHERED:
            return
        self.flush()
        while len(self.channel.unsent) > _MOST_UNSENT:
            self._hold()
            if self._error is not None:
                raise self._error
            now = time.monotonic()
            self._wait(self.deadlines.begin_wait(now), now)
            self.channel.send_unsent()

    def flush(self) -> None:
        """Send what was gathered in this turn, and gather no more: the turn may take long."""
        self._gathers = False
        if self._gathered:
            self.channel.send(self._gathered)
            self._note()

    def receive_message(self) -> str | None:
        """Wait for the next message and return it. Return None if the peer has closed after the last one.

        Raise a ProtocolError if the peer breaks the protocol, DeadlineExceeded if no message comes in time, Stopping
        if the server stops and everything that had come is received, what `interrupt` was given, and ConnectionLost
        if the connection is dead.
        """
        channel, deadlines, inbox = self.channel, self.deadlines, self._inbox
        self._hold()
        now = deadlines.quiet_since = time.monotonic()
        while True:
            if self._error is not None:
                raise self._error
            if self.overall is not None:
                self.overall.remaining()
            if (text := inbox.take(self.max_message)) is not None:
                return text
            if channel.has_ended and deadlines.has_ended():
                return None
            now = self._wait(deadlines.begin_wait(now), now)
            if channel.unsent:
                channel.send_unsent()
            if not channel.unsent:
                self._read(now)

    def check_peer(self) -> None:
        """Raise ConnectionLost if the peer is gone. One that has only ended its side still waits for answers."""
        self._read(time.monotonic())

    def step_aside(self) -> None:
        """Say that what follows may wait: another thread leads meanwhile, and what was said so far is sent.

        Raise ConnectionRefused if there is no other thread.
        """
        if not self._leader.hand_on(self):
            raise ConnectionRefused("the server is full, try again later")
        self.flush()

    # For any thread.

    def push(self, text: str) -> bool:
        """Send a text from any thread, without waiting. Return whether the connection has taken it.

        A connection that has more than `limits.max_unsent` bytes of pushed texts to send is ended. Raise NotText if
        `text` cannot be UTF-8.
        """
        return self.push_frame(encode(text))

    def push_frame(self, frame: bytes) -> bool:
        """Push a text that is encoded already, for many connections."""
        channel = self.channel
        with self._lock:
            if self.state is not State.SERVED or self._error is not None:
                return False
            try:
                self._gathered.append(frame)
                channel.send(self._gathered)
            except ConnectionLost as error:
                self._error = error
            if channel.unsent:
                channel.pushed += len(frame)
                limit = self.plan.limits.max_unsent
                if channel.pushed > limit:
                    self._error = ConnectionLost(_NOT_TAKEN, limit=limit)
            else:
                channel.taken_at = time.monotonic()
            is_taken = self._error is None
        if channel.unsent or not is_taken:
            self._tell()
        else:
            self._note()
        return is_taken

    def interrupt(self, error: PorterError) -> None:
        """End the connection with `error`: the next verb that waits raises it. Any thread may call this."""
        with self._lock:
            self._error = self._error or error
        self._tell()

    def pardon(self) -> None:
        """Forget an end of the session that was not raised yet; the handler has another session now."""
        with self._lock:
            if isinstance(self._error, SessionEnded):
                self._error = None

    def stop(self) -> None:
        """End the connection with Stopping when everything is answered that has come. Any thread may call this."""
        with self._lock:
            self.deadlines.is_stopping = True
        self._tell()

    def cut(self) -> None:
        """End the connection without a farewell. Any thread may call this."""
        with self._lock, contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def was_handed_on(self) -> None:
        """Send what was gathered: this turn was found to take long. So may the next one, which will step aside."""
        self._takes_long = True
        with contextlib.suppress(ConnectionLost):  # the next send says so
            self.flush()

    def _tell(self) -> None:
        """Tell whoever has the connection in hand that there is news."""
        with self._lock:
            if self._waker is not None:
                self._waker.wake()
        self._leader.post(self)

    # Turns, given by the leader.

    def turn(self) -> bool:
        """Read what has come, and answer it. Return whether the connection may be parked afterwards."""
        channel, deadlines, inbox = self.channel, self.deadlines, self._inbox
        try:
            if self.is_slow:
                return self._shake_hands()
            if self._error is not None:
                raise self._error
            now = self._leader.now
            if now >= deadlines.moment:
                deadlines.check(now)
            if channel.unsent:
                channel.send_unsent()
            if not channel.unsent:
                has_next = inbox.texts or (inbox.rest and inbox.has_message)
                if not has_next and (not deadlines.is_stopping or deadlines.may_read()):
                    self._read(now)
                if self._takes_long:
                    self._answer_aside()
                else:
                    self._answer()
            events = deadlines.begin_wait(now)
        except BaseException:  # a handler may fail in any way
            self._owner.fail(self)
            return False
        if self._waker is not None:
            self.let_go()
        if events != self.events:
            self.events = events
            self._leader.heed(self)
        if deadlines.has_more:
            self._leader.again(self)
        return True

    def _answer(self) -> None:
        """Have the handler answer 16 messages at most, until the peer has something to take."""
        assert self.handler is not None
        channel, inbox, received = self.channel, self._inbox, self.handler.received
        texts, left = inbox.texts, _MOST_AT_ONCE
        self._gathers = True
        while texts or (inbox.rest and inbox.refill(self.max_message)):
            received(texts.pop())
            left -= 1
            if not left or channel.unsent or self._error is not None:
                break
        self.flush()

    def _answer_aside(self) -> None:
        """Answer while another thread leads, because the last answers took long. Those that compute take turns."""
        self._leader.hand_on(self)
        begun, computed = time.monotonic(), time.thread_time()
        with self._leader.crew.computing() if self._computes else contextlib.nullcontext():
            self._answer()
        self._takes_long = time.monotonic() - begun > _LONG
        self._computes = time.thread_time() - computed > _LONG

    def _shake_hands(self) -> bool:
        """Continue the TLS handshake, and have the connection served when it is done."""
        if self._error is not None:
            raise self._error
        if self.deadlines.is_stopping:
            raise Stopping
        if self._leader.now >= self.deadline:
            raise DeadlineExceeded(NO_HANDSHAKE, seconds=self.plan.limits.handshake_timeout)
        clear = self.channel.shake_hands()
        if clear is None:
            return True
        self.state = State.SERVED
        self.is_slow = False
        self.deadlines.quiet_since = now = time.monotonic()
        self.deadlines.moment = now + self.plan.limits.idle_timeout
        if clear:
            self._inbox.put(clear, self.max_message)
        return self._owner.open(self) and self.turn()

    # Waiting.

    def _hold(self) -> None:
        """Step aside, and let others wake this thread. What they want is looked at after this, before each wait."""
        if self._waker is None:
            self.step_aside()
            with self._lock:
                self._waker = self._leader.crew.waker()

    def let_go(self) -> None:
        """Let nobody wake this thread any more: it lets go of the connection."""
        with self._lock:
            self._waker = None

    def _wait(self, events: int, now: float) -> float:
        """Wait for events, for news or for the deadline, after `_hold`. Return the time afterwards."""
        deadlines = self.deadlines
        if deadlines.has_more:
            deadlines.may_read()
            return now
        seconds = deadlines.moment - now
        if self.overall is not None:
            seconds = min(seconds, self.overall.remaining() or 0)
        assert self._waker is not None
        self._waker.wait(self.fd, events, max(0.0, seconds))
        now = time.monotonic()
        deadlines.check(now)
        return now

    # Reading.

    def _read(self, now: float) -> None:
        """Take in what has come, without waiting: large messages at once, small ones in small pieces."""
        most = LARGEST_CHUNK if self._takes_much and self.max_message > _SMALL else _SMALL
        channel, inbox = self.channel, self._inbox
        data = channel.receive(most)
        if data and channel.tls is not None:
            data = channel.decipher(data)
        elif data == b"":
            channel.heed_end()
        if data:
            self.deadlines.quiet_since = now
            messages, size = inbox.messages, inbox.bytes
            inbox.put(data, self.max_message)
            if count := inbox.messages - messages:
                self.deadlines.begun_at = None
            self._takes_much = inbox.bytes - size >= _LARGE_MESSAGE * count
            self._note()

    def _note(self) -> None:
        if self.journal.is_followed:
            self.journal.note(self)

    # The end.

    def say_last(self, text: str) -> None:
        """Send the last text of a connection that ends; do not wait, and never raise."""
        with contextlib.suppress(PorterError):
            self._gathered.append(encode(text))
            self.flush()

    def finish(self, linger: float) -> None:
        """End our side, and let the peer end its own within `linger` seconds. A second call does nothing."""
        with self._lock:
            is_first, self.state = self.state in (State.HANDSHAKE, State.SERVED), State.ENDING
        if is_first:
            self.let_go()
            self._leader.take(self)
            with contextlib.suppress(PorterError):
                self.flush()
            self.channel.say_goodbye()
            close = partial(self._owner.close_request, self)
            Ending(self.fd, self.channel, self._leader, close).begin(linger)

    def close(self) -> None:
        """Close the socket at once. A second call does nothing."""
        self._leader.take(self)
        with self._lock:
            self.state = State.ENDING
            self.socket.close()
