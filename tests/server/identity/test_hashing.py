"""The HashPool: how many threads it has, how long a caller waits for a turn, and that no turn is lost."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import partial

from common.errors import Busy, Stopping
from server.identity.hashing import HashPool
from server.machine import cores
from tests.support import PATIENCE, PorterTestCase, at_once, scaled, wait_until


class HashPoolTests(PorterTestCase):
    def pool(
        self, count: int | None = 1, queue: int = 16, longest_wait: float = PATIENCE, pause_when_full: float = 0
    ) -> HashPool:
        made = HashPool(count, queue, longest_wait, pause_when_full)
        self.addCleanup(made.close)
        return made

    def test_each_core_has_one_thread_and_all_have_a_low_priority(self) -> None:
        pool = self.pool(None)
        self.assertEqual(len(cores()), pool._threads._max_workers)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        self.assertGreater(pool.run(os.getpriority, os.PRIO_PROCESS, 0), ours)

    def test_run_returns_the_result_and_raises_the_error(self) -> None:
        pool = self.pool()
        self.assertEqual(5, pool.run(max, 3, 5))
        self.assertRaises(ZeroDivisionError, pool.run, divmod, 1, 0)

    def test_no_more_calls_run_at_once_than_there_are_threads(self) -> None:
        pool = self.pool(2)
        present: list[int] = []
        counts: list[int] = []
        third = threading.Event()

        def work() -> None:
            present.append(0)
            counts.append(len(present))
            if len(present) > 2:
                third.set()
            third.wait(scaled(0.01))  # long enough for a third call to begin, if it could
            present.pop()

        at_once(*[partial(pool.run, work)] * 16)
        self.assertEqual((16, 2), (len(counts), max(counts)))

    @contextlib.contextmanager
    def occupied(self, pool: HashPool) -> Iterator[None]:
        """Keep the only thread of the pool at work inside."""
        working, finish = threading.Event(), threading.Event()

        def work() -> bool:
            working.set()
            return finish.wait(PATIENCE)

        def work_in_turn() -> None:
            with pool.turn():
                pool.run(work)

        first = threading.Thread(target=work_in_turn)
        first.start()
        self.assertTrue(working.wait(PATIENCE))
        try:
            yield
        finally:
            finish.set()
            first.join(PATIENCE)

    def test_a_full_pool_is_busy_until_a_turn_ends(self) -> None:
        pool = self.pool(1, queue=0)
        with pool.turn(), pool.turn():
            start = time.monotonic()
            with self.assertRaises(Busy), pool.turn():
                self.fail("came in")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)  # without a wait for a turn
        with pool.turn():
            self.assertEqual(5, pool.run(max, 3, 5))

    def test_a_full_pool_raises_busy_after_a_pause_that_close_ends(self) -> None:
        pool = self.pool(1, queue=0, pause_when_full=scaled(0.05))
        with pool.turn(), pool.turn():
            start = time.monotonic()
            with self.assertRaises(Busy), pool.turn():
                self.fail("came in")
            self.assertGreaterEqual(time.monotonic() - start, scaled(0.05))
        pool = self.pool(1, queue=0, pause_when_full=PATIENCE)
        with pool.turn(), pool.turn():
            pool.close()
            start = time.monotonic()
            with self.assertRaises(Busy), pool.turn():
                self.fail("came in")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)

    def test_a_turn_that_does_not_come_is_given_up_and_leaves_the_queue(self) -> None:
        pool = self.pool(1, queue=1, longest_wait=scaled(0.01))
        with pool.turn(), pool.turn():
            for _ in range(3):
                with self.assertRaises(Busy), pool.turn():
                    self.fail("came in")
        with pool.turn():
            self.assertEqual(5, pool.run(max, 3, 5))

    def test_sources_get_turns_one_after_the_other_however_many_callers_each_has(self) -> None:
        pool = self.pool(1)
        order: list[str] = []

        go_on = threading.Event()

        def call(source: str) -> None:
            with pool.turn(source):
                order.append(source)
                go_on.wait(PATIENCE)

        threads = [threading.Thread(target=call, args=[source]) for source in "aaaaab"]
        with pool.turn("a"), pool.turn("a"):
            for number, thread in enumerate(threads, 1):
                thread.start()
                wait_until(lambda number=number: sum(map(len, pool._waiting.values())) == number, "its place")
        wait_until(lambda: len(order) == 2, "the next two turns")
        self.assertEqual({"a", "b"}, set(order))
        go_on.set()
        for thread in threads:
            thread.join(PATIENCE)

    def test_a_full_queue_of_one_source_refuses_no_other(self) -> None:
        pool = self.pool(1, queue=1, pause_when_full=0.0)
        with pool.turn("a"), pool.turn("a"):
            waiting = [threading.Thread(target=self.call, args=[pool, source]) for source in "ab"]
            for number, thread in enumerate(waiting, 1):
                thread.start()
                wait_until(lambda number=number: sum(map(len, pool._waiting.values())) == number, "its place")
            with self.assertRaises(Busy), pool.turn("a"):
                self.fail("came in")
        for thread in waiting:
            thread.join(PATIENCE)
        self.assertEqual({}, pool._waiting)

    def call(self, pool: HashPool, source: str) -> None:
        with pool.turn(source):
            pass

    def test_a_turn_that_fails_is_given_back(self) -> None:
        pool = self.pool(1, queue=0)
        for _ in range(4):
            with self.assertRaises(ZeroDivisionError), pool.turn():
                pool.run(divmod, 1, 0)

    def test_one_more_caller_has_a_turn_while_a_hash_is_computed(self) -> None:
        pool = self.pool()
        with self.occupied(pool), pool.turn():
            pass

    def test_after_close_no_call_begins(self) -> None:
        pool = self.pool()
        pool.close()
        self.assertRaises(Stopping, pool.run, max, 3, 5)

    def test_a_call_that_waits_at_close_is_not_begun(self) -> None:
        pool = self.pool(1)
        stopped: list[BaseException] = []

        def wait() -> None:
            try:
                pool.run(self.fail)
            except Stopping as error:
                stopped.append(error)

        second, closing = threading.Thread(target=wait), threading.Thread(target=pool.close)
        with self.occupied(pool):
            second.start()
            wait_until(lambda: pool._threads._work_queue.qsize() == 1, "the second in the queue")
            closing.start()
            second.join(PATIENCE)
        closing.join(PATIENCE)
        self.assertEqual(1, len(stopped))
