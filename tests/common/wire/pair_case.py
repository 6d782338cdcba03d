"""Two connected message sockets, plain and with TLS, for the tests of behaviour that both kinds share."""

from typing import Any

from common.wire.sockets import MessageSocket
from tests.support import PorterTestCase, secure_pair, send_bytes, socket_pair


class Pair:
    """A mixin: the tests use `self.ours`, and the peer is `self.theirs`."""

    ours: MessageSocket
    theirs: MessageSocket

    def write_raw(self: Any, data: bytes) -> None:
        """Send bytes that need not be a frame, within TLS if the socket has TLS."""
        send_bytes(self.theirs, data)


class PlainPair(Pair, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)


class SecurePair(Pair, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.theirs = secure_pair(self.folder)
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
