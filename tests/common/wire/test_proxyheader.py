"""The PROXY protocol: who is behind a header, what is none, and that no byte after it is read; a library agrees."""

import socket
import struct
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from common.wire.proxyheader import Introduction, NoHeader, missing, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = bytes((192, 0, 2, 9)) + bytes((10, 0, 0, 1)) + struct.pack("!HH", 50000, 9090)
HEADERS = {
    b"PROXY TCP4 192.0.2.9 10.0.0.1 50000 9090\r\n": Introduction(("192.0.2.9", 50000)),
    b"PROXY TCP6 2001:db8::9 2001:db8::1 0 65535\r\n": Introduction(("2001:db8::9", 0)),
    b"PROXY UNKNOWN\r\n": Introduction(None),
    b"PROXY UNKNOWN ffff:f and so on\r\n": Introduction(None),
    SIGNATURE + b"\x21\x11" + struct.pack("!H", 12) + IPV4: Introduction(("192.0.2.9", 50000)),
    SIGNATURE + b"\x21\x11" + struct.pack("!H", 19) + IPV4 + b"\x04\0\4abcd": Introduction(("192.0.2.9", 50000)),
    SIGNATURE + b"\x21\x21" + struct.pack("!H", 36) + b"\xfe\x80" + bytes(34): Introduction(("fe80::", 0)),
    SIGNATURE + b"\x20\0\0\0": Introduction(None, is_local=True),
    SIGNATURE + b"\x21\x12" + struct.pack("!H", 12) + IPV4: Introduction(None),  # UDP
    SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + bytes(216): Introduction(None),  # a Unix socket
}
RUBBISH = (
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03xx",  # the hello of TLS
    b"PROXY TCP4 192.0.2.9 10.0.0.1 1_0 9090\r\n",
    b"PROXY TCP4 192.0.2.9 10.0.0.1 080 9090\r\n",
    b"PROXY TCP4 192.0.2.9 10.0.0.1 65536 9090\r\n",
    b"PROXY TCP4 2001:db8::9 10.0.0.1 1 9090\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 9090\r\n",
    b"PROXY TCP4 192.0.2.\xff 10.0.0.1 1 9090\r\n",
    b"PROXY TCP4 192.0.2.9 10.0.0.1 1\r\n",
    b"PROXY UDP4 192.0.2.9 10.0.0.1 1 2\r\n",
    b"PROXY " + b"x" * 102,
    SIGNATURE + b"\x22\x11" + struct.pack("!H", 12) + IPV4,
    SIGNATURE + b"\x11\x11" + struct.pack("!H", 12) + IPV4,
    SIGNATURE + b"\x21\x11" + struct.pack("!H", 11) + IPV4,
    SIGNATURE + b"\x21\x11" + struct.pack("!H", 65535),
)
_beginnings = some.sampled_from(
    [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21", b""]
)
_lines = some.text("0123456789.:abcdef \r\n%_PROXYTCUNKW", max_size=80).map(str.encode)


def read(stream: bytes) -> tuple[bytes, Introduction]:
    """Read a header as the engine does, and return it with its meaning."""
    data = b""
    while more := missing(data):
        piece = stream[len(data) : len(data) + more]
        if not piece:
            raise EOFError
        data += piece
    return data, parse(data)


class Headers(unittest.TestCase):
    def test_a_header_says_who_is_behind_it_and_what_follows_is_left(self) -> None:
        for header, wanted in HEADERS.items():
            for rest in (b"", b"\0\0\0\5hello", b"\r\n"):
                self.assertEqual((header, wanted), read(header + rest))

    def test_what_is_no_header_is_refused(self) -> None:
        for rubbish in RUBBISH:
            with self.assertRaises(NoHeader, msg=rubbish):
                read(rubbish + bytes(3000))

    @given(some.builds(bytes.__add__, _beginnings, some.binary(max_size=60) | _lines))
    def test_nothing_but_no_header_is_raised_and_a_library_understands_the_same(self, stream: bytes) -> None:
        try:
            header, found = read(stream)
        except (NoHeader, EOFError):
            return
        theirs: Any = (ProxyProtocolV2() if header.startswith(SIGNATURE) else ProxyProtocolV1()).unpack(header)
        if found.client is not None:
            self.assertEqual(found.client, (str(theirs.peername[0]), theirs.peername[1]))
        elif found.is_local:
            self.assertFalse(theirs.proxied)

    @given(some.ip_addresses(), some.integers(0, 65535), some.sampled_from([1, 2]))
    def test_each_header_of_a_library_is_understood(self, address: Any, port: int, version: int) -> None:
        kind: Any = ProxyResultIPv4 if address.version == 4 else ProxyResultIPv6
        made = kind((address, port), (address, 9090), protocol=socket.SOCK_STREAM)
        if version == 2:
            header = ProxyProtocolV2().pack(made)
        else:
            header = f"PROXY TCP{address.version} {address} {address} {port} 9090\r\n".encode()
        self.assertEqual((str(address), port), read(header)[1].client)
