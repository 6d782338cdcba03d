"""Places: counted exactly, by one process or by several at once, and given back when one is killed."""

import os
import signal
import threading
import time
from typing import Any

from common.errors import ConnectionRefused
from common.wire.sockets import MessageSocket
from server.engine.admission import Connections, OwnPlaces, Places, SharedPlaces
from server.settings import Limits
from tests.support import PATIENCE, PorterTestCase, socket_pair

LIMITS = Limits(max_connections=5, max_connections_per_address=3)


class Behaviour:
    places: Places

    def test_a_source_and_all_together_have_so_many_and_a_freed_one_is_free_at_once(self: Any) -> None:
        places = self.places
        for source in "aaa":
            places.take(source, LIMITS)
        with self.assertRaisesRegex(ConnectionRefused, "from your address"):
            places.take("a", LIMITS)
        places.take("b", LIMITS)
        places.take("b", LIMITS)
        with self.assertRaisesRegex(ConnectionRefused, "the server is full"):
            places.take("c", LIMITS)
        places.give_back("a")
        places.take("c", LIMITS)


class Own(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.places = OwnPlaces()

    def test_nothing_is_kept_of_a_source_that_has_left(self) -> None:
        places = OwnPlaces()
        places.take("a", LIMITS)
        places.give_back("a")
        self.assertFalse(places._by_source)


class Shared(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shared = SharedPlaces(2)
        self.addCleanup(self.shared._lock.close)
        self.places = self.shared.of(0)

    def test_what_one_worker_took_the_other_cannot_have(self) -> None:
        other = self.shared.of(1)
        self.places.take("a", LIMITS)
        for _ in range(2):
            other.take("a", LIMITS)
        self.assertRaises(ConnectionRefused, self.places.take, "a", LIMITS)
        other.give_back("a")
        self.places.take("a", LIMITS)

    def test_what_a_worker_had_is_given_back_when_it_has_ended(self) -> None:
        other = self.shared.of(1)
        for source in "abcde":
            other.take(source, LIMITS)
        self.assertRaises(ConnectionRefused, self.places.take, "f", LIMITS)
        self.shared.clear(1)
        self.places.take("f", LIMITS)

    def test_processes_that_take_at_the_same_time_take_no_more_than_there_are(self) -> None:
        limits = Limits(max_connections=1000, max_connections_per_address=150)
        children = []
        for number in range(2):
            child = os.fork()
            if child == 0:
                taken = 0
                for _ in range(200):
                    try:
                        self.shared.of(number).take("a", limits)
                    except ConnectionRefused:
                        break
                    taken += 1
                os._exit(min(taken, 255))
            children.append(child)
        counts = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        self.assertEqual(150, sum(counts))

    def test_who_is_killed_with_the_lock_keeps_it_from_nobody(self) -> None:
        child = os.fork()
        if child == 0:
            with self.shared.locked():
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        self.places.take("a", LIMITS)

    def test_who_is_stopped_with_the_lock_holds_nobody_up_for_long(self) -> None:
        child = os.fork()
        if child == 0:
            with self.shared.locked():
                os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        start = time.monotonic()
        for _ in range(3):
            self.places.take("a", LIMITS)
        self.assertLess(time.monotonic() - start, 1)
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
        with self.assertRaises(ConnectionRefused):
            self.places.take("a", LIMITS)


class Register(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connections = Connections()
        self.limits = Limits(max_connections=3, max_connections_per_address=2)

    def socket(self) -> MessageSocket:
        first, second = socket_pair()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        return first

    def test_a_full_server_refuses(self) -> None:
        for source in ("a", "b", "c"):
            self.connections.admit(self.socket(), source, self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "the server is full"):
            self.connections.admit(self.socket(), "d", self.limits)
        self.assertEqual(3, len(self.connections))

    def test_an_address_with_too_many_is_refused_and_others_are_not(self) -> None:
        self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "from your address"):
            self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "b", self.limits)

    def test_a_freed_place_is_free_at_once(self) -> None:
        first = self.socket()
        self.connections.admit(first, "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        self.assertTrue(self.connections.remove(first))
        self.assertFalse(self.connections.remove(first))
        self.connections.admit(self.socket(), "a", self.limits)

    def test_the_last_one_s_end_wakes_who_waits(self) -> None:
        request = self.socket()
        self.connections.admit(request, "a", self.limits)
        self.assertFalse(self.connections.wait_until_none(0))
        threading.Timer(0.02, self.connections.remove, [request]).start()
        self.assertTrue(self.connections.wait_until_none(PATIENCE))

    def test_cutting_ends_them_all(self) -> None:
        request = self.socket()
        self.connections.admit(request, "a", self.limits)
        self.assertEqual(1, self.connections.cut())
        self.assertEqual(b"", request.recv(1))
