"""The PROXY protocol, v1 and v2: the header by which a proxy says on whose behalf it connects. It knows no sockets.

https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
"""

import ipaddress
import re
import struct
from dataclasses import dataclass

from common.errors import ProtocolError

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # of version 2
_FIRST = len(_SIGNATURE)  # bytes that both versions have at least
_FIXED = 16  # bytes of version 2 before the addresses
_LONGEST_LINE = 107  # bytes of version 1
_LONGEST = 2048  # bytes of version 2, so bounded by us: addresses take 36, and what we ignore the rest
_PORT = re.compile(rb"0|[1-9]\d{0,4}")
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES = {0x11: ("!4s4sH", 12), 0x21: ("!16s16sH", 36)}  # TCP over IPv4 and IPv6


class NoHeader(ProtocolError):
    """What came is no header."""


@dataclass(frozen=True)
class Introduction:
    """Who is behind a proxy: `client` is address and port, or None if the proxy does not say.

    `is_local` tells that the proxy speaks for itself, for example to see whether the server is there.
    """

    client: tuple[str, int] | None
    is_local: bool = False


def missing(data: bytes) -> int:
    """Return how many more bytes belong to a header that begins with `data`; 0 if it is whole. Raise NoHeader."""
    if len(data) < _FIRST:
        if not (_SIGNATURE.startswith(data) or b"PROXY ".startswith(data[:6])):
            raise NoHeader("it begins with neither PROXY nor the signature of version 2")
        return _FIRST - len(data)
    if data.startswith(_SIGNATURE):
        whole = _FIXED if len(data) < _FIXED else _FIXED + int.from_bytes(data[14:16], "big")
        if whole > _LONGEST:
            raise NoHeader("more than {most} bytes of version 2", most=_LONGEST)
        return whole - len(data)
    if not data.startswith(b"PROXY "):
        raise NoHeader("it begins with neither PROXY nor the signature of version 2")
    if data.endswith(b"\r\n"):
        return 0
    if len(data) >= _LONGEST_LINE:
        raise NoHeader("a line of version 1 has {most} bytes at most", most=_LONGEST_LINE)
    return 1  # its length is known only at its end


def parse(data: bytes) -> Introduction:
    """Return who is behind a header that is whole. Raise NoHeader."""
    return _parse_binary(data) if data.startswith(_SIGNATURE) else _parse_line(data)


def _parse_line(data: bytes) -> Introduction:
    words = data[:-2].split(b" ")
    if words[1:2] == [b"UNKNOWN"]:  # whatever follows is ignored
        return Introduction(None)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise NoHeader("a line of version 1 has a protocol, two addresses and two ports")
    address: type[ipaddress.IPv4Address | ipaddress.IPv6Address] = (
        ipaddress.IPv4Address if words[1] == b"TCP4" else ipaddress.IPv6Address
    )
    try:
        client, _ = (address(word.decode("ascii")) for word in words[2:4])
    except ValueError as error:  # also for bytes that are not ASCII
        raise NoHeader("an address of version 1 is none") from error
    if b"%" in words[2] + words[3] or not all(_PORT.fullmatch(word) and int(word) < 65536 for word in words[4:]):
        raise NoHeader("an address has a zone, or a port is no number up to 65535")
    return Introduction((str(client), int(words[4])))


def _parse_binary(data: bytes) -> Introduction:
    command, family = data[12], data[13]
    if command not in (_LOCAL, _PROXY):
        raise NoHeader("not version 2, or an unknown command")
    if command == _LOCAL:
        return Introduction(None, is_local=True)
    if family not in _FAMILIES:
        return Introduction(None)  # another protocol: the proxy's own address is all that is known
    form, size = _FAMILIES[family]
    if len(data) < _FIXED + size:
        raise NoHeader("the addresses are not complete")
    client, _, port = struct.unpack_from(form, data, _FIXED)
    return Introduction((str(ipaddress.ip_address(client)), port))
