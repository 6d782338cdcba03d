"""A client of another make: Twisted's Int32StringReceiver talks to echo, as the description of the wire promises."""

import subprocess
import sys

from tests.support import PATIENCE, PorterTestCase

CLIENT = """
import sys
from twisted.internet import protocol, reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.protocols.basic import Int32StringReceiver

SENT = [b"", b"hello", "h\\u00e4ll\\u00f6 \\u4e16\\u754c".encode(), b"x" * 65536] + [b"%d" % n for n in range(1000)]

class Client(Int32StringReceiver):
    def connectionMade(self):
        self.received = []
        for message in SENT:
            self.sendString(message)

    def stringReceived(self, message):
        self.received.append(message)
        if len(self.received) == len(SENT):
            print("the same" if self.received == SENT else "something else")
            self.sendString(b"\\xff")  # a breach: one error, and the end
        elif len(self.received) > len(SENT):
            print(message.decode())

    def connectionLost(self, reason):
        print(reason.type.__name__)
        reactor.stop()

connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", int(sys.argv[1])), Client())
reactor.run()
"""


class Twisted(PorterTestCase):
    def test_twisted_gets_its_messages_back_and_an_error_for_a_breach(self) -> None:
        server = self.start_process("echo")
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(server.port)], capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual("", done.stderr)
        self.assertEqual(
            ["the same", "ERROR a message must be UTF-8 text: invalid start byte at byte 0", "ConnectionDone"],
            done.stdout.splitlines(),
        )
