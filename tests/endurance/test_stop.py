"""TERM ends the server in time in any state of its clients. Idle clients get a farewell, busy ones their answer."""

import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

from common.errors import ConnectionLost
from common.wire.framing import encode
from common.wire.kinds import Kind
from tests.support import PATIENCE, PorterTestCase, ServerProcess, Talker, at_once, scaled, send_bytes, wait_until

DRAIN = scaled(1.0)
FAREWELL = "ERROR the server is stopping"


class Behaviour:
    @contextlib.contextmanager
    def store_locked_by_another(self: Any, how: str = "IMMEDIATE") -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(self.folder / "data/porter.db", isolation_level=None)) as other:
            other.execute(f"BEGIN {how}")
            yield
            other.execute("ROLLBACK")

    def stop_in_a_transaction(self: Any, server: ServerProcess, client: Talker) -> None:
        """Have the client log out, which waits for the locked store, and then stop the server."""
        client.say("/logout")
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping, ")

    def test_the_server_stops_in_time_in_any_state_of_its_clients(self: Any) -> None:
        slow_hashes = {"passwords": {"argon2": {"memory_kib": 65536, "time_cost": 8}}}
        server = self.start_process(
            "auth", limits={"drain_timeout": DRAIN}, handlers={"auth": {"options": slow_hashes}}
        )
        idle = server.talk()
        idle.register("Alice")
        at_the_question = server.talk()
        at_the_question.give_token()
        at_the_question.expect(Kind.ASK)
        server.connect_raw()  # silent: over TLS, in the handshake
        server.connect_raw().sendall(b"\x16\x03\x01")
        in_a_message = server.talk()
        in_a_message.register("Bob")
        send_bytes(in_a_message.connection, encode("TEXT half of it")[:9])
        not_reading = server.talk()
        not_reading.register("Carol")
        flooding = threading.Thread(target=self.flood, args=[not_reading.connection])
        flooding.start()
        in_a_transaction = server.talk()
        in_a_transaction.register("Dave")
        hashing = [server.talk() for _ in range(8)]
        for client in hashing:
            client.give_token()
            client.answer(Kind.ASK, "Alice")
            client.answer(Kind.SECRET, "wrong horse")
        with self.store_locked_by_another():
            start = time.monotonic()
            self.stop_in_a_transaction(server, in_a_transaction)
            self.assertRaises(ConnectionRefusedError, server.connect_raw)  # the listener is closed first
            self.assertLess(time.monotonic() - start, scaled(0.5))
            idle.expect(Kind.ERROR, "the server is stopping")
            idle.expect_end()
            at_the_question.expect(Kind.ERROR, "the server is stopping")
            self.assertLess(time.monotonic() - start, DRAIN)
            status = server.wait()
            took = time.monotonic() - start
        flooding.join(PATIENCE)
        self.assertEqual((0, "", ""), status)
        self.assertLess(took, DRAIN + 2)
        self.assertRegex(server.log(), r"connections cut|not finished")
        again = self.start_process("auth", "--port", str(server.port))
        self.assertEqual(server.port, again.port)  # free again at once
        self.assertEqual((0, "", ""), again.stop())

    def flood(self: Any, client: Any) -> None:
        data = encode("TEXT " + "x" * 4000) * 10
        with contextlib.suppress(ConnectionLost):
            while True:
                send_bytes(client, data)

    def test_a_busy_client_gets_its_answer_before_the_end(self: Any) -> None:
        server = self.start_process("auth", limits={"drain_timeout": PATIENCE})
        client = server.talk()
        client.register("Alice")
        with self.store_locked_by_another():
            self.stop_in_a_transaction(server, client)
        client.expect(Kind.SET_TOKEN, "")
        client.expect(Kind.TEXT, "Goodbye!")
        client.expect_end()  # over TLS: a close_notify
        client.connection.close()
        self.assertEqual((0, "", ""), server.wait())

    def test_received_messages_are_answered_before_the_farewell(self: Any) -> None:
        server = self.start_process("echo")
        clients = [server.connect() for _ in range(20)]
        lost: list[int] = []

        def talk(client: Any) -> None:
            number = 0
            while True:
                client.send_message(str(number))
                answer = client.receive_message()
                if answer == FAREWELL:
                    break
                if answer != str(number):
                    lost.append(number)
                    break
                number += 1
            client.close()

        stopping = threading.Timer(scaled(0.3), server.signal, [signal.SIGTERM])
        stopping.start()
        at_once(*[lambda client=client: talk(client) for client in clients])
        stopping.join()
        self.assertEqual([], lost)
        self.assertEqual((0, "", ""), server.wait())


class Plain(Behaviour, PorterTestCase):
    def test_a_second_term_ends_a_stop_that_hangs(self) -> None:
        server = self.start_process("auth", limits={"drain_timeout": 3600})
        client = server.talk()
        client.register("Alice")
        with self.store_locked_by_another("EXCLUSIVE"):
            self.stop_in_a_transaction(server, client)
            start = time.monotonic()
            server.signal(signal.SIGTERM)
            self.assertEqual((0, "", ""), server.wait())
            self.assertLess(time.monotonic() - start, 1)

    def test_a_reload_that_hangs_does_not_delay_the_stop(self) -> None:
        server = self.start_process(limits={"drain_timeout": DRAIN})
        blocking = {"blocking": {"class": "tests.endurance.blocking:BlockingHandler"}}
        self.write_configuration(mode="blocking", handlers=blocking)
        server.signal(signal.SIGHUP)
        client = server.connect()
        client.send_message("still served")
        self.assertEqual("still served", client.receive_message())
        start = time.monotonic()
        self.assertEqual((0, "", ""), server.stop())
        self.assertLess(time.monotonic() - start, DRAIN + 2)

    def test_a_drain_timeout_may_be_years_long(self) -> None:
        server = self.start_process("echo", limits={"drain_timeout": 3650 * 86400})
        server.connect()
        self.assertEqual((0, "", ""), server.stop())

    def test_no_signal_is_missed(self) -> None:
        server = self.start_process("echo")
        for count in range(1, 51):
            server.signal(signal.SIGHUP)
            wait_until(lambda count=count: server.log().count("reloaded (echo") == count, f"reload {count}")
        self.assertEqual((0, "", ""), server.stop())


class Secure(Behaviour, PorterTestCase):
    tls = True
