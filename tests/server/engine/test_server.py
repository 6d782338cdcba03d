"""The server: every way in which a client may break off, the limits, and an accept loop that no error ends."""

import errno
import gc
import os
import resource
import socket
import threading
import weakref
from typing import Any, ClassVar
from unittest import mock

from common.wire.framing import encode
from common.wire.kinds import Kind
from server.engine.server import Server
from server.handlers.auth import AuthHandler
from server.handlers.handler import Handler
from tests.support import (
    PATIENCE,
    QUICK_HASHES,
    PorterTestCase,
    RunningServer,
    Talker,
    scaled,
    send_bytes,
    wait_until,
)


class Remembered(AuthHandler):
    """The auth handler, with weak references to its connections."""

    requests: ClassVar[list[weakref.ref[Any]]] = []

    def converse(self) -> None:
        self.requests.append(weakref.ref(self.request))
        super().converse()


class Options(Handler):
    """A mode that sends the options of its socket."""

    def converse(self) -> None:
        options = (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        )
        request: Any = self.request
        self.say(" ".join(str(request.socket.getsockopt(*option)) for option in options))


class Behaviour:
    def reset(self: Any, client: Any) -> None:
        getattr(client, "socket", client).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    def echo_works(self: Any, server: RunningServer) -> None:
        client = server.connect()
        client.send_message("still there?")
        self.assertEqual("still there?", client.receive_message())
        client.close()

    def test_after_a_client_breaks_off_in_any_way_the_next_one_is_served(self: Any) -> None:
        def close(client: Any) -> None:
            client.close()

        def reset(client: Any) -> None:
            self.reset(client)

        def inside_a_message(client: Any) -> None:
            send_bytes(client, b"\0\0\0\x05he")
            client.close()

        def inside_a_header(client: Any) -> None:
            send_bytes(client, b"\0\0")
            self.reset(client)

        def without_reading(client: Any) -> None:
            client.send_message("x" * 60_000)
            client.close()

        def half_closed(client: Any) -> None:
            client.socket.shutdown(socket.SHUT_WR)

        with self.server("echo") as server:
            for number, way in enumerate(
                (close, reset, inside_a_message, inside_a_header, without_reading, half_closed)
            ):
                with self.subTest(way.__name__):
                    way(server.connect())
                    server.log.wait_for("client disconnected", count=2 * number + 1)
                    self.echo_works(server)
                    server.log.wait_for("client disconnected", count=2 * number + 2)
            self.assertFalse([line for line in server.log.messages if line.startswith("ERROR")])

    def test_many_clients_that_connect_and_leave_at_once_do_no_harm(self: Any) -> None:
        with self.server("echo") as server:
            for _ in range(100):
                self.reset(server.connect_raw())
            self.echo_works(server)

    def test_a_breach_gets_one_error_and_the_log_names_the_peer_and_the_reason(self: Any) -> None:
        for data, reason in (
            (b"\xff\xff\xff\xff", "a message of 4294967295 bytes is over the limit of 65536"),
            (b"\0\1\0\1", "a message of 65537 bytes is over the limit of 65536"),
            (b"\0\0\0\2\xc3\x28", "a message must be UTF-8 text"),
        ):
            with self.subTest(reason), self.server("echo") as server:
                client = server.connect()
                send_bytes(client, data)
                self.assertTrue(client.receive_message().startswith(f"ERROR {reason}"))
                self.assertIsNone(client.receive_message())
                self.assertIn("WARNING 127.0.0.1:", server.log.wait_for(reason))

    def test_the_error_of_a_breach_arrives_although_much_was_sent(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            send_bytes(client, b"\0\x0c\0\0" + b"x" * 700_000)
            self.assertIn("over the limit", client.receive_message())
            self.assertIsNone(client.receive_message())

    def test_a_stall_inside_a_message_is_a_breach(self: Any) -> None:
        with self.server("echo", limits={"message_timeout": scaled(0.1)}) as server:
            client = server.connect()
            send_bytes(client, b"\0\0\0\x05he")
            self.assertIn(f"not complete after {scaled(0.1):g} seconds", client.receive_message())
            self.assertIsNone(client.receive_message())
            server.log.wait_for("not complete")

    def test_a_silent_client_is_told_and_closed_and_a_talking_one_stays(self: Any) -> None:
        with self.server("echo", limits={"idle_timeout": scaled(0.3)}) as server:
            silent, active = server.connect(), server.connect()
            stop = threading.Event()
            rounds = []

            def talk() -> None:
                while not stop.wait(scaled(0.05)):
                    active.send_message("x")
                    rounds.append(active.receive_message())

            talking = threading.Thread(target=talk)
            talking.start()
            self.assertIn(f"no message came for {scaled(0.3):g} seconds", silent.receive_message())
            self.assertIsNone(silent.receive_message())
            stop.set()
            talking.join(PATIENCE)
            self.assertGreater(len(rounds), 2)
            self.assertEqual({"x"}, set(rounds))

    def test_a_client_that_never_reads_is_closed(self: Any) -> None:
        with self.server("echo", limits={"send_timeout": scaled(0.2)}) as server:
            client = server.connect()
            frames = encode("x" * 60_000) * 10
            with self.assertRaises(Exception):  # noqa: B017 - a reset, or our own timeout: the log shows which
                client.timeouts = type(client.timeouts)(send=PATIENCE)
                for _ in range(200):
                    send_bytes(client, frames)
            server.log.wait_for(f"did not take what was sent within {scaled(0.2):g} seconds")

    def test_every_message_is_logged_with_its_length(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            client.send_message("héllo")
            client.receive_message()
            client.finish(0)
            server.log.wait_for("client disconnected")
            found = [line.split(" ", 2)[2] for line in server.log.messages if "127.0.0.1" in line]
            wanted = ["client connected", "message received, 6 bytes", "message sent, 6 bytes", "client disconnected"]
            self.assertEqual(wanted, [line for line in found if "listening" not in line])

    def test_at_a_stop_idle_clients_get_a_farewell_and_busy_ones_their_answer(self: Any) -> None:
        with self.server("auth") as server:
            idle, asked = server.talk(), server.talk()
            idle.register("Alice")
            asked.give_token()
            asked.expect(Kind.ASK)
            busy = server.talk()
            busy.give_token()
            busy.answer(Kind.ASK, "Bob")
            busy.answer(Kind.SECRET, "correct horse")
            busy.answer(Kind.SECRET, "correct horse")
            server.service.stop_listening()
            draining = threading.Thread(target=server.service.drain)
            draining.start()
            for client in (idle, asked):
                client.expect(Kind.ERROR, "the server is stopping")
                client.expect_end()
                client.connection.close()
            busy.expect(Kind.SET_TOKEN)
            busy.expect(Kind.TEXT)
            busy.expect(Kind.ERROR, "the server is stopping")
            busy.expect_end()
            busy.connection.close()
            draining.join(PATIENCE)
            self.assertEqual(0, server.service.connections)

    def test_connections_left_at_the_end_of_the_drain_are_cut(self: Any) -> None:
        with self.server("echo", limits={"drain_timeout": scaled(0.2)}) as server:
            client = server.connect()
            send_bytes(client, b"\0\0\0\x05he")
            self.echo_works(server)
            server.service.drain()
            server.log.wait_for("1 connections cut")

    def test_too_many_connections_from_one_address_are_refused_and_others_served(self: Any) -> None:
        with self.server("echo", limits={"max_connections_per_address": 2}) as server:
            first, second = server.connect(), server.connect()
            for client in (first, second):
                client.send_message("x")
                client.receive_message()
            self.refused(server, "too many connections from your address")
            server.log.wait_for("refused: too many")
            other = server.connect("127.0.0.2")
            other.send_message("x")
            self.assertEqual("x", other.receive_message())
            first.close()
            wait_until(lambda: server.service.connections < 3, "a free slot")
            self.echo_works(server)

    def test_a_full_server_refuses_new_connections(self: Any) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            self.refused(server, "the server is full")

    def refused(self: Any, server: RunningServer, reason: str) -> None:
        """Assert that a client is refused for this reason. Over TLS it is just closed: there was no handshake."""
        raw = server.connect_raw()
        if self.tls:
            self.assertEqual(b"", raw.recv(100))
        else:
            self.assertIn(reason.encode(), raw.recv(1000))
        server.log.wait_for(reason)

    def test_without_a_new_thread_the_client_is_refused_and_its_slot_is_freed(self: Any) -> None:
        with self.server("auth") as server:
            with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
                server.talk().expect(Kind.ERROR, "the server is full: can't start new thread")
            server.log.wait_for("refused: the server is full: can't start new thread")
            client = server.talk()
            client.register("Alice")
            client.connection.close()
            wait_until(lambda: not server.service.connections, "the last slot is free")

    def test_the_accept_loop_survives_errors(self: Any) -> None:
        with self.server("echo") as server:
            with mock.patch("server.engine.server.source", side_effect=ValueError("surprise")):
                client = server.connect_raw()
                while client.recv(1000):  # an ERROR without TLS, and the end
                    pass
            server.log.wait_for("could not be served")
            self.echo_works(server)

    def test_an_ended_connection_is_freed_at_once_in_every_case(self: Any) -> None:
        gc.disable()  # a reference cycle would keep a socket and its buffers until the collector runs
        self.addCleanup(gc.enable)
        handlers = {"mine": {"class": f"{__name__}:Remembered", "options": QUICK_HASHES}}
        with self.server("mine", limits={"message_timeout": scaled(0.05)}, handlers=handlers) as server:
            for bytes_sent in (b"", b"\0\0", encode("TOKEN") + b"\0", encode("nonsense"), b"\0\0\xff"):
                client = server.connect()
                client.receive_message()
                request = Remembered.requests.pop()
                send_bytes(client, bytes_sent)
                client.close()
                del client
                wait_until(lambda request=request: request() is None, f"its end after {bytes_sent!r}")

    def test_a_socket_that_cannot_be_taken_over_is_closed(self: Any) -> None:
        with self.server("echo") as server:
            with mock.patch("server.engine.server.Connection", side_effect=MemoryError):
                self.assertEqual(b"", server.connect_raw().recv(1))
                server.log.wait_for("cannot accept connections: no memory")
            self.echo_works(server)

    def test_a_silently_lost_peer_is_found_in_70_seconds(self: Any) -> None:
        with self.server("mine", handlers={"mine": {"class": f"{__name__}:Options"}}) as server:
            # The user timeout makes the first probe that gets no answer within it the last one (tcp(7)).
            server.talk().expect(Kind.TEXT, "1 1 60 10 30000")

    def test_without_descriptors_the_server_waits_and_recovers(self: Any) -> None:
        with self.server("echo") as server:
            waiting = socket.socket()
            self.addCleanup(waiting.close)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = max(int(name) for name in os.listdir("/proc/self/fd"))
            fillers = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            try:
                try:
                    while True:
                        fillers.append(socket.socket())
                except OSError as error:
                    self.assertEqual(errno.EMFILE, error.errno)
                waiting.connect(("127.0.0.1", server.port))
                server.log.wait_for("cannot accept connections: Too many open files")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for filler in fillers:
                    filler.close()
            server.log.wait_for("client connected")
            waiting.close()
            self.echo_works(server)


class Plain(Behaviour, PorterTestCase):
    def test_tls_on_a_plain_port_gets_an_error_that_names_tls(self) -> None:
        with self.server("echo") as server:
            client = server.connect_raw()
            client.sendall(bytes.fromhex("16030102000100 01fc0303") + b"\0" * 100)
            self.assertIn(b"ERROR this is TLS, but the connection is plain", client.recv(1000))
            server.log.wait_for("this is TLS")

    def test_clients_over_ipv6_are_served_and_logged(self) -> None:
        with self.server("echo", host="::1") as server:
            with socket.create_connection(("::1", server.port), PATIENCE) as client:
                client.sendall(encode("x"))
                self.assertEqual(encode("x"), client.recv(100))
            self.assertIn("[::1]:", server.log.wait_for("client connected"))

    def test_an_ipv4_mapped_address_is_the_same_client(self) -> None:
        with self.server("identify", host="::") as server:
            first = Talker(self, server.connect())
            first.answer(Kind.ASK, "Bob")
            first.expect(Kind.TEXT)
            self.assertIn("127.0.0.1:", server.log.wait_for("identified"))
        with self.server("identify", host="127.0.0.1") as server:
            self.assertIn("Bob", server.talk().expect(Kind.TEXT))


class Secure(Behaviour, PorterTestCase):
    tls = True

    def test_a_plain_client_on_a_tls_port_is_closed_and_the_log_says_why(self) -> None:
        with self.server("echo") as server:
            client = server.connect_raw()
            client.sendall(encode("TEXT hello"))
            self.assertEqual(b"", client.recv(1000))
            self.assertIn("WARNING 127.0.0.1", server.log.wait_for("does not speak TLS"))

    def test_a_client_silent_in_the_handshake_is_closed_and_delays_no_other(self) -> None:
        with self.server("echo", limits={"handshake_timeout": scaled(0.2)}) as server:
            silent = [server.connect_raw() for _ in range(5)]
            self.echo_works(server)
            for client in silent:
                self.assertEqual(b"", client.recv(1))
            server.log.wait_for(f"the TLS handshake was not complete after {scaled(0.2):g} seconds", count=5)

    def test_clients_silent_in_the_handshake_do_not_delay_a_stop(self) -> None:
        with self.server("echo") as server:
            client = server.connect_raw()
            server.log.wait_for("client connected")
            server.service.drain()
            self.assertEqual(b"", client.recv(1))

    def test_the_server_ends_tls_with_a_close_notify(self) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.register("Alice")
            client.say("/logout")
            client.expect(Kind.SET_TOKEN)
            client.expect(Kind.TEXT)
            # An end without close_notify is a ConnectionLost: suppress_ragged_eofs is off.
            client.expect_end()


class Hooks(PorterTestCase):
    def test_the_server_extends_socketserver_and_redefines_no_private_name(self) -> None:
        import socketserver

        self.assertTrue(issubclass(Server, socketserver.ThreadingTCPServer))
        theirs = {name for cls in Server.__mro__[1:] for name in vars(cls) if name.startswith("_") and name[1] != "_"}
        self.assertFalse(theirs & {name for name in vars(Server) if name.startswith("_") and name[1] != "_"})
