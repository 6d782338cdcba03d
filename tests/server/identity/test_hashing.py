"""The threads that hash: how many there are, how long one waits, and that no place is lost."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import partial

from common.errors import Busy, Stopping
from server.identity.hashing import HashWorkers
from server.machine import Cores
from tests.support import PATIENCE, PorterTestCase, at_once, wait_until


class HashWorkersTests(PorterTestCase):
    def workers(
        self, count: int | None = 1, queue: int = 16, longest_wait: float = PATIENCE, pause_when_full: float = 0
    ) -> HashWorkers:
        made = HashWorkers(count, queue, longest_wait, pause_when_full)
        self.addCleanup(made.close)
        return made

    def test_each_core_has_one_and_all_of_them_go_after_other_threads(self) -> None:
        workers = self.workers(None)
        self.assertEqual(len(Cores()), workers._threads._max_workers)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        self.assertGreater(workers.run(os.getpriority, os.PRIO_PROCESS, 0), ours)

    def test_they_use_all_cores_although_the_process_keeps_to_one(self) -> None:
        cores = Cores()
        workers = HashWorkers(cores=cores)
        self.addCleanup(workers.close)
        self.assertEqual(len(cores), len(workers.run(os.sched_getaffinity, 0)))

    def test_what_is_computed_comes_back_and_what_is_raised_too(self) -> None:
        workers = self.workers()
        self.assertEqual(5, workers.run(max, 3, 5))
        self.assertRaises(ZeroDivisionError, workers.run, divmod, 1, 0)

    def test_never_more_at_a_time_than_there_are_workers(self) -> None:
        workers = self.workers(2)
        present: list[int] = []
        counts: list[int] = []
        third = threading.Event()

        def work() -> None:
            present.append(0)
            counts.append(len(present))
            if len(present) > 2:
                third.set()
            third.wait(0.01)  # long enough for a third to come, if one could
            present.pop()

        at_once(*[partial(workers.run, work)] * 16)
        self.assertEqual((16, 2), (len(counts), max(counts)))

    @contextlib.contextmanager
    def occupied(self, workers: HashWorkers) -> Iterator[None]:
        """Inside, the only worker is at work."""
        working, finish = threading.Event(), threading.Event()

        def work() -> bool:
            working.set()
            return finish.wait(PATIENCE)

        def work_in_turn() -> None:
            with workers.turn():
                workers.run(work)

        first = threading.Thread(target=work_in_turn)
        first.start()
        self.assertTrue(working.wait(PATIENCE))
        try:
            yield
        finally:
            finish.set()
            first.join(PATIENCE)

    def test_when_all_places_are_taken_it_is_busy_until_one_is_free(self) -> None:
        workers = self.workers(1, queue=0)
        with workers.turn(), workers.turn():
            start = time.monotonic()
            with self.assertRaises(Busy), workers.turn():
                self.fail("came in")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)  # it is not waited for
        with workers.turn():
            self.assertEqual(5, workers.run(max, 3, 5))

    def test_who_finds_all_places_taken_is_told_after_a_pause_that_the_end_ends(self) -> None:
        workers = self.workers(1, queue=0, pause_when_full=0.05)
        with workers.turn(), workers.turn():
            start = time.monotonic()
            with self.assertRaises(Busy), workers.turn():
                self.fail("came in")
            self.assertGreaterEqual(time.monotonic() - start, 0.05)
        workers = self.workers(1, queue=0, pause_when_full=PATIENCE)
        with workers.turn(), workers.turn():
            workers.close()
            start = time.monotonic()
            with self.assertRaises(Busy), workers.turn():
                self.fail("came in")
            self.assertLess(time.monotonic() - start, PATIENCE / 2)

    def test_a_turn_that_does_not_come_is_given_up_and_its_place_with_it(self) -> None:
        workers = self.workers(1, queue=1, longest_wait=0.01)
        with workers.turn(), workers.turn():
            for _ in range(3):
                with self.assertRaises(Busy), workers.turn():
                    self.fail("came in")
        with workers.turn():
            self.assertEqual(5, workers.run(max, 3, 5))

    def test_a_turn_that_fails_is_given_back(self) -> None:
        workers = self.workers(1, queue=0)
        for _ in range(4):
            with self.assertRaises(ZeroDivisionError), workers.turn():
                workers.run(divmod, 1, 0)

    def test_while_a_hash_is_computed_one_more_has_a_turn(self) -> None:
        workers = self.workers()
        with self.occupied(workers), workers.turn():
            pass

    def test_after_the_end_nothing_begins(self) -> None:
        workers = self.workers()
        workers.close()
        self.assertRaises(Stopping, workers.run, max, 3, 5)

    def test_what_waits_at_the_end_is_not_begun(self) -> None:
        workers = self.workers(1)
        stopped: list[BaseException] = []

        def wait() -> None:
            try:
                workers.run(self.fail)
            except Stopping as error:
                stopped.append(error)

        second, closing = threading.Thread(target=wait), threading.Thread(target=workers.close)
        with self.occupied(workers):
            second.start()
            wait_until(lambda: workers._threads._work_queue.qsize() == 1, "the second in the queue")
            closing.start()
            second.join(PATIENCE)
        closing.join(PATIENCE)
        self.assertEqual(1, len(stopped))
