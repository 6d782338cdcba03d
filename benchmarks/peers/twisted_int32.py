"""Twisted with its own Int32StringReceiver. The bytes are not decoded to text."""

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver

_reactor: Any = reactor


class Echo(Int32StringReceiver):
    MAX_LENGTH = 65536

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpNoDelay(True)

    def stringReceived(self, string: Any) -> None:
        self.sendString(string)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    listener = _reactor.listenTCP(int(sys.argv[1]), Factory.forProtocol(Echo), backlog=512, interface="127.0.0.1")
    print(f"Listening on 127.0.0.1:{listener.getHost().port}", flush=True)
    _reactor.run()
