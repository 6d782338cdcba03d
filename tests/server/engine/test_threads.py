"""Accepting threads: one always waits, there are no more than needed, and a failure costs none of them."""

import queue
import threading
from unittest import mock

from server.engine.threads import AcceptingThreads
from tests.support import PATIENCE, PorterTestCase, scaled, wait_until


class Threads(PorterTestCase):
    """The listener is a queue. A connection is an event that its thread waits for; None is a wait without one."""

    def setUp(self) -> None:
        super().setUp()
        self.listener: queue.Queue[threading.Event | None] = queue.Queue()
        self.served: list[int] = []
        self.refused: list[str] = []
        self.done = threading.Semaphore(0)
        self.threads = AcceptingThreads(self.listener.get, self.serve, self.refuse)
        self.addCleanup(self.close)
        self.threads.start()

    def serve(self, connection: threading.Event) -> None:
        self.served.append(threading.get_ident())
        connection.wait(PATIENCE)
        self.done.release()

    def refuse(self, connection: threading.Event, shortage: str) -> None:
        self.refused.append(shortage)
        self.done.release()

    def connect(self, *, stays: bool = False) -> threading.Event:
        connection = threading.Event()
        if not stays:
            connection.set()
        self.listener.put(connection)
        return connection

    def wait(self, count: int) -> None:
        for _ in range(count):
            self.assertTrue(self.done.acquire(timeout=PATIENCE))

    def close(self) -> None:
        """Close as the server does: the end of the listener wakes the waiting threads."""
        closing = threading.Thread(target=self.threads.close, args=[PATIENCE])
        closing.start()
        while closing.is_alive():
            self.listener.put(None)
            closing.join(scaled(0.01))

    def test_many_connections_at_once_are_all_served(self) -> None:
        connections = [self.connect(stays=True) for _ in range(20)]
        wait_until(lambda: len(self.served) == 20, "twenty that are served")
        for connection in connections:
            connection.set()
        self.wait(20)
        self.assertEqual(20, len(set(self.served)))

    def test_connections_one_after_another_need_few_threads(self) -> None:
        for _ in range(50):
            self.connect()
            self.wait(1)
        self.assertLessEqual(len(set(self.served)), 3)

    def test_only_one_of_the_unneeded_waiting_threads_stays(self) -> None:
        connections = [self.connect(stays=True) for _ in range(5)]
        wait_until(lambda: len(self.served) == 5, "five that are served")
        for connection in connections:
            connection.set()
        self.wait(5)
        wait_until(lambda: self.threads._waiting == 6, "six that wait")
        for _ in range(10):
            self.listener.put(None)
        wait_until(lambda: self.listener.empty() and self.threads._waiting == 1, "a single one that waits")
        self.connect()
        self.wait(1)

    def test_without_a_new_thread_the_connection_is_refused_and_the_thread_goes_on(self) -> None:
        no_thread = mock.patch.object(self.threads, "start", side_effect=RuntimeError("can't start new thread"))
        with no_thread:
            for _ in range(2):
                self.connect()
                self.wait(1)
        self.assertEqual(["can't start new thread"] * 2, self.refused)
        with mock.patch.object(self.threads, "start", side_effect=MemoryError):
            self.connect()
            self.wait(1)
        self.assertEqual("no memory", self.refused[-1])
        self.connect()
        self.wait(1)
        self.assertEqual(1, len(self.served))

    def test_a_failure_costs_no_thread(self) -> None:
        with (
            mock.patch.object(self.threads, "_serve", side_effect=SystemExit),
            self.assertLogs("porter.server", "ERROR") as logged,
        ):
            self.connect()
            wait_until(lambda: logged.records, "the error in the log")
        self.connect()
        self.wait(1)

    def test_a_failure_while_waiting_is_logged_and_connections_are_still_served(self) -> None:
        with (
            mock.patch.object(self.threads, "_accept", side_effect=[MemoryError, None]),
            self.assertLogs("porter.server", "ERROR"),
        ):
            self.threads._begin_waiting()
            self.threads._run()
        self.connect()
        self.wait(1)

    def test_a_thread_is_started_when_none_waits(self) -> None:
        self.assertTrue(self.threads._waiting)
        with mock.patch.object(self.threads, "start") as start:
            self.threads.heal()
            start.assert_not_called()
            with mock.patch.object(self.threads, "_waiting", 0):
                self.threads.heal()
            start.assert_called_once()

    def test_close_waits_for_a_thread_that_has_not_run_yet(self) -> None:
        with mock.patch("threading.Thread.start"):
            self.threads.start()
        self.listener.put(None)  # for the other thread, which ends
        wait_until(lambda: self.threads._waiting == 1, "the other one's end")
        self.assertFalse(self.threads.close(scaled(0.01)))
        self.listener.put(None)
        self.threads._run()
        self.assertTrue(self.threads.close(scaled(0.01)))

    def test_after_close_no_thread_is_started(self) -> None:
        self.close()
        with mock.patch("threading.Thread.start") as start:
            self.threads.start()
            self.threads.heal()
        start.assert_not_called()

    def test_after_close_no_thread_waits(self) -> None:
        self.assertFalse(self.threads.close(scaled(0.01)))
        self.close()
        self.assertTrue(self.threads.close(PATIENCE))
