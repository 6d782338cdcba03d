"""From host and port to a trusted socket, and errors that name the server and say what to do."""

import logging
import socket
import threading
import unittest
import warnings

from client.connection import connect, explained
from client.state import State, StateFolder
from client.tokens import WITHOUT_TLS
from client.trust import Endpoint, Peer, Policy, Trust
from common.errors import (
    ConnectionEnded,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeFailed,
    NotText,
    PorterError,
    TrustError,
    Unavailable,
    UnexpectedTLS,
)
from common.wire.sockets import MessageSocket
from tests.support import PATIENCE, PorterTestCase, outward_address, refusing_port


class Connect(PorterTestCase):
    tls = True

    def setUp(self) -> None:
        super().setUp()
        logging.getLogger("porter.client").addHandler(logging.NullHandler())

    def connect(
        self, port: int, policy: Policy | None = None, *, tls: bool = True, host: str = "127.0.0.1"
    ) -> tuple[MessageSocket, Peer]:
        trust = Trust(State(StateFolder(self.folder / "state"), self.fail)) if tls else None
        connection, peer = connect(Endpoint(host, port), 1000, trust, policy or Policy())
        self.addCleanup(connection.close)
        return connection, peer

    def test_a_trusted_connection_works_and_names_its_certificate(self) -> None:
        with self.server("echo") as server:
            connection, peer = self.connect(server.port)
            connection.send_message("x")
            self.assertEqual("x", connection.receive_message())
            self.assertIn(peer.certificate, server.service.description)
            self.assertTrue(peer.is_private)
            self.assertEqual(1000, connection.max_message)

    def test_an_untrusted_server_receives_only_close_notify(self) -> None:
        with self.server("echo") as server:
            with self.assertRaises(TrustError):
                self.connect(server.port, Policy(pin="SHA256:" + "a" * 43))
            server.log.wait_for("client disconnected")
            self.assertFalse([line for line in server.log.messages if "received" in line or "lost" in line])

    def test_a_missing_server_raises_unavailable(self) -> None:
        with (
            refusing_port() as port,
            self.assertRaisesRegex(Unavailable, f"cannot connect to 127.0.0.1:{port}: Connection refused; is the"),
        ):
            self.connect(port)
        for host in ("nowhere.invalid", "a..b", "x" * 80):
            self.assertRaises(Unavailable, connect, Endpoint(host, 1), 1000, None, Policy())

    def test_a_server_that_closes_or_resets_at_once_is_a_lost_connection(self) -> None:
        for linger in (b"\1\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0"):
            with socket.create_server(("127.0.0.1", 0)) as listener:

                def close(listener: socket.socket = listener, linger: bytes = linger) -> None:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    connection.close()

                thread = threading.Thread(target=close)
                thread.start()
                # If the peer has reset, wrap_socket leaves its socket to the garbage collector.
                with warnings.catch_warnings(action="ignore"), self.assertRaises((ConnectionEnded, Unavailable)):
                    self.connect(listener.getsockname()[1])
                thread.join(PATIENCE)

    def test_without_tls_there_is_no_certificate(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            peer = Peer(Endpoint("127.0.0.1", port), WITHOUT_TLS, is_private=True)
            self.assertEqual(peer, self.connect(port, tls=False)[1])

    @unittest.skipIf(outward_address() is None, "this machine has no address but loopback")
    def test_without_tls_only_this_machine_is_private(self) -> None:
        host = str(outward_address())
        with socket.create_server((host, 0)) as listener:
            _, peer = self.connect(listener.getsockname()[1], tls=False, host=host)
            self.assertFalse(peer.is_private)


class Explained(PorterTestCase):
    def explained(self, error: PorterError, *, has_tls: bool = False) -> str:
        wanted = ConnectionLost if isinstance(error, ConnectionEnded) else type(error)
        with self.assertRaises(wanted) as caught, explained(Endpoint("h", 1), has_tls=has_tls):
            raise error
        return str(caught.exception)

    def test_errors_say_which_server_it_is_and_what_can_be_done(self) -> None:
        self.assertIn("h:1 speaks TLS: leave out --no-tls", self.explained(UnexpectedTLS("x")))
        self.assertIn("h:1: not TLS; a server without TLS needs --no-tls", self.explained(HandshakeFailed("not TLS")))
        self.assertIn("the connection to h:1 is lost: gone; if", self.explained(ConnectionLost("gone")))
        self.assertTrue(self.explained(DeadlineExceeded("late"), has_tls=True).endswith("h:1 is lost: late"))
        self.assertIn("h:1 breaks the protocol: bad", self.explained(NotText("bad")))
