"""The way in: bytes from the wire become messages, in order. It knows no sockets, no TLS and no time."""

from common.wire.framing import HEADER, lacking, refuse_breach, sole_text, split

_MOST_AT_ONCE = 64  # messages that are split off at a time: as texts, short ones take ten times as much memory


class Inbox:
    """The bytes and messages that have come on a connection and are not taken yet.

    `texts` are whole messages; the next one is the last, and `pop` takes it. Behind them, `rest` are bytes that are
    not judged yet: the start of a frame, a wrong frame, or what is over _MOST_AT_ONCE. `messages` and `bytes` count
    what has been a text, with the headers.
    """

    __slots__ = ("bytes", "messages", "rest", "texts")

    def __init__(self) -> None:
        self.messages = self.bytes = 0
        self.texts: list[str] = []  # an empty deque takes ten times as much memory
        self.rest: bytearray | bytes = b""

    def put(self, data: bytes, limit: int) -> None:
        """Put bytes in that have come. `limit` is the longest body, in bytes; a longer one waits in the rest."""
        if self.rest or self.texts:
            self.rest = self.rest or bytearray()
            self.rest += data
            if not self.texts and not lacking(self.rest):
                self._split(self.rest, limit)
        elif (text := sole_text(data, limit)) is not None:
            self.texts.append(text)
            self.messages += 1
            self.bytes += len(data)
        else:
            self._split(data, limit)

    def refill(self, limit: int) -> bool:
        """Judge the rest when the texts are taken. Return whether there are texts now.

        Raise a ProtocolError if the rest starts with a wrong frame. So a frame is judged only when it is the next
        one, by the limit of that moment.
        """
        refuse_breach(self.rest, limit)
        if not lacking(self.rest):
            self._split(self.rest, limit)
        return bool(self.texts)

    def take(self, limit: int) -> str | None:
        """Return the next message, or None if it has not come in whole. Raise what `refill` raises."""
        return self.texts.pop() if self.texts or (self.rest and self.refill(limit)) else None

    @property
    def has_message(self) -> bool:
        """Return whether `take` would return a message, or raise an error about a whole one, without more bytes."""
        return bool(self.texts) or bool(self.rest and not lacking(self.rest))

    @property
    def has_begun(self) -> bool:
        """Return whether anything is here that was not taken."""
        return bool(self.rest or self.texts)

    @property
    def missing(self) -> int:
        """Return how many bytes the message that has begun still lacks, or its header; 0 if none has begun."""
        return lacking(self.rest) if self.rest else 0

    def _split(self, data: bytes | bytearray, limit: int) -> None:
        texts, end = split(data, limit, _MOST_AT_ONCE)
        self.rest = bytearray(data[end:]) if end < len(data) else b""
        self.texts += reversed(texts)
        self.messages += len(texts)
        self.bytes += end


def bodies(messages: int, size: int) -> int:
    """Return how many bytes of `size` are bodies; the rest are the headers of `messages`."""
    return size - messages * HEADER.size
