"""Threads that are used again."""

import threading
from unittest import mock

from server import threads
from server.threads import ThreadSet
from tests.support import PATIENCE, PorterTestCase


class Threads(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.threads = ThreadSet("test")
        self.addCleanup(self.threads.close)
        self.done = threading.Semaphore(0)
        self.names: list[int] = []

    def job(self, gate: threading.Event | None = None) -> None:
        self.names.append(threading.get_ident())
        if gate is not None:
            gate.wait(PATIENCE)
        self.done.release()

    def wait(self, jobs: int) -> None:
        for _ in range(jobs):
            self.assertTrue(self.done.acquire(timeout=PATIENCE))

    def until_idle(self, count: int) -> None:
        for _ in range(10_000_000):
            if len(self.threads._idle) == count:
                return
        self.fail("the threads do not become idle")

    def test_an_idle_thread_takes_the_next_job(self) -> None:
        for _ in range(5):
            self.threads.run(self.job)
            self.wait(1)
            self.until_idle(1)
        self.assertEqual(1, len(set(self.names)))

    def test_jobs_at_once_have_threads_of_their_own(self) -> None:
        gate = threading.Event()
        for _ in range(5):
            self.threads.run(self.job, gate)
        gate.set()
        self.wait(5)
        self.assertEqual(5, len(set(self.names)))

    def test_a_job_that_fails_takes_no_thread_with_it(self) -> None:
        def fail() -> None:
            raise SystemExit

        with self.assertLogs("porter.server", "ERROR"):
            self.threads.run(fail)
            self.until_idle(1)
        self.threads.run(self.job)
        self.wait(1)

    def test_a_thread_with_nothing_to_do_ends(self) -> None:
        with mock.patch.object(threads, "_IDLE_SECONDS", 0.01):
            self.threads.run(self.job)
            self.wait(1)
            self.until_idle(0)
        self.threads.run(self.job)
        self.wait(1)

    def test_many_short_jobs_all_run_although_threads_come_and_go(self) -> None:
        with mock.patch.object(threads, "_IDLE_SECONDS", 0.0):
            for _ in range(2000):
                self.threads.run(self.job)
            self.wait(2000)

    def test_closing_ends_the_idle_ones(self) -> None:
        self.threads.run(self.job)
        self.wait(1)
        self.until_idle(1)
        self.threads.close()
        self.assertEqual(0, len(self.threads._idle))
