"""Slots: they are counted exactly, by one or several processes, and freed when a process is killed."""

import os
import signal
import threading
import time
from typing import Any

from common.errors import ConnectionRefused
from common.wire.sockets import MessageSocket
from server.engine.admission import Connections, OwnSlots, SharedSlots, Slots
from server.settings import Limits
from tests.support import PATIENCE, PorterTestCase, scaled, socket_pair

LIMITS = Limits(max_connections=5, max_connections_per_address=3)


class Behaviour:
    slots: Slots

    def test_each_source_and_the_server_have_a_limit_and_a_freed_slot_is_free_at_once(self: Any) -> None:
        slots = self.slots
        for source in "aaa":
            slots.take(source, LIMITS)
        with self.assertRaisesRegex(ConnectionRefused, "from your address"):
            slots.take("a", LIMITS)
        slots.take("b", LIMITS)
        slots.take("b", LIMITS)
        with self.assertRaisesRegex(ConnectionRefused, "the server is full"):
            slots.take("c", LIMITS)
        slots.give_back("a")
        slots.take("c", LIMITS)


class Own(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.slots = OwnSlots()

    def test_no_data_is_kept_about_a_source_that_has_left(self) -> None:
        slots = OwnSlots()
        slots.take("a", LIMITS)
        slots.give_back("a")
        self.assertFalse(slots._by_source)


class Shared(Behaviour, PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shared = SharedSlots(2)
        self.addCleanup(self.shared.close)
        self.slots = self.shared.of(0)

    def test_a_worker_that_is_two_above_the_mean_has_more_than_its_share(self) -> None:
        other = self.shared.of(1)
        limits = Limits(max_connections=100, max_connections_per_address=100)
        shares = []
        for _ in range(5):
            self.slots.take("a", limits)
            shares.append(self.slots.has_more_than_its_share())
        self.assertEqual([False, False, False, True, True], shares)
        other.take("a", limits)
        other.take("a", limits)
        self.assertFalse(self.slots.has_more_than_its_share())
        self.assertFalse(other.has_more_than_its_share())

    def test_a_slot_taken_by_one_worker_is_not_free_for_the_other(self) -> None:
        other = self.shared.of(1)
        self.slots.take("a", LIMITS)
        for _ in range(2):
            other.take("a", LIMITS)
        self.assertRaises(ConnectionRefused, self.slots.take, "a", LIMITS)
        other.give_back("a")
        self.slots.take("a", LIMITS)

    def test_the_slots_of_a_worker_are_freed_when_it_has_ended(self) -> None:
        other = self.shared.of(1)
        for source in "abcde":
            other.take(source, LIMITS)
        self.assertRaises(ConnectionRefused, self.slots.take, "f", LIMITS)
        self.shared.clear(1)
        self.slots.take("f", LIMITS)

    def test_processes_that_take_slots_at_once_take_no_more_than_the_limit(self) -> None:
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

    def test_a_process_killed_with_the_lock_blocks_no_other(self) -> None:
        child = os.fork()
        if child == 0:
            with self.shared.locked():
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        self.slots.take("a", LIMITS)

    def test_a_process_stopped_with_the_lock_does_not_delay_others_for_long(self) -> None:
        child = os.fork()
        if child == 0:
            with self.shared.locked():
                os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        start = time.monotonic()
        for _ in range(3):
            self.slots.take("a", LIMITS)
        self.assertLess(time.monotonic() - start, 1)
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
        with self.assertRaises(ConnectionRefused):
            self.slots.take("a", LIMITS)


class Register(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connections: Connections[MessageSocket] = Connections()
        self.limits = Limits(max_connections=3, max_connections_per_address=2)

    def socket(self) -> MessageSocket:
        first, second = socket_pair()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        return first

    def test_a_full_server_refuses_new_connections(self) -> None:
        for source in ("a", "b", "c"):
            self.connections.admit(self.socket(), source, self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "the server is full"):
            self.connections.admit(self.socket(), "d", self.limits)
        self.assertEqual(3, len(self.connections))

    def test_an_address_with_too_many_connections_is_refused_and_others_are_not(self) -> None:
        self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        with self.assertRaisesRegex(ConnectionRefused, "from your address"):
            self.connections.admit(self.socket(), "a", self.limits)
        self.connections.admit(self.socket(), "b", self.limits)

    def test_a_freed_slot_is_free_at_once(self) -> None:
        first = self.socket()
        self.connections.admit(first, "a", self.limits)
        self.connections.admit(self.socket(), "a", self.limits)
        self.assertTrue(self.connections.remove(first))
        self.assertFalse(self.connections.remove(first))
        self.connections.admit(self.socket(), "a", self.limits)

    def test_the_end_of_the_last_connection_ends_the_wait(self) -> None:
        request = self.socket()
        self.connections.admit(request, "a", self.limits)
        self.assertFalse(self.connections.wait_until_none(0))
        threading.Timer(scaled(0.02), self.connections.remove, [request]).start()
        self.assertTrue(self.connections.wait_until_none(PATIENCE))

    def test_all_open_connections_are_known(self) -> None:
        first, second = self.socket(), self.socket()
        for request in (first, second):
            self.connections.admit(request, "a", self.limits)
        self.connections.remove(first)
        self.assertEqual([second], self.connections.all())
