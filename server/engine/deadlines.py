"""What a connection waits for, how long, and when there is nothing to wait for. It knows no sockets and no clock."""

from common.errors import ConnectionLost, DeadlineExceeded, MessageStalled, PeerClosed, Stopping
from common.wire.inbox import Inbox
from common.wire.sockets import INSIDE_A_MESSAGE, NOT_TAKEN, SILENT, STALLED
from server.engine.channel import Channel
from server.engine.polling import READ, WRITE
from server.settings import Limits


class Deadlines:
    """The waits of one connection. All times are of time.monotonic(), in seconds.

    `moment` is when the present wait ends. `quiet_since` is when the peer was last heard, and `begun_at` when the
    message began that is not whole yet. `is_stopping` tells whether the server stops. `has_more` tells, since the
    wait began, whether there is more to do without waiting: a message, or the one chunk that is read at a stop.
    """

    __slots__ = (
        "_channel",
        "_heard_stop",
        "_inbox",
        "_is_last",
        "_limits",
        "begun_at",
        "has_more",
        "is_stopping",
        "moment",
        "quiet_since",
    )

    def __init__(self, limits: Limits, inbox: Inbox, channel: Channel, now: float) -> None:
        self._limits = limits
        self._inbox = inbox
        self._channel = channel
        self.moment = now + limits.idle_timeout
        self.quiet_since = now
        self.begun_at: float | None = None
        self.is_stopping = self.has_more = self._heard_stop = self._is_last = False

    def begin_wait(self, now: float) -> int:
        """Begin to wait, and return for which events. Raise the reason if there is nothing to wait for.

        That is PeerClosed, Stopping, or ConnectionLost if the peer ended inside a message.
        """
        channel, inbox = self._channel, self._inbox
        self.has_more = False
        if channel.unsent:  # it is not read from: whoever does not take the answers gets no more of them
            self.moment = channel.unsent_since + self._limits.send_timeout
            return WRITE
        if inbox.texts or (inbox.rest and inbox.has_message):
            self.has_more = True
            return READ
        if channel.has_ended and self.has_ended():
            raise PeerClosed("the client closed the connection")
        if inbox.rest or channel.has_part:
            if self.begun_at is None:
                if self.is_stopping and self._is_last:
                    raise Stopping
                self.begun_at = now
                self._is_last = self.is_stopping
            self.moment = max(self.begun_at, channel.taken_at) + self._limits.message_timeout
            return READ
        self.begun_at = None
        if self.is_stopping:
            if self._heard_stop:
                raise Stopping
            self.has_more = True
        self.moment = self.quiet_since + self._limits.idle_timeout
        return READ

    def may_read(self) -> bool:
        """Return whether to read on. During a stop only one chunk is read, and the message that begins at its end."""
        if not self.is_stopping or self.begun_at is not None:
            return True
        first, self._heard_stop = not self._heard_stop, True
        return first

    def check(self, now: float) -> None:
        """Raise the error of the wait if its time is over."""
        if now < self.moment:
            return
        if self._channel.unsent:
            raise ConnectionLost(NOT_TAKEN, seconds=self._limits.send_timeout)
        if self.begun_at is not None:
            raise MessageStalled(STALLED, seconds=self._limits.message_timeout)
        # What others have pushed, and the peer has taken, has put it off.
        self.moment = max(self.quiet_since, self._channel.taken_at) + self._limits.idle_timeout
        if now >= self.moment:
            raise DeadlineExceeded(SILENT, seconds=self._limits.idle_timeout)

    def has_ended(self) -> bool:
        """Return whether the peer has closed its side. Raise ConnectionLost if that was inside a message."""
        if self._channel.has_ended and self._inbox.has_begun:
            raise ConnectionLost(INSIDE_A_MESSAGE)
        return self._channel.has_ended
