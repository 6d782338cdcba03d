"""The leader: everybody gets turns, nobody gets two at a time, and whoever waits in one holds up nobody else."""

import math
import socket
import threading
import time
from collections.abc import Callable
from unittest import mock

from server.engine.crew import Crew
from server.engine.leader import Leader
from server.engine.polling import READ, Poll
from tests.support import PATIENCE, PorterTestCase, scaled, wait_until


class Guest:
    """A participant that reads a byte in its turn, and then does what the test wants."""

    def __init__(self, case: "Leaders", do: Callable[["Guest"], object] = lambda guest: None) -> None:
        self.ours, self.theirs = socket.socketpair()
        case.addCleanup(self.ours.close)
        case.addCleanup(self.theirs.close)
        self.ours.setblocking(False)
        self.fd = self.ours.fileno()
        self.events = READ
        self.deadline = math.inf
        self.is_slow = False
        self.turns = 0
        self.threads: set[int] = set()
        self.at_once = threading.Lock()
        self.was_told = threading.Event()
        self._do = do

    def turn(self) -> bool:
        assert self.at_once.acquire(blocking=False), "two turns at a time"
        try:
            try:
                got = self.ours.recv(1)
            except OSError:  # there is nothing, or the test is over
                got = b""
            if got or self.deadline <= time.monotonic():
                self.deadline = math.inf
                self.turns += 1
                self.threads.add(threading.get_ident())
                self._do(self)
            return True
        finally:
            self.at_once.release()

    def was_handed_on(self) -> None:
        self.was_told.set()

    def call(self) -> None:
        self.theirs.send(b"x")


class Leaders(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.crew = Crew()
        self.ticks = 0
        self.leader = Leader(self.crew, self.tick)
        self.watching = threading.Thread(target=self.leader.watch)
        self.addCleanup(self.stop)
        self.watching.start()
        self.crew.run(self.leader.lead)

    def tick(self) -> None:
        self.ticks += 1

    def stop(self) -> None:
        self.leader.close()
        self.crew.close()
        self.watching.join(PATIENCE)

    def guest(self, do: Callable[[Guest], object] = lambda guest: None) -> Guest:
        guest = Guest(self, do)
        self.leader.park(guest)
        return guest

    def has_turns(self, *guests: Guest) -> None:
        """Assert that each of these gets a turn now."""
        before = [guest.turns for guest in guests]
        for guest in guests:
            guest.call()
        wait_until(lambda: all(guest.turns > turns for guest, turns in zip(guests, before, strict=True)), "a turn")

    def test_each_one_that_is_ready_gets_its_turns_in_one_thread(self) -> None:
        guests = [self.guest() for _ in range(20)]
        for _ in range(10):
            self.has_turns(*guests)
        self.assertEqual(1, len(set.union(*[guest.threads for guest in guests])))

    def test_whoever_waits_without_saying_so_is_found_and_keeps_its_turn(self) -> None:
        go_on = threading.Event()
        waiting = [self.guest(lambda guest: go_on.wait(PATIENCE)) for _ in range(5)]
        other = self.guest()
        for guest in waiting:
            guest.call()
            guest.call()
        for _ in range(10):
            self.has_turns(other)
        for guest in waiting:
            self.assertTrue(guest.was_told.wait(PATIENCE))
        self.assertEqual([1] * 5, [guest.turns for guest in waiting])
        go_on.set()
        wait_until(lambda: all(guest.turns == 2 for guest in waiting), "the second turn of each")

    def test_whoever_says_that_it_will_wait_hands_the_lead_on_at_once(self) -> None:
        go_on = threading.Event()

        def wait(guest: Guest) -> None:
            for _ in range(3):  # only the first call does anything
                self.assertTrue(self.leader.hand_on(guest))
            go_on.wait(PATIENCE)

        waiting, other = self.guest(wait), self.guest()
        waiting.call()
        self.has_turns(other)
        self.assertFalse(waiting.was_told.is_set())
        go_on.set()
        self.has_turns(waiting, other)

    def test_without_another_thread_the_leader_keeps_the_lead_and_goes_on(self) -> None:
        answers: list[bool] = []
        asking, other = self.guest(lambda guest: answers.append(self.leader.hand_on(guest))), self.guest()
        with mock.patch.object(self.crew, "run", side_effect=RuntimeError("can't start new thread")):
            self.has_turns(asking)
            self.has_turns(asking, other)
        self.has_turns(asking, other)
        self.assertEqual([False, False, True], answers)

    def test_a_turn_that_fails_costs_nobody_the_lead(self) -> None:
        failing, other = self.guest(lambda guest: 1 / 0), self.guest()
        with self.assertLogs("porter.server", "ERROR"):
            self.has_turns(failing)
            self.has_turns(failing, other)

    def test_a_deadline_gives_a_turn_soon_after_it(self) -> None:
        guest = self.guest()
        guest.deadline = time.monotonic() + scaled(0.1)
        self.leader.look_by(guest.deadline)
        self.leader.post(guest)
        start = time.monotonic()
        wait_until(lambda: guest.turns, "the turn")
        self.assertLess(time.monotonic() - start, scaled(0.6))

    def test_the_deadlines_are_looked_at_once_a_second(self) -> None:
        wait_until(lambda: self.ticks >= 2, "two looks")
        guest = self.guest()
        guest.deadline = time.monotonic()
        start = time.monotonic()
        wait_until(lambda: guest.turns, "the turn")
        self.assertLess(time.monotonic() - start, scaled(1.5))

    def test_a_post_gives_a_turn_to_whoever_is_parked_and_to_nobody_else(self) -> None:
        guest = self.guest()
        wait_until(lambda: not self.leader._ready, "its first turn")
        for _ in range(10):
            guest.deadline = time.monotonic()
            before = guest.turns
            self.leader.post(guest)
            wait_until(lambda before=before: guest.turns > before, "the turn")
        self.leader.take(guest)
        guest.call()
        self.leader.post(guest)
        self.has_turns(self.guest())
        self.assertEqual(10, guest.turns)
        self.leader.park(guest)
        wait_until(lambda: guest.turns == 11, "a turn when it is back")

    def test_whoever_has_more_to_do_comes_after_those_that_are_ready(self) -> None:
        order: list[str] = []

        def have_more(guest: Guest) -> None:
            order.append("more")
            guest.deadline = 0.0 if len(order) < 5000 else math.inf
            self.leader.again(guest)

        def be_called(guest: Guest) -> None:
            order.append("quick")
            if len(order) < 5000:
                guest.call()

        self.has_turns(self.guest(have_more), self.guest(be_called))
        wait_until(lambda: len(order) >= 5000, "many turns")
        both = order[order.index("quick") :][:100]
        self.assertGreaterEqual(both.count("quick"), 4)  # 16 turns at most come between two

    def test_poll_serves_where_there_is_no_epoll(self) -> None:
        self.stop()
        with mock.patch("server.engine.leader.Poller", Poll):
            self.setUp()
        guests = [self.guest() for _ in range(5)]
        for _ in range(5):
            self.has_turns(*guests)
        self.leader.take(guests[0])
        self.has_turns(*guests[1:])
