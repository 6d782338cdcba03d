"""The way in: bytes from the wire become messages, in order. It knows no sockets, no TLS and no time."""

from common.wire.framing import HEADER, lacking, refuse_breach, sole_text, split

_MOST_AT_ONCE = 64  # messages that are split off at a time: as texts, short ones take ten times as much memory


class Inbox:
    """The bytes and messages that have come on a connection and are not received yet.

    `has_message` tells whether `take` would return a message, or raise an error about a whole one, without any more
    bytes; `has_begun` whether anything is here that was not taken. `messages` and `bytes` count what has come in
    whole, with the headers.
    """

    __slots__ = ("_rest", "_texts", "bytes", "has_begun", "has_message", "messages")

    def __init__(self) -> None:
        self.has_message = self.has_begun = False  # no properties: they are asked several times for each message
        self.messages = self.bytes = 0
        self._texts: list[str] = []  # the next one is the last; an empty deque takes ten times as much memory
        # Bytes that are not checked yet: the start of a frame, a wrong frame, or more than _MOST_AT_ONCE.
        self._rest: bytearray | bytes = b""

    def put(self, data: bytes, limit: int) -> None:
        """Put bytes in that have come, one at least. `limit` is the longest body, in bytes; a longer one waits."""
        if not self.has_begun and (text := sole_text(data, limit)) is not None:
            self._texts.append(text)
            self.messages += 1
            self.bytes += len(data)
            self.has_begun = self.has_message = True
            return
        if self._rest:
            assert isinstance(self._rest, bytearray)
            self._rest += data
            if not lacking(self._rest):
                self._split(self._all_of_the_rest(), limit)
        else:
            self._split(data, limit)
        self.has_begun = True
        self.has_message = bool(self._texts) or not lacking(self._rest)

    def take(self, limit: int) -> str | None:
        """Return the next message, or None if it has not come in whole. Raise a ProtocolError if its frame is wrong.

        A frame is judged only when it is the next one, by the limit of that moment.
        """
        if not self._texts:
            if not self._rest:
                return None
            refuse_breach(self._rest, limit)
            if lacking(self._rest):
                return None
            self._split(self._all_of_the_rest(), limit)
        text = self._texts.pop()
        if not self._texts:
            self.has_begun = self.has_message = bool(self._rest)
            if self._rest:
                self.has_message = not lacking(self._rest)
        return text

    @property
    def missing(self) -> int:
        """Return how many bytes the message that has begun still lacks, or its header; 0 if none has begun."""
        return lacking(self._rest) if self._rest else 0

    def _all_of_the_rest(self) -> bytes | bytearray:
        rest, self._rest = self._rest, b""
        return rest

    def _split(self, data: bytes | bytearray, limit: int) -> None:
        texts, end = split(data, limit, _MOST_AT_ONCE)
        if end < len(data):
            self._rest = bytearray(data[end:])
        self._texts[:0] = reversed(texts)
        self.messages += len(texts)
        self.bytes += end


def bodies(messages: int, size: int) -> int:
    """Return how many bytes of `size` are bodies; the rest are the headers of `messages`."""
    return size - messages * HEADER.size
