"""The crew: its threads take jobs, are used again, and survive a job that fails."""

import threading
from unittest import mock

from common.wire.waker import Waker
from server.engine.crew import Crew
from tests.support import PATIENCE, PorterTestCase, wait_until


class Crews(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.crew = Crew()
        self.addCleanup(self.crew.close)

    def run_jobs(self, number: int) -> set[int]:
        """Run jobs that all wait for each other. Return the threads that did them."""
        together = threading.Barrier(number)
        threads: set[int] = set()
        done = threading.Semaphore(0)

        def job() -> None:
            together.wait(PATIENCE)
            threads.add(threading.get_ident())
            done.release()

        for _ in range(number):
            self.crew.run(job)
        for _ in range(number):
            self.assertTrue(done.acquire(timeout=PATIENCE))
        return threads

    def members(self) -> int:
        return sum(thread.name == "crew" for thread in threading.enumerate())

    def test_jobs_at_the_same_time_have_a_thread_each_and_eight_threads_stay(self) -> None:
        self.assertEqual(20, len(self.run_jobs(20)))
        wait_until(lambda: self.members() == 8, "eight that wait")
        self.assertEqual(8, len(self.run_jobs(8)))
        self.assertEqual(8, self.members())

    def test_a_job_may_leave_the_spare_threads_alone(self) -> None:
        self.crew.keep_spare()
        self.crew.keep_spare()
        self.assertEqual(1, self.members())
        with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
            with self.assertRaisesRegex(RuntimeError, "new thread"):
                self.crew.run(self.fail, spare=1)
            done = threading.Event()
            self.crew.run(done.set)
            self.assertTrue(done.wait(PATIENCE))

    def test_a_system_without_threads_is_asked_again_for_a_spare_one(self) -> None:
        with mock.patch("threading.Thread.start", side_effect=MemoryError):
            self.crew.keep_spare()
        self.assertEqual(0, self.members())
        self.crew.keep_spare()
        self.assertEqual(1, self.members())

    def test_a_job_that_fails_is_logged_and_its_thread_goes_on(self) -> None:
        with self.assertLogs("porter.server", "ERROR") as logged:
            self.crew.run(lambda: 1 / 0)  # type: ignore[arg-type]
            wait_until(lambda: logged.records, "the traceback")
        self.run_jobs(1)
        self.assertEqual(1, self.members())

    def test_a_thread_has_one_waker_which_is_closed_with_it(self) -> None:
        wakers: list[Waker] = []
        for number in range(2):
            self.crew.run(lambda: wakers.append(self.crew.waker()))
            wait_until(lambda number=number: len(wakers) == number + 1, "the waker")
            wait_until(lambda: self.crew._idle == 1, "the thread")
        self.assertIs(*wakers)

    def test_after_close_threads_end_also_those_that_still_work(self) -> None:
        go_on = threading.Event()
        self.crew.run(go_on.wait)  # type: ignore[arg-type]
        self.crew.keep_spare()
        self.crew.close()
        go_on.set()
        wait_until(lambda: not self.members(), "the end of both")
        self.crew.keep_spare()
        self.assertEqual(0, self.members())
