"""The framing of the wire: a header of 4 bytes, big-endian, holding the length of the body, then the body.

The same as Erlang's {packet, 4}, Twisted's Int32StringReceiver and Netty's LengthFieldPrepender(4).
Bytes in, texts out, and nothing kept: whoever reads holds what is not whole yet. No sockets, time or kinds here.
"""

import struct
import sys

from common.errors import MessageTooLong, NotText, UnexpectedTLS

HEADER = struct.Struct("!I")
_SIZE = HEADER.size
_pack = HEADER.pack
_unpack_from = HEADER.unpack_from

# A TLS record starts with its type, handshake (22) or alert (21), and the major version 3 (RFC 8446, 5.1).
# Read as a header, that announces more than 350 million bytes: no limit in use is that high.
_TLS_RECORDS = (b"\x16\x03", b"\x15\x03")


def encode(text: str) -> bytes:
    """The frame for `text`.

    Raises NotText if it cannot be UTF-8 (a lone surrogate), MessageTooLong over 4 GiB.
    """
    try:
        body = text.encode()
        return _pack(len(body)) + body
    except UnicodeEncodeError as error:
        raise NotText(f"a message must be UTF-8 text: {error.reason}") from None
    except struct.error:
        raise MessageTooLong(f"a message of {len(body)} bytes does not fit its header") from None


def sole_text(data: bytes, limit: int) -> str | None:
    """The text of the frame that `data` is; None if it is anything else, and for `split` to look at."""
    if len(data) < _SIZE or _unpack_from(data)[0] + _SIZE != len(data) or len(data) > limit + _SIZE:
        return None
    try:
        return data[_SIZE:].decode()
    except UnicodeDecodeError:
        return None


def split(data: bytes, limit: int, most: int = sys.maxsize) -> tuple[list[str], int]:
    """The texts of the whole frames that `data` starts with, and where the rest begins.

    That is nothing, part of a frame, a breach, or what comes after as many as there may be `most`.
    """
    texts: list[str] = []
    start = 0
    while (body := start + _SIZE) <= len(data) and len(texts) < most:
        (length,) = _unpack_from(data, start)
        end = body + length
        if end > len(data) or length > limit:
            break
        try:
            texts.append(data[body:end].decode())
        except UnicodeDecodeError:
            break
        start = end
    return texts, start


def lacking(rest: bytes | bytearray) -> int:
    """How many bytes the frame that starts with `rest`, or its header, still lacks; 0 if it is all there."""
    if len(rest) < _SIZE:
        return _SIZE - len(rest)
    return max(0, _SIZE + int(_unpack_from(rest)[0]) - len(rest))


def refuse_breach(rest: bytes | bytearray, limit: int) -> None:
    """Raise what is wrong with the frame that starts with `rest`, if it is wrong.

    MessageTooLong as soon as the header has come, before any of the body is waited for; UnexpectedTLS if that
    header is the start of a TLS record; NotText when the frame is whole.
    """
    if len(rest) < _SIZE:
        return
    (length,) = _unpack_from(rest)
    if length > limit:
        if rest.startswith(_TLS_RECORDS):
            raise UnexpectedTLS("this is TLS, but the connection is plain, without TLS")
        raise MessageTooLong(f"a message of {length} bytes is over the limit of {limit}")
    if not lacking(rest):
        try:
            rest[_SIZE : _SIZE + length].decode()
        except UnicodeDecodeError as error:
            raise NotText(f"a message must be UTF-8 text: {error.reason} at byte {error.start}") from None
