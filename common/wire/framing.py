"""The framing of the wire: a header of 4 bytes, big-endian, holding the length of the body, then the body.

This is the framing of Erlang's {packet, 4}, Twisted's Int32StringReceiver and Netty's LengthFieldPrepender(4).
The functions keep no state: the caller keeps a frame that is not complete yet. They know no sockets, time or kinds.
"""

import struct
import sys

from common.errors import MessageTooLong, NotText, UnexpectedTLS

HEADER = struct.Struct("!I")
_SIZE = HEADER.size
_LARGE = 4096  # bytes; from here on a text is decoded in place: to copy its body first would take longer
_pack = HEADER.pack
_unpack_from = HEADER.unpack_from

# A TLS record starts with its type, handshake (22) or alert (21), and the major version 3 (RFC 8446, 5.1).
# As a header, these bytes announce more than 350 million bytes: no limit in use is that high.
_TLS_RECORDS = (b"\x16\x03", b"\x15\x03")


def encode(text: str) -> bytes:
    """Return the frame of `text`.

    Raise NotText if `text` cannot be UTF-8 (a lone surrogate), and MessageTooLong if it needs 4 GiB or more.
    """
    try:
        body = text.encode()
        return _pack(len(body)) + body
    except UnicodeEncodeError as error:
        raise NotText("a message must be UTF-8 text: {reason}", reason=error.reason) from None
    except struct.error:
        raise MessageTooLong("a message of {length} bytes does not fit its header", length=len(body)) from None


def sole_text(data: bytes, limit: int) -> str | None:
    """Return the text if `data` is exactly one valid frame. Return None otherwise: the caller then uses `split`."""
    size = len(data)
    if not _SIZE <= size <= limit + _SIZE or _unpack_from(data)[0] + _SIZE != size:
        return None
    try:
        return data[_SIZE:].decode() if size < _LARGE else str(memoryview(data)[_SIZE:], "utf-8")
    except UnicodeDecodeError:
        return None


def split(data: bytes | bytearray, limit: int, max_texts: int = sys.maxsize) -> tuple[list[str], int]:
    """Return the texts of the complete frames at the start of `data`, `max_texts` at most, and where the rest begins.

    The rest is empty, or it starts with a part of a frame, with a wrong frame, or with the next frame after
    `max_texts`. `limit` is the longest body, in bytes.
    """
    texts: list[str] = []
    start, size = 0, len(data)
    try:
        while (body := start + _SIZE) <= size and len(texts) < max_texts:
            length = _unpack_from(data, start)[0]
            end = body + length
            if end > size or length > limit:
                break
            texts.append(data[body:end].decode() if length < _LARGE else str(memoryview(data)[body:end], "utf-8"))
            start = end
    except UnicodeDecodeError:
        pass  # the rest starts with this frame
    return texts, start


def lacking(rest: bytes | bytearray) -> int:
    """Return how many bytes the frame at the start of `rest`, or its header, still lacks; 0 if it is complete."""
    if len(rest) < _SIZE:
        return _SIZE - len(rest)
    return max(0, _SIZE + int(_unpack_from(rest)[0]) - len(rest))


def refuse_breach(rest: bytes | bytearray, limit: int) -> None:
    """Raise an error if the frame at the start of `rest` is wrong.

    Raise MessageTooLong if its header announces a body over `limit` bytes; the caller need not wait for the body.
    Raise UnexpectedTLS instead if the header is the start of a TLS record. Raise NotText if the frame is complete
    and its body is not UTF-8.
    """
    if len(rest) < _SIZE:
        return
    (length,) = _unpack_from(rest)
    if length > limit:
        if rest.startswith(_TLS_RECORDS):
            raise UnexpectedTLS("this is TLS, but the connection is plain, without TLS")
        raise MessageTooLong("a message of {length} bytes is over the limit of {limit}", length=length, limit=limit)
    if not lacking(rest):
        try:
            rest[_SIZE : _SIZE + length].decode()
        except UnicodeDecodeError as error:
            raise NotText(
                "a message must be UTF-8 text: {reason} at byte {position}", reason=error.reason, position=error.start
            ) from None
