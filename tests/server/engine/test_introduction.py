"""Connections through proxies: who the client is, how it is counted, and what ends without a word; plain and TLS."""

import contextlib
import socket
import struct
import threading
from typing import Any

from common.wire.framing import encode
from common.wire.kinds import Kind
from common.wire.sockets import MessageSocket, Timeouts
from common.wire.tls import client_context
from tests.support import PATIENCE, PorterTestCase, RunningServer, Talker

V1 = b"PROXY TCP4 192.0.2.%d 10.0.0.1 50000 9090\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2%c\x0a\0\0\1\xc3\x50\x23\x82"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


class Behaviour:
    def proxied(self: Any, mode: str = "echo", **settings: Any) -> Any:
        trusted = {"trusted": ["127.0.0.0/30"], "timeout": 0.3}
        return self.server(mode, proxy_protocol=trusted, **settings)

    def through(self: Any, server: RunningServer, header: bytes, pieces: int = 1) -> MessageSocket:
        """Connect as a proxy that sends this header, perhaps in pieces, and then passes a client on."""
        plain = server.connect_raw()
        size = -(-len(header) // pieces)
        for start in range(0, len(header), size):
            plain.sendall(header[start : start + size])
        client = MessageSocket(plain)
        if self.tls:
            client.handshake(client_context(), PATIENCE)
        client.timeouts = Timeouts(PATIENCE, PATIENCE, PATIENCE)
        self.addCleanup(client.close)
        return client

    def test_the_client_has_the_address_of_the_header(self: Any) -> None:
        with self.proxied("identify") as server:
            for number, header, pieces in ((5, V1 % 5, 1), (6, V2 % 6, 3), (7, V1 % 7, 20)):
                talker = Talker(self, self.through(server, header, pieces))
                talker.answer(Kind.ASK, f"Guest {number}")
                self.assertIn(f"Guest {number}", talker.expect(Kind.TEXT))
                again = Talker(self, self.through(server, header))
                self.assertIn(f"Guest {number}", again.expect(Kind.TEXT))
            server.log.wait_for("client connected", 6)
            server.log.wait_for("192.0.2.5:50000 client connected")

    def test_others_are_not_believed(self: Any) -> None:
        with self.server("echo", proxy_protocol={"trusted": ["10.0.0.0/8"]}) as server:
            plain = server.connect_raw()
            plain.sendall(V1 % 5)
            plain.settimeout(PATIENCE)
            answer = plain.recv(1000)
            if self.tls:
                server.log.wait_for("the peer does not speak TLS")
            else:
                self.assertIn(b"ERROR", answer)

    def test_silence_or_rubbish_ends_with_a_line_in_the_log_and_no_answer(self: Any) -> None:
        with self.proxied() as server:
            for data, line in (
                (b"GET / HTTP/1.1\r\n", "no PROXY header: it begins with neither"),
                (b"", "no PROXY header came in time"),
                ((V1 % 5)[:20], "no PROXY header came in time"),
            ):
                plain = server.connect_raw()
                plain.sendall(data)
                plain.settimeout(PATIENCE)
                with contextlib.suppress(ConnectionResetError):  # it was closed with our bytes unread
                    self.assertEqual(b"", plain.recv(100))
                server.log.wait_for(line)
                server.log.messages.clear()

    def test_a_proxy_that_speaks_for_itself_may_talk(self: Any) -> None:
        with self.proxied() as server:
            client = self.through(server, LOCAL)
            client.send_message("are you there?")
            self.assertEqual("are you there?", client.receive_message())
            client.close()
            server.log.wait_for("client disconnected")
            self.assertEqual(1, "".join(server.log.messages).count("client connected"))

    def test_a_proxy_that_speaks_for_itself_and_says_nothing_leaves_no_line(self: Any) -> None:
        with self.proxied(limits={"handshake_timeout": 0.2, "idle_timeout": 0.2}) as server:
            silent = server.connect_raw()
            silent.sendall(LOCAL)
            silent.settimeout(PATIENCE)
            while silent.recv(1000):
                pass  # a farewell; then the end
            for data in (LOCAL, b""):
                plain = server.connect_raw()
                plain.sendall(data)
                plain.close()
            self.assertEqual("x", self.talk_once(server))
            server.log.wait_for("client disconnected")
            self.assertFalse([line for line in server.log.messages if "127.0.0.1" in line or "TLS" in line])
            self.assertEqual(1, "".join(server.log.messages).count("client connected"))

    def talk_once(self: Any, server: RunningServer) -> str | None:
        with_header = self.through(server, V2 % 9)
        with_header.send_message("x")
        answer: str | None = with_header.receive_message()
        with_header.close()
        return answer

    def test_all_connections_count_at_once_and_those_of_an_address_after_the_header(self: Any) -> None:
        limits = {"max_connections": 4, "max_connections_per_address": 2}
        with self.server("echo", proxy_protocol={"trusted": ["127.0.0.1"], "timeout": 20}, limits=limits) as server:
            first, second = (self.through(server, V2 % 5) for _ in range(2))
            for client in (first, second):
                client.send_message("x")
                client.receive_message()
            plain = server.connect_raw()
            plain.sendall(V1 % 5)
            server.log.wait_for("refused: too many connections from your address")
            others = [server.connect_raw() for _ in range(2)]  # they have a slot before they have said whose they are
            fifth = server.connect_raw()
            server.log.wait_for("refused: the server is full")
            fifth.settimeout(PATIENCE)
            told = fifth.recv(100)
            self.assertEqual(b"" if self.tls else b"ERROR the server is full, try again later", told[4:])
            others[0].sendall(V2 % 6)
            client = MessageSocket(others[0])
            if self.tls:
                client.handshake(client_context(), PATIENCE)
            client.send_message("y")
            self.assertEqual("y", client.receive_message())

    def test_a_stop_does_not_wait_for_a_header(self: Any) -> None:
        with self.server("echo", proxy_protocol={"trusted": ["127.0.0.1"], "timeout": 60}) as server:
            plain = server.connect_raw()
            plain.sendall(b"PROXY ")
            threading.Event().wait(0.05)
            server.service.stop_listening()
            server.service.drain()
            plain.settimeout(PATIENCE)
            self.assertEqual(b"", plain.recv(100))


class Plain(Behaviour, PorterTestCase):
    def test_a_message_may_come_in_the_same_packet_as_the_header(self) -> None:
        with self.proxied() as server:
            plain = server.connect_raw()
            plain.sendall(V1 % 5 + encode("hello"))
            plain.settimeout(PATIENCE)
            self.assertEqual(struct.pack("!I", 5) + b"hello", plain.recv(9, socket.MSG_WAITALL))


class Secure(Behaviour, PorterTestCase):
    tls = True
