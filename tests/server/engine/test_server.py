"""The server: every way a client may break off, the limits, and an accept loop that nothing ends."""

import errno
import gc
import os
import resource
import socket
import threading
import weakref
from typing import Any
from unittest import mock

from common.wire.framing import encode
from common.wire.kinds import Kind
from common.wire.sockets import MessageSocket
from common.wire.waiting import WaitingSocket
from server.engine.server import Server
from tests.support import PATIENCE, PorterTestCase, RunningServer, Talker, wait_until


class Behaviour:
    def reset(self: Any, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    def echo_works(self: Any, server: RunningServer) -> None:
        client = server.connect()
        client.send_message("still there?")
        self.assertEqual("still there?", client.receive_message())
        client.close()

    def test_after_a_client_breaks_off_in_whatever_way_the_next_one_is_served(self: Any) -> None:
        def close(client: Any) -> None:
            client.close()

        def reset(client: Any) -> None:
            self.reset(client)

        def inside_a_message(client: Any) -> None:
            client._send_all(b"\0\0\0\x05he")
            client.close()

        def inside_a_header(client: Any) -> None:
            client._send_all(b"\0\0")
            self.reset(client)

        def without_reading(client: Any) -> None:
            client.send_message("x" * 60_000)
            client.close()

        def half_closed(client: Any) -> None:
            socket.socket.shutdown(client, socket.SHUT_WR)

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

    def test_connecting_and_leaving_at_once_many_times_harms_nobody(self: Any) -> None:
        with self.server("echo") as server:
            for _ in range(100):
                self.reset(server.connect_raw())
            self.echo_works(server)

    def test_a_breach_gets_one_error_and_the_log_says_who_and_why(self: Any) -> None:
        for data, reason in (
            (b"\xff\xff\xff\xff", "a message of 4294967295 bytes is over the limit of 65536"),
            (b"\0\1\0\1", "a message of 65537 bytes is over the limit of 65536"),
            (b"\0\0\0\2\xc3\x28", "a message must be UTF-8 text"),
        ):
            with self.subTest(reason), self.server("echo") as server:
                client = server.connect()
                client._send_all(data)
                self.assertTrue(client.receive_message().startswith(f"ERROR {reason}"))
                self.assertIsNone(client.receive_message())
                self.assertIn("WARNING 127.0.0.1:", server.log.wait_for(reason))

    def test_the_error_of_a_breach_is_read_although_much_was_sent(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            client._send_all(b"\0\x0c\0\0" + b"x" * 700_000)
            self.assertIn("over the limit", client.receive_message())
            self.assertIsNone(client.receive_message())

    def test_a_stall_inside_a_message_is_a_breach(self: Any) -> None:
        with self.server("echo", limits={"message_timeout": 0.1}) as server:
            client = server.connect()
            client._send_all(b"\0\0\0\x05he")
            self.assertIn("not complete after 0.1 seconds", client.receive_message())
            self.assertIsNone(client.receive_message())
            server.log.wait_for("not complete")

    def test_who_is_silent_for_too_long_is_told_and_closed_and_who_is_not_stays(self: Any) -> None:
        with self.server("echo", limits={"idle_timeout": 0.3}) as server:
            silent, active = server.connect(), server.connect()
            stop = threading.Event()
            rounds = []

            def talk() -> None:
                while not stop.wait(0.05):
                    active.send_message("x")
                    rounds.append(active.receive_message())

            talking = threading.Thread(target=talk)
            talking.start()
            self.assertIn("no message for 0.3 seconds", silent.receive_message())
            self.assertIsNone(silent.receive_message())
            stop.set()
            talking.join(PATIENCE)
            self.assertGreater(len(rounds), 2)
            self.assertEqual({"x"}, set(rounds))

    def test_a_client_that_never_reads_is_given_up(self: Any) -> None:
        with self.server("echo", limits={"send_timeout": 0.2}) as server:
            client = server.connect()
            frames = encode("x" * 60_000) * 10
            with self.assertRaises(Exception):  # noqa: B017 - a reset, or our own patience: the log tells
                client.timeouts = type(client.timeouts)(send=PATIENCE)
                for _ in range(200):
                    client._send_all(frames)
            server.log.wait_for("did not take what was sent within 0.2 seconds")

    def test_every_message_is_a_line_with_its_length(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            client.send_message("héllo")
            client.receive_message()
            client.finish(0)
            server.log.wait_for("client disconnected")
            found = [line.split(" ", 2)[2] for line in server.log.messages if "127.0.0.1" in line]
            wanted = ["client connected", "message received, 6 bytes", "message sent, 6 bytes", "client disconnected"]
            self.assertEqual(wanted, [line for line in found if "listening" not in line])

    def test_who_talks_alone_is_awaited_awake_and_who_does_not_is_not(self: Any) -> None:
        with self.server("echo") as server, mock.patch.object(WaitingSocket, "_await_what_comes_soon") as awake:
            first, second = server.connect(), server.connect()

            def is_awaited(client: MessageSocket) -> bool:
                client.send_message("hello")
                client.receive_message()
                return bool(awake.called)

            self.assertNotIn(True, [is_awaited(client) for client in [first, second] * 20])
            wait_until(lambda: is_awaited(first), "somebody who is awake")

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

    def test_what_is_left_at_the_end_of_the_drain_is_cut(self: Any) -> None:
        with self.server("echo", limits={"drain_timeout": 0.2}) as server:
            client = server.connect()
            client._send_all(b"\0\0\0\x05he")
            self.echo_works(server)
            server.service.drain()
            server.log.wait_for("1 connections cut")

    def test_too_many_from_one_address_are_refused_and_others_served(self: Any) -> None:
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
            wait_until(lambda: server.service.connections < 3, "a free place")
            self.echo_works(server)

    def test_a_full_server_refuses(self: Any) -> None:
        with self.server("echo", limits={"max_connections": 1}) as server:
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            self.refused(server, "the server is full")

    def refused(self: Any, server: RunningServer, reason: str) -> None:
        """Over TLS, the connection is just closed: nothing can be said before a handshake."""
        raw = server.connect_raw()
        if self.tls:
            self.assertEqual(b"", raw.recv(100))
        else:
            self.assertIn(reason.encode(), raw.recv(1000))
        server.log.wait_for(reason)

    def test_threads_that_cannot_be_started_refuse_the_client_and_free_its_place(self: Any) -> None:
        with self.server("echo") as server:
            with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
                self.refused(server, "can't start new thread")
            self.echo_works(server)
            wait_until(lambda: not server.service.connections, "the last place is free")

    def test_the_accept_loop_survives_what_goes_wrong_in_it(self: Any) -> None:
        with self.server("echo") as server:
            with mock.patch("server.engine.server.source", side_effect=ValueError("surprise")):
                self.assertEqual(b"", server.connect_raw().recv(1))
            server.log.wait_for("could not be admitted")
            self.echo_works(server)

    def test_a_connection_that_has_ended_is_freed_at_once_however_it_ended(self: Any) -> None:
        gc.disable()  # what refers to itself would stay, with its buffers, until the collector comes round
        self.addCleanup(gc.enable)
        with self.server("auth", limits={"message_timeout": 0.05}) as server:
            for bytes_sent in (b"", b"\0\0", encode("TOKEN") + b"\0", encode("nonsense"), b"\0\0\xff"):
                client = server.connect()
                client.receive_message()
                (request,) = map(weakref.ref, server.service._server.connections._sources)
                client._send_all(bytes_sent)
                client.close()
                del client
                wait_until(lambda request=request: request() is None, f"the end of the socket after {bytes_sent!r}")

    def test_what_cannot_be_taken_over_is_closed(self: Any) -> None:
        with self.server("echo") as server:
            with mock.patch.object(Server, "_adopt", side_effect=MemoryError):
                self.assertEqual(b"", server.connect_raw().recv(1))
                line = server.log.wait_for("a connection could not be taken over")
                self.assertTrue(line.startswith("ERROR 127.0.0.1:"))
            self.echo_works(server)

    def test_a_peer_that_is_gone_without_a_word_is_found_in_70_seconds(self: Any) -> None:
        with self.server("echo") as server:
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            (request,) = server.service._server.connections._sources
            found = [
                request.getsockopt(*option)
                for option in (
                    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                )
            ]
            # With a user timeout, the first probe that is not answered within it is the last (tcp(7)).
            self.assertEqual([1, 1, 60, 10, 30_000], found)

    def test_without_descriptors_it_waits_and_recovers(self: Any) -> None:
        with self.server("echo") as server:
            waiting = socket.socket()
            self.addCleanup(waiting.close)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = max(int(name) for name in os.listdir("/proc/self/fd"))
            hogs = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            try:
                try:
                    while True:
                        hogs.append(socket.socket())
                except OSError as error:
                    self.assertEqual(errno.EMFILE, error.errno)
                waiting.connect(("127.0.0.1", server.port))
                server.log.wait_for("cannot accept connections: Too many open files")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for hog in hogs:
                    hog.close()
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

    def test_a_server_reached_over_ipv6_knows_its_clients(self) -> None:
        with self.server("echo", host="::1") as server:
            with socket.create_connection(("::1", server.port), PATIENCE) as client:
                client.sendall(encode("x"))
                self.assertEqual(encode("x"), client.recv(100))
            self.assertIn("[::1]:", server.log.wait_for("client connected"))

    def test_a_mapped_address_is_the_same_client(self) -> None:
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

    def test_a_silent_client_is_closed_and_holds_nobody_up(self) -> None:
        with self.server("echo", limits={"handshake_timeout": 0.2}) as server:
            silent = [server.connect_raw() for _ in range(5)]
            self.echo_works(server)
            for client in silent:
                self.assertEqual(b"", client.recv(1))
            server.log.wait_for("no TLS handshake within 0.2 seconds", count=5)

    def test_clients_silent_in_the_handshake_do_not_hold_a_stop_up(self) -> None:
        with self.server("echo") as server:
            client = server.connect_raw()
            server.log.wait_for("client connected")
            server.service.drain()
            self.assertEqual(b"", client.recv(1))

    def test_an_end_is_a_close_notify(self) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.register("Alice")
            client.say("/logout")
            client.expect(Kind.SET_TOKEN)
            client.expect(Kind.TEXT)
            # Anything less than close_notify is a ConnectionLost: suppress_ragged_eofs is off.
            client.expect_end()


class Hooks(PorterTestCase):
    def test_the_server_is_the_library_s_and_touches_none_of_its_private_names(self) -> None:
        import socketserver

        self.assertTrue(issubclass(Server, socketserver.ThreadingTCPServer))
        theirs = {name for cls in Server.__mro__[1:] for name in vars(cls) if name.startswith("_") and name[1] != "_"}
        self.assertFalse(theirs & {name for name in vars(Server) if name.startswith("_") and name[1] != "_"})
        with self.server("echo") as server:
            inherited = {"_threads", "_handle_request_noblock"}
            self.assertFalse(inherited & set(vars(server.service._server)))
