"""The ring in memory that workers share: what it forgets, and a worker that is killed or stopped while it writes."""

import os
import signal
import time
from unittest import mock

from common.errors import Unavailable
from server.bus import memory
from server.bus.memory import Ring
from tests.support import PorterTestCase, scaled


class Rings(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(memory, "_SIZE", 10_000))
        self.enterContext(mock.patch.object(memory, "_PATIENCE", 0.05))
        self.ring = Ring(2)
        self.addCleanup(self.ring.close)
        self.carrier = self.ring.of(0)

    def say(self, *texts: str) -> None:
        self.carrier.append([("news", text) for text in texts])

    def test_the_oldest_entries_go_when_the_ring_is_full(self) -> None:
        said = [f"{number}{'x' * (number % 700)}" for number in range(3000)]
        for text in said:
            self.say(text)
            self.assertEqual(text, self.carrier.after(0)[-1].text)
        kept = [entry.text for entry in self.ring.of(1).after(0)]
        self.assertEqual(said[-len(kept) :], kept)
        self.assertGreater(sum(map(len, kept)), 8000)

    def test_only_later_entries_are_read_and_those_of_others_too(self) -> None:
        self.say("one")
        number = self.carrier.latest()
        self.say("two", "three")
        found = self.ring.of(1).after(number)
        self.assertEqual([("0", "news", "two"), ("0", "news", "three")], [entry[1:] for entry in found])
        self.assertEqual([], self.carrier.after(found[-1].number))

    def in_a_fork(self, method: str) -> int:
        """Write in another process, which stops when it calls this method of the ring with the lock held."""

        def stop(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGSTOP)

        child = os.fork()
        if child == 0:
            with mock.patch.object(self.ring, method, stop):
                self.ring.of(1).append([("news", "never heard")])
            os._exit(0)
        os.waitpid(child, os.WUNTRACED)
        return child

    def test_a_worker_that_is_stopped_with_the_lock_costs_a_moment_and_an_error(self) -> None:
        child = self.in_a_fork("_append")
        start = time.monotonic()
        self.assertRaisesRegex(Unavailable, "stopped", self.say, "not now")
        self.assertLess(time.monotonic() - start, scaled(1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.say("now")
        self.assertEqual(["now"], [entry.text for entry in self.carrier.after(0)])

    def test_a_worker_that_is_killed_between_the_bytes_and_the_bounds_leaves_no_half_entry(self) -> None:
        self.say("before")
        pack = memory._BOUNDS.pack_into
        child = os.fork()
        if child == 0:
            calls = iter((pack, lambda *_: os.kill(os.getpid(), signal.SIGKILL)))
            with mock.patch.object(
                memory, "_BOUNDS", mock.Mock(wraps=memory._BOUNDS, size=memory._BOUNDS.size)
            ) as it:
                it.pack_into.side_effect = lambda *given: next(calls)(*given)
                self.ring.of(1).append([("news", "half")])
            os._exit(0)
        self.assertEqual(signal.SIGKILL, os.WTERMSIG(os.waitpid(child, 0)[1]))
        self.say("after")
        self.assertEqual(["before", "after"], [entry.text for entry in self.carrier.after(0)])
