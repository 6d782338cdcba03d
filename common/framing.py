"""The framing of the wire: a header of 4 bytes, big-endian, holding the length of the body, then the body.

The same as Erlang's {packet, 4}, Twisted's Int32StringReceiver and Netty's LengthFieldPrepender(4).
Bytes in, bodies out: nothing here knows of sockets, time or kinds.
"""

import struct

from common.errors import MessageTooLong, NotText, UnexpectedTLS

HEADER = struct.Struct("!I")
LARGEST_BODY = 2**32 - 1

# A TLS record starts with its type, handshake (22) or alert (21), and the major version 3 (RFC 8446, 5.1).
# Read as a header, that announces more than 350 million bytes: no limit in use is that high.
_TLS_RECORDS = (b"\x16\x03", b"\x15\x03")


def encode(text: str) -> bytes:
    """The frame for `text`.

    Raises NotText if it cannot be UTF-8 (a lone surrogate), MessageTooLong over 4 GiB.
    """
    try:
        body = text.encode()
    except UnicodeEncodeError as error:
        raise NotText(f"a message must be UTF-8 text: {error.reason}") from None
    if len(body) > LARGEST_BODY:
        raise MessageTooLong(f"a message of {len(body)} bytes does not fit its header")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> str:
    """The text of a received body; raises NotText if it is not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise NotText(f"a message must be UTF-8 text: {error.reason} at byte {error.start}") from None


class Decoder:
    """Takes bytes as they come and gives back whole bodies.

    It holds what was fed to it and no more: an announced length reserves nothing. `max_message`, in bytes of
    body, may be changed between two messages.
    """

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def mid_message(self) -> bool:
        """Whether bytes of a message are here that `next_body` has not given back."""
        return bool(self._buffer)

    @property
    def lacking(self) -> int:
        """How many bytes the message that has begun, or the next one's header, still lacks; 0 for a whole one."""
        wanted = HEADER.size
        if len(self._buffer) >= HEADER.size:
            wanted += HEADER.unpack_from(self._buffer)[0]
        return max(wanted - len(self._buffer), 0)

    def has_body(self) -> bool:
        """Whether `next_body` would give back a body, or raise, without more bytes."""
        buffered = len(self._buffer)
        if buffered < HEADER.size:
            return False
        (length,) = HEADER.unpack_from(self._buffer)
        return bool(length > self.max_message or buffered >= HEADER.size + length)

    def next_body(self) -> bytes | None:
        """The next whole body, or None if it has not all come.

        Raises MessageTooLong as soon as the header has come, before any of the body is waited for, and
        UnexpectedTLS if that header is the start of a TLS record.
        """
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > self.max_message:
            if self._buffer.startswith(_TLS_RECORDS):
                raise UnexpectedTLS("this is TLS, but the connection is plain, without TLS")
            raise MessageTooLong(f"a message of {length} bytes is over the limit of {self.max_message}")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[HEADER.size : end])
        del self._buffer[:end]
        return body
